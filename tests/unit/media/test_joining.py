"""New sound in a window: in time, in level, and nothing else touched."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.media import joining, loudness, window
from server.media.clip import Clip, Samples
from server.media.window import Window, cut
from tests import music

RATE = 16000


def _noise(seconds: float, *, seed: int = 0, level: float = 0.1, channels: int = 2) -> Clip:
    samples = np.random.default_rng(seed).standard_normal((channels, round(seconds * RATE)))
    return Clip((level * samples).astype(np.float32), RATE)


def _delayed(clip: Clip, samples: int) -> Clip:
    return clip.with_samples(np.roll(clip.samples, samples, axis=1))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_nothing_outside_the_window_changes(data: st.DataObject) -> None:
    source = _noise(1.0, channels=data.draw(st.sampled_from([1, 2])))
    first = data.draw(st.integers(0, source.length - 2))
    last = data.draw(st.integers(first + 1, source.length))
    played = _noise(1.0, seed=1, channels=source.channels)

    joined, _ = joining.join(source, played, Window(first, last))

    assert source.samples.shape == joined.samples.shape
    assert np.array_equal(source.samples[:, :first], joined.samples[:, :first])
    assert np.array_equal(source.samples[:, last:], joined.samples[:, last:])
    assert np.isfinite(joined.samples).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(-159, 159))
def test_a_sound_that_runs_on_late_or_early_is_shifted_back(delay: int) -> None:
    """Old and new are the same music: afterwards they are one, sample by sample."""
    source = _noise(3.0, level=0.05)

    joined, joint = joining.join(source, _delayed(source, delay), Window(16000, 32000))

    assert delay == round(joint.shift_seconds * RATE)
    assert ("equal_gain", "equal_gain") == joint.laws
    assert joint.likeness > 0.99
    np.testing.assert_allclose(source.samples, joined.samples, atol=2e-3)


def test_a_sound_that_is_later_than_that_is_left_where_it_is() -> None:
    source = _noise(3.0)

    _, joint = joining.join(source, _delayed(source, 400), Window(16000, 32000))

    assert (0.0, ("equal_power", "equal_power")) == (joint.shift_seconds, joint.laws)


def test_unlike_sounds_are_neither_shifted_nor_added_as_amplitudes() -> None:
    source, other = _noise(3.0), _noise(3.0, seed=1)

    joined, joint = joining.join(source, other, Window(16000, 32000))

    assert (0.0, ("equal_power", "equal_power")) == (joint.shift_seconds, joint.laws)
    assert abs(joint.likeness) < 0.5
    middle = slice(16000 + 800, 32000 - 800)
    ratio = joined.samples[:, middle] / other.samples[:, middle]
    assert float(ratio.std()) < 0.05


@pytest.mark.parametrize("level", [0.02, 0.1, 0.3])
@pytest.mark.parametrize(("seconds", "level_after"), [(2.0, 0.1), (8.0, 0.05), (8.0, 0.2)])
def test_the_level_goes_from_that_before_to_that_after(
    level: float, seconds: float, level_after: float
) -> None:
    """Negative control: without that it is off by 3 LU and more where the levels differ so."""
    parts = [_noise(4.0, seed=1), _noise(seconds, seed=3), _noise(4.0, seed=2, level=level_after)]
    source = Clip(np.concatenate([each.samples for each in parts], axis=1), RATE)
    part = Window(parts[0].length, parts[0].length + parts[1].length)
    played = _noise(source.seconds, seed=4, level=level)

    joined, _ = joining.join(source, played, part)

    plain = window.replace(source, part, cut(played, part).samples, overlap=800)
    assert max(map(abs, _steps(joined, part))) < 0.6
    if level != 0.1:
        assert max(map(abs, _steps(plain, part))) > 3


def _steps(clip: Clip, part: Window) -> list[float]:
    """Return by how many LU the inside is louder than the outside, at either end."""
    reach, inside = 3 * RATE, min(3 * RATE, part.length)
    before, after = Window(part.start - reach, part.start), Window(part.end, part.end + reach)
    first, last = Window(part.start, part.start + inside), Window(part.end - inside, part.end)
    heard = [loudness.integrated_loudness(cut(clip, each)) for each in (before, first, last, after)]
    return [heard[1] - heard[0], heard[2] - heard[3]]


def test_a_silent_neighbour_asks_for_nothing() -> None:
    source = _noise(8.0)
    samples = source.samples.copy()
    samples[:, : 3 * RATE] = 0.0
    source = source.with_samples(samples)

    _, joint = joining.join(source, _noise(8.0, seed=1, level=0.2), Window(3 * RATE, 5 * RATE))

    assert joint.gains_db[0] == pytest.approx(joint.gains_db[1])
    assert joint.gains_db[0] == pytest.approx(-6.0, abs=0.5)


def test_silence_stays_silence() -> None:
    silence = Clip(np.zeros((2, 4 * RATE), np.float32), RATE)

    joined, joint = joining.join(_noise(4.0), silence, Window(RATE, 2 * RATE))

    assert (0.0, 0.0) == joint.gains_db
    assert not joined.samples[:, RATE + 800 : 2 * RATE - 800].any()


def test_there_are_no_overs() -> None:
    """Negative control: what is played has them."""
    source = music.band(seconds=8.0).clip
    loud = source.with_samples(_spiky(source))
    part = Window(2 * source.sample_rate, 6 * source.sample_rate)

    joined, _ = joining.join(source, loud, part)

    inner = Window(part.start + 2000, part.end - 2000)
    assert loudness.true_peak_db(cut(loud, inner)) > 0.0
    assert loudness.true_peak_db(cut(joined, inner)) <= -1.0 + 0.05


def _spiky(clip: Clip) -> Samples:
    samples = clip.samples.copy()
    samples[:, ::4000] = 3.0
    return samples
