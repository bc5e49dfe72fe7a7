"""Tempo, lag and drift are found to the precision that a click track shows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.media import rhythm
from server.media.clip import Clip, Samples
from tests import music


def onsets(piece: music.Piece) -> Samples:
    """Return the envelope of a piece."""
    return rhythm.envelope(piece.clip)


def delayed(clip: Clip, seconds: float) -> Clip:
    """Return the clip late, at the same length."""
    samples = np.pad(clip.samples, ((0, 0), (round(seconds * clip.sample_rate), 0)))
    return clip.with_samples(samples[:, : clip.length])


STEADY = music.band(112, 2, 20, 1)
OTHER_TIMBRE = music.band(112, 2, 20, 1, timbre="reed")


@pytest.mark.parametrize("bpm", [72.0, 97.3, 120.0, 143.0, 171.0])
def test_the_tempo_near_a_hint_is_exact(bpm: float) -> None:
    """Within 0.1 %, from a hint that is 2 % off."""
    piece = music.band(bpm, 4, 15, 2)

    assert pytest.approx(bpm, rel=1e-3) == rhythm.tempo_near(piece.clip, bpm * 1.02)


@pytest.mark.parametrize("bpm", [84.0, 120.0, 150.0])
def test_the_tempo_without_a_hint_is_right_up_to_an_octave(bpm: float) -> None:
    """Half and double are the same music to a listener."""
    found = rhythm.pulse(onsets(music.band(bpm, 4, 15, 0)))

    ratio = found.bpm / bpm
    assert min(abs(ratio * fold - 1) for fold in (0.5, 1, 2)) < 2e-3
    assert found.is_audible


@pytest.mark.parametrize("seed", range(3))
def test_noise_has_no_pulse(seed: int) -> None:
    """Nor has silence, nor a clip of half a second."""
    assert not rhythm.pulse(rhythm.envelope(music.noise(20, seed=seed))).is_audible
    assert not rhythm.pulse(rhythm.envelope(music.silence(20))).is_audible
    assert not rhythm.pulse(onsets(music.band(seconds=0.5))).is_audible


def test_another_timbre_is_in_time() -> None:
    """Slower attacks cost some milliseconds of lag and no drift."""
    alignment = rhythm.align(onsets(STEADY), onsets(OTHER_TIMBRE))

    assert alignment.lag_ms is not None
    assert alignment.drift_ms is not None
    assert abs(alignment.lag_ms) < 8
    assert abs(alignment.drift_ms) < 3
    assert 0.8 < alignment.correlation


@pytest.mark.parametrize("ms", [-60, -15, 15, 80])
def test_a_lag_is_measured_in_milliseconds(ms: int) -> None:
    """Positive when the result is late."""
    one, other = STEADY.clip, STEADY.clip
    one, other = (delayed(one, -ms / 1000), other) if ms < 0 else (one, delayed(other, ms / 1000))

    alignment = rhythm.align(rhythm.envelope(one), rhythm.envelope(other))

    assert pytest.approx(ms, abs=3) == alignment.lag_ms
    assert pytest.approx(0, abs=3) == alignment.drift_ms


@pytest.mark.parametrize("percent", [-1.0, -0.5, -0.1, 0.1, 0.5, 1.0])
def test_a_wrong_tempo_is_a_drift(percent: float) -> None:
    """0.1 % is 30 ms over 30 s, early when the result is faster."""
    faster = music.band(112 * (1 + percent / 100), 2, 20, 1, timbre="reed")

    alignment = rhythm.align(onsets(STEADY), onsets(faster))

    assert pytest.approx(-300 * percent, abs=8, rel=0.05) == alignment.drift_ms


def test_unlike_onsets_leave_lag_and_drift_undetermined() -> None:
    """Noise against music, and silence against music."""
    for other in (music.noise(20), music.silence(20)):
        alignment = rhythm.align(onsets(STEADY), rhythm.envelope(other))

        assert (None, None) == (alignment.lag_ms, alignment.drift_ms)
        assert 0.3 > alignment.correlation


def test_a_short_clip_tells_its_lag_but_no_drift() -> None:
    """Two seconds are not enough to see a change; half a second shows nothing."""
    two, half = (onsets(music.band(seconds=seconds)) for seconds in (2.0, 0.5))

    short, scrap = rhythm.align(two, two), rhythm.align(half, half)

    assert pytest.approx(0, abs=0.1) == short.lag_ms
    assert short.drift_ms is None
    assert (None, None) == (scrap.lag_ms, scrap.drift_ms)


def test_an_empty_middle_is_stepped_over() -> None:
    """Passages without onsets neither stop the track nor spoil it."""
    samples = STEADY.clip.samples.copy()
    samples[:, 6 * 44100 : 14 * 44100] = 0.0
    gapped = rhythm.envelope(STEADY.clip.with_samples(samples))

    alignment = rhythm.align(gapped, gapped)

    assert pytest.approx(0, abs=0.5) == alignment.lag_ms
    assert pytest.approx(0, abs=0.5) == alignment.drift_ms


@given(st.integers(0, 40), st.integers(0, 2**31))
def test_correlations_equal_the_textbook(shift: int, seed: int) -> None:
    """Row by row against numpy's."""
    random = np.random.default_rng(seed)
    part, rows = random.random(30, np.float32), random.random((4, 30), np.float32)
    rows[shift % 4] = part

    found = rhythm._correlations(part, rows)

    np.testing.assert_allclose([np.corrcoef(part, row)[0, 1] for row in rows], found, atol=1e-6)
