"""A change of rate keeps the music, and its length follows one rule."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.media import resample
from server.media.clip import Clip
from tests import music

RATES = st.sampled_from([8000, 22050, 32000, 44100, 48000, 96000])


@given(st.integers(0, 10**9), RATES, RATES)
def test_lengths_are_rounded_exactly(length: int, old: int, new: int) -> None:
    """Halves go up; sound never vanishes."""
    exact = Fraction(length * new, old)

    rounded = resample.resampled_length(length, old, new)

    assert abs(rounded - exact) <= Fraction(1, 2) or (length, rounded) == (1, 1)
    assert (length == 0) == (rounded == 0)


@given(st.integers(0, 500), RATES, RATES)
def test_the_result_has_the_promised_length(length: int, old: int, new: int) -> None:
    """For every length, the empty clip included."""
    clip = Clip(np.ones((2, length), np.float32), old)

    result = resample.resample(clip, new)

    assert (2, resample.resampled_length(length, old, new)) == result.samples.shape
    assert new == result.sample_rate


def test_the_same_rate_gives_the_same_clip() -> None:
    """Not even a copy."""
    clip = music.sine(440)

    assert clip is resample.resample(clip, 44100)


@pytest.mark.parametrize("new", [22050, 32000, 48000, 96000])
def test_a_tone_stays_the_same_tone(new: int) -> None:
    """Against a tone made at the new rate, away from the ends."""
    expected = music.sine(1000, 1.0, sample_rate=new).samples[0, 1000:-1000]

    tone = resample.resample(music.sine(1000, 1.0), new).samples[0, 1000:-1000]

    np.testing.assert_allclose(expected, tone, atol=1e-4)


def test_what_the_new_rate_cannot_hold_is_gone() -> None:
    """A tone above the new Nyquist frequency leaves no alias."""
    gone = resample.resample(music.sine(15000, 1.0), 22050)

    assert 1e-4 > np.abs(gone.samples[:, 1000:-1000]).max()
