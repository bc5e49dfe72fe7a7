"""The engine over a small model: what it promises of clips, briefs, seeds and progress."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from audiocraft.models import MelodyFlow

from server import errors
from server.engines.melodyflow.engine import MelodyFlowEngine
from server.engines.melodyflow.inversions import Inversions
from server.engines.melodyflow.memory import Memory
from server.engines.protocols import Brief, Transformation, tell_nobody
from server.media import loudness
from server.media.clip import Clip
from tests import music
from tests.models import formula

IDENTITY = {"name": "tiny", "revision": "formula", "device": "cpu", "precision": "float32"}


@pytest.fixture(scope="module", name="model")
def _model(tmp_path_factory: pytest.TempPathFactory) -> MelodyFlow:
    folder = tmp_path_factory.mktemp("weights")
    formula.write_checkpoint(folder)
    return MelodyFlow.get_pretrained(
        folder, "cpu", text_encoder=formula.write_text_encoder(folder / "t5")
    )


@pytest.fixture(name="engine")
def _engine(model: MelodyFlow) -> MelodyFlowEngine:
    return _opened(model)


def _opened(model: MelodyFlow) -> MelodyFlowEngine:
    return MelodyFlowEngine(
        model, identity=IDENTITY, memory=Memory(), inversions=Inversions(megabytes=4)
    )


def _clip(seconds: float = 1.0, *, rate: int = 8000, channels: int = 2) -> Clip:
    samples = np.random.default_rng(7).standard_normal((channels, round(seconds * rate)))
    return Clip((0.1 * samples).astype(np.float32), rate)


def _brief(prompt: str = "a choir", **choices: Any) -> Brief:
    return Brief(variation=None, prompt=prompt, **{"steps": 3, "seed": 5, **choices})


def _one(engine: MelodyFlowEngine, clip: Clip, brief: Brief) -> Transformation:
    [result] = engine.transform(clip, [brief], on_step=tell_nobody)
    return result


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_the_result_has_the_sources_rate_and_length(
    engine: MelodyFlowEngine, rate: int, channels: int
) -> None:
    clip = _clip(0.3337, rate=rate, channels=channels)

    result = _one(engine, clip, _brief()).clip

    assert (clip.sample_rate, clip.length, 2) == (
        result.sample_rate,
        result.length,
        result.channels,
    )
    assert np.isfinite(result.samples).all()


@pytest.mark.parametrize("samples", [1, 7, 39, 41, 160])
def test_the_shortest_clips_have_a_result(engine: MelodyFlowEngine, samples: int) -> None:
    assert samples == _one(engine, _clip(samples / 8000), _brief()).clip.length


def test_it_is_as_loud_as_the_source_and_has_no_overs(engine: MelodyFlowEngine) -> None:
    clip = _clip(2.0)

    result = _one(engine, clip, _brief()).clip

    assert loudness.true_peak_db(result) <= -1.0 + 1e-3
    assert loudness.integrated_loudness(clip) == pytest.approx(
        loudness.integrated_loudness(result), abs=1.0
    )


def test_silence_stays_silence(engine: MelodyFlowEngine) -> None:
    silence = Clip(np.zeros((2, 4000), np.float32), 8000)

    assert not _one(engine, silence, _brief()).clip.samples.any()


def test_the_top_of_the_flow_is_the_source_itself(engine: MelodyFlowEngine) -> None:
    clip = _clip()

    result = _one(engine, clip, _brief(flowstep=1.0))

    assert np.array_equal(clip.samples, result.clip.samples)


def test_a_seed_gives_the_same_samples_again_and_another_does_not(model: MelodyFlow) -> None:
    clip = _clip()

    first, again, other = (
        _one(_opened(model), clip, _brief(seed=seed)).clip.samples for seed in (5, 5, 6)
    )

    assert np.array_equal(first, again)
    assert not np.allclose(first, other, atol=1e-3)


def test_briefs_that_differ_in_words_share_one_inversion(engine: MelodyFlowEngine) -> None:
    words = ["a choir", "a cello", "drums"]

    results = engine.transform(_clip(), [_brief(each) for each in words], on_step=tell_nobody)

    assert ["computed", "shared", "shared"] == [result.made["inversion"] for result in results]
    assert not np.allclose(results[0].clip.samples, results[1].clip.samples, atol=1e-3)


def test_a_result_is_the_same_alone_and_among_others(model: MelodyFlow) -> None:
    words = ["a choir", "a cello and a harp", "drums"]
    together = _opened(model).transform(
        _clip(), [_brief(each) for each in words], on_step=tell_nobody
    )

    alone = [_one(_opened(model), _clip(), _brief(each)) for each in words]

    for one, among in zip(alone, together, strict=True):
        np.testing.assert_allclose(one.clip.samples, among.clip.samples, atol=1e-4)


def test_a_new_prompt_on_the_same_clip_takes_the_kept_inversion(model: MelodyFlow) -> None:
    engine, clip = _opened(model), _clip()
    told: list[int] = []

    _one(engine, clip, _brief("a choir"))
    [cached] = engine.transform(
        clip, [_brief("drums")], on_step=lambda done, total: told.append(done)
    )

    assert "cached" == cached.made["inversion"]
    fresh = _one(_opened(model), clip, _brief("drums"))
    assert np.array_equal(fresh.clip.samples, cached.clip.samples)
    assert told[0] > 6  # the inversion's six evaluations were not made


@pytest.mark.parametrize("choice", [{"seed": 9}, {"flowstep": 0.3}, {"steps": 4}])
def test_another_choice_does_not_take_it(engine: MelodyFlowEngine, choice: dict[str, Any]) -> None:
    _one(engine, _clip(), _brief())

    assert "computed" == _one(engine, _clip(), _brief(**choice)).made["inversion"]


def test_progress_rises_by_every_step_to_the_end(engine: MelodyFlowEngine) -> None:
    told: list[tuple[int, int]] = []

    engine.transform(
        _clip(),
        [_brief("a choir"), _brief("drums"), _brief(seed=9)],
        on_step=lambda done, total: told.append((done, total)),
    )

    [total] = {total for _, total in told}
    steps = [done for done, _ in told]
    assert sorted(steps) == steps
    assert total == steps[-1]
    assert 2 * (2 * 3) + 3 * 3 <= len(told)


@pytest.mark.parametrize("at", [2, 6, 9])
def test_it_stops_at_the_step_where_it_is_asked_to(model: MelodyFlow, at: int) -> None:
    engine, calls = _opened(model), 0

    def stop(done: int, total: int) -> None:
        nonlocal calls
        del done, total
        calls += 1
        if calls == at:
            raise errors.Cancelled

    with pytest.raises(errors.Cancelled):
        engine.transform(_clip(), [_brief()], on_step=stop)
    assert at == calls
    assert 8000 == _one(engine, _clip(), _brief()).clip.length


def test_a_preview_is_shown_once_for_all_and_before_the_end(engine: MelodyFlowEngine) -> None:
    shown: list[list[Clip]] = []
    told: list[int] = []
    seen_at: list[int] = []

    def show(clips: object) -> None:
        shown.append(list(clips))  # type: ignore[call-overload]
        seen_at.append(told[-1])

    results = engine.transform(
        _clip(),
        [_brief("a choir"), _brief(flowstep=1.0), _brief("drums", seed=9, steps=5)],
        on_step=lambda done, total: told.append(done),
        on_preview=show,
    )

    [clips] = shown
    assert [result.clip.samples.shape for result in results] == [
        clip.samples.shape for clip in clips
    ]
    assert seen_at[0] < told[-1] - 2


def test_a_preview_changes_nothing_of_the_result(model: MelodyFlow) -> None:
    plain = _one(_opened(model), _clip(), _brief())

    [watched] = _opened(model).transform(
        _clip(), [_brief()], on_step=tell_nobody, on_preview=lambda clips: None
    )

    assert np.array_equal(plain.clip.samples, watched.clip.samples)


def test_the_midpoint_solver_has_its_own_steps(engine: MelodyFlowEngine) -> None:
    told: list[int] = []

    [result] = engine.transform(
        _clip(0.2),
        [_brief(solver="midpoint")],
        on_step=lambda done, total: told.append(total),
    )

    assert ("midpoint", 64) == (result.made["solver"], result.made["steps"])
    assert 128 <= told[0]


def test_it_says_who_made_it_and_that_strength_is_not_its_own(engine: MelodyFlowEngine) -> None:
    result = _one(engine, _clip(), _brief(strength=0.5))

    assert IDENTITY == result.model
    assert "strength" in result.notices[0]


def test_longer_than_the_window_is_done_in_windows(engine: MelodyFlowEngine) -> None:
    clip = music.riff(seconds=9.3).clip

    result = _one(engine, clip, _brief())

    assert clip.length == result.clip.length
    assert 3 == result.made["windows"]


@pytest.fixture(name="on_a_card")
def _on_a_card(tmp_path: Path) -> MelodyFlow:
    formula.write_checkpoint(tmp_path)
    encoder = formula.write_text_encoder(tmp_path / "t5")
    return MelodyFlow.get_pretrained(tmp_path, "cuda", text_encoder=encoder)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no card")
def test_on_a_card_a_seed_gives_the_same_samples_again(on_a_card: MelodyFlow) -> None:
    clip = _clip()

    first, again = (_one(_opened(on_a_card), clip, _brief()).clip.samples for _ in range(2))

    assert np.array_equal(first, again)
    assert np.isfinite(first).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no card")
def test_on_a_card_memory_returns_to_what_it_was(on_a_card: MelodyFlow) -> None:
    engine = _opened(on_a_card)
    engine.warm()
    before = torch.cuda.memory_allocated()

    engine.transform(_clip(9.0), [_brief("a choir"), _brief("drums")], on_step=tell_nobody)

    engine.rest()
    assert torch.cuda.memory_allocated() <= 1.05 * before + 2**20
