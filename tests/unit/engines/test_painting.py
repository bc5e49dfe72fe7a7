"""Windows painted by the flow model: what is heard, what is held, which take is which."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audiocraft.models import MelodyFlow
from hypothesis import given
from hypothesis import strategies as st

from server import errors
from server.engines.melodyflow import painting
from server.engines.melodyflow.engine import MelodyFlowEngine
from server.engines.melodyflow.inversions import Inversions
from server.engines.melodyflow.memory import Memory
from server.engines.protocols import Brief, Inpainting, OnStep, tell_nobody
from server.media import loudness
from server.media.clip import Clip
from server.media.window import Window
from tests.models import formula

RATE = 8000
IDENTITY = {"name": "tiny", "revision": "formula", "device": "cpu", "precision": "float32"}
WINDOW = Window(6000, 9000)


@pytest.fixture(scope="module", name="engine")
def _engine(tmp_path_factory: pytest.TempPathFactory) -> MelodyFlowEngine:
    folder = tmp_path_factory.mktemp("weights")
    formula.write_checkpoint(folder)
    encoder = formula.write_text_encoder(folder / "t5")
    model = MelodyFlow.get_pretrained(Path(folder), "cpu", text_encoder=encoder)
    return MelodyFlowEngine(
        model, identity=IDENTITY, memory=Memory(), inversions=Inversions(megabytes=4)
    )


def _clip(*, rate: int = RATE, channels: int = 2, seconds: float = 2.0, seed: int = 7) -> Clip:
    samples = np.random.default_rng(seed).standard_normal((channels, round(seconds * rate)))
    return Clip((0.1 * samples).astype(np.float32), rate)


def _brief(**choices: Any) -> Brief:
    return Brief(variation=None, prompt="a choir", **{"steps": 3, "seed": 5, **choices})


def _takes(
    engine: MelodyFlowEngine,
    clip: Clip,
    *windows: Window,
    takes: int = 1,
    on_step: OnStep = tell_nobody,
    **choices: Any,
) -> list[Inpainting]:
    return engine.inpaint(
        clip, windows or (WINDOW,), _brief(**choices), takes=takes, on_step=on_step
    )


def _with_other_music(clip: Clip, window: Window) -> Clip:
    samples = clip.samples.copy()
    samples[:, window.start : window.end] = _clip(seed=8).samples[:, : window.length]
    return clip.with_samples(samples)


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_a_take_has_the_clips_rate_and_length(
    engine: MelodyFlowEngine, rate: int, channels: int
) -> None:
    clip = _clip(rate=rate, channels=channels, seconds=0.7)

    [take] = _takes(engine, clip, Window(rate // 4, rate // 2))

    assert (clip.sample_rate, clip.length) == (take.clip.sample_rate, take.clip.length)
    assert np.isfinite(take.clip.samples).all()
    assert IDENTITY == take.model


def test_what_was_in_the_window_is_not_heard(engine: MelodyFlowEngine) -> None:
    """Negative control: what is outside of it is."""
    clip = _clip()

    first, same, other = (
        _takes(engine, each)[0].clip.samples[:, WINDOW.start : WINDOW.end]
        for each in (
            clip,
            _with_other_music(clip, WINDOW),
            _with_other_music(clip, Window(3000, 6000)),
        )
    )

    assert np.array_equal(first, same)
    assert not np.allclose(first, other, atol=1e-4)


def test_only_a_kept_groove_hears_it(engine: MelodyFlowEngine) -> None:
    clip = _clip()

    first, other = (
        _takes(engine, each, keeps_groove=True)[0]
        for each in (clip, _with_other_music(clip, WINDOW))
    )

    assert ("inversion", 0.12) == (first.made["start"], first.made["flowstep"])
    assert not np.allclose(first.clip.samples, other.clip.samples, atol=1e-4)


@pytest.mark.parametrize("keeps_groove", [False, True])
def test_a_take_is_that_of_its_seed_whatever_stands_beside_it(
    engine: MelodyFlowEngine, *, keeps_groove: bool
) -> None:
    clip = _clip()

    three = _takes(engine, clip, takes=3, keeps_groove=keeps_groove)
    [second] = _takes(engine, clip, seed=6, keeps_groove=keeps_groove)

    np.testing.assert_allclose(three[1].clip.samples, second.clip.samples, atol=2e-5)
    assert not np.allclose(three[0].clip.samples, three[1].clip.samples, atol=1e-3)


@pytest.mark.parametrize("solver", ["euler", "midpoint"])
def test_several_windows_are_painted_at_once(engine: MelodyFlowEngine, solver: str) -> None:
    clip, windows = _clip(), (Window(2000, 4000), Window(9000, 12000))

    [take] = _takes(engine, clip, *windows, solver=solver)

    for window in windows:
        part = take.clip.samples[:, window.start : window.end]
        assert float(np.abs(part - clip.samples[:, window.start : window.end]).max()) > 1e-2


def test_progress_goes_from_step_to_step_to_its_end(engine: MelodyFlowEngine) -> None:
    told: list[tuple[int, int]] = []

    _takes(engine, _clip(), takes=2, on_step=lambda done, total: told.append((done, total)))

    done = [each for each, _ in told]
    assert sorted(done) == done
    assert {told[-1]} == {(told[0][1], told[0][1])}
    assert len(set(done)) >= 3 + 2  # every step, and the codec's passes


def test_it_stops_between_steps(engine: MelodyFlowEngine) -> None:
    calls = 0

    def stop(_done: int, _total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise errors.Cancelled

    with pytest.raises(errors.Cancelled):
        _takes(engine, _clip(), on_step=stop)
    assert 2 == calls


@given(st.data())
def test_the_model_sees_the_windows_and_as_much_of_the_rest_as_fits(data: st.DataObject) -> None:
    rate = 100
    length = data.draw(st.integers(1, 20_000))
    first = data.draw(st.integers(0, length - 1))
    last = data.draw(st.integers(first + 1, length))
    most_seconds = data.draw(st.floats(1.0, 60.0))
    clip = Clip(np.zeros((1, length), np.float32), rate)

    where = painting.canvas(clip, [Window(first, last)], most_seconds=most_seconds)

    seen, [painted] = where.seen, where.windows
    assert 0 <= seen.start <= first < last <= seen.end <= length
    assert (first, last) == (seen.start + painted.start, seen.start + painted.end)
    least = 2 * round(painting.LEAST_CONTEXT_SECONDS * rate)
    most = max(math.floor(most_seconds * rate), last - first + least)
    assert seen.length == min(length, most)


@pytest.mark.parametrize(("level", "left_db"), [(0.7, 0.0), (1.5, 0.0), (0.1, -14.0)])
def test_it_is_as_loud_around_the_windows_as_the_clip(level: float, left_db: float) -> None:
    """What is in the windows does not count; more than 6 dB is not corrected."""
    clip = _clip(seconds=4.0)
    where = painting.canvas(clip, [WINDOW], most_seconds=30.0)
    samples = level * clip.samples
    samples[:, WINDOW.start : WINDOW.end] *= 5.0

    back = painting.back(Clip(samples, RATE), clip, where)

    wanted, found = (
        loudness.integrated_loudness(painting.silenced(each, [WINDOW])) for each in (clip, back)
    )
    assert left_db == pytest.approx(found - wanted, abs=0.05)
