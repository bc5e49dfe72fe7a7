"""Source and result are compared at one loudness, and the copy never clips."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.media import levelling, loudness
from server.media.clip import Clip
from tests import music


def scaled(clip: Clip, gain_db: float) -> Clip:
    """Return a clip at another level."""
    return clip.with_samples(clip.samples * np.float32(10.0 ** (gain_db / 20)))


SOURCE = music.riff(seconds=1.5).clip
RESULT = music.noise(1.5, level=0.02)


@given(gain_db=st.floats(-20, 40), channels=st.integers(1, 2))
@settings(max_examples=15, deadline=None)
def test_it_is_as_loud_as_the_result_or_as_peaks_allow(gain_db: float, channels: int) -> None:
    """What it lacks is said to a hundredth."""
    result = scaled(RESULT, gain_db).in_channels(channels)
    copy = levelling.levelled(SOURCE, result)
    own = loudness.integrated_loudness(copy.clip)

    assert (SOURCE.length, channels) == (copy.clip.length, copy.clip.channels)
    assert loudness.true_peak_db(copy.clip) <= levelling.CEILING_DB + 0.01
    assert loudness.integrated_loudness(result) == pytest.approx(own + copy.missing_db, abs=0.05)
    assert copy.loudness_lufs == pytest.approx(own, abs=0.05)
    assert copy.missing_db >= 0


def test_only_one_gain_is_applied() -> None:
    """No limiter: the dynamics are what is compared."""
    copy = levelling.levelled(SOURCE, scaled(RESULT, -10)).clip
    expected = SOURCE.as_stereo().samples
    loud = np.abs(expected) > 0.1

    assert np.ptp(copy.samples[loud] / expected[loud]) < 1e-5


def test_a_peak_holds_the_gain_back() -> None:
    """One click at full scale: nothing could be turned up."""
    clicking = SOURCE.samples.copy()
    clicking[:, 1000] = 1.0
    copy = levelling.levelled(SOURCE.with_samples(clicking), scaled(RESULT, 25))

    assert copy.gain_db <= -1.0
    assert 5.0 < copy.missing_db


@pytest.mark.parametrize("source", [music.silence(0.5), SOURCE])
def test_silence_is_left_as_it_is(source: Clip) -> None:
    """On either side."""
    copy = levelling.levelled(source, music.silence(0.5))

    assert (0.0, 0.0) == (copy.gain_db, copy.missing_db)
    assert np.array_equal(source.as_stereo().samples, copy.clip.samples)
    assert (copy.loudness_lufs is None) == (source is not SOURCE)
