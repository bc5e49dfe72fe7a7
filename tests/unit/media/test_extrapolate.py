"""Linear prediction lets a sound go on for some milliseconds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.media import extrapolate
from server.media.clip import Samples
from tests import music

RATE = 44100
LENGTH = 2205


def _chord(seconds: float) -> Samples:
    at = np.arange(round(seconds * RATE)) / RATE
    tones = [0.1 * np.sin(2 * np.pi * hertz * at) for hertz in (110.0, 277.2, 329.6, 659.3)]
    return np.asarray(np.sum(tones, axis=0)[None], dtype=np.float32)


def _likeness(one: Samples, other: Samples) -> float:
    one, other = one.ravel(), other.ravel()
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


def test_a_chord_goes_on_as_it_would_have() -> None:
    """Negative control: repeating its last milliseconds does not."""
    whole = _chord(1.0)
    known, truth = whole[:, :-LENGTH], whole[:, -LENGTH:]

    found = extrapolate.beyond(known, LENGTH)

    assert (1, LENGTH) == found.shape
    assert _likeness(truth, found) > 0.99
    assert _likeness(truth, known[:, -LENGTH:]) < 0.5


def test_played_notes_go_on_too() -> None:
    """Of plucked strings, the beginning of what is predicted is what came."""
    clip = music.riff(seconds=3.0).clip
    end = round(1.2 * clip.sample_rate)
    truth = clip.samples[:, end : end + 400]

    found = extrapolate.beyond(clip.samples[:, :end], 400)

    assert _likeness(truth, found) > 0.9


def test_it_begins_where_the_sound_ends() -> None:
    """There is no step: the first samples follow from the last ones."""
    samples = _chord(0.5)

    joined = np.concatenate([samples, extrapolate.beyond(samples, LENGTH)], axis=1)

    bends = np.abs(np.diff(joined, n=2, axis=1))
    assert bends[:, samples.shape[1] - 3 :].max() <= 1.05 * bends[:, : samples.shape[1] - 3].max()


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 700),
    st.integers(0, 3000),
    st.integers(1, 2),
    st.sampled_from([0.0, 1e-6, 0.1, 1.0]),
)
def test_it_never_grows(seed: int, known: int, length: int, channels: int, level: float) -> None:
    """Whatever it is given, at any length."""
    random = np.random.default_rng(seed)
    samples = (level * random.uniform(-1.0, 1.0, (channels, known))).astype(np.float32)

    found = extrapolate.beyond(samples, length)

    assert (channels, length) == found.shape
    assert np.isfinite(found).all()
    assert np.abs(found).max(initial=0.0) <= 4.0 * level


def test_silence_stays_silence_and_channels_are_their_own() -> None:
    samples = np.concatenate([_chord(0.3), np.zeros_like(_chord(0.3))])

    found = extrapolate.beyond(samples, LENGTH)

    assert not found[1].any()
    np.testing.assert_array_equal(extrapolate.beyond(samples[:1], LENGTH), found[:1])


def test_the_filter_is_the_textbooks() -> None:
    """Against the covariance of a process of the second order whose coefficients are known."""
    random = np.random.default_rng(0)
    noise = random.standard_normal(20000)
    wave = np.zeros_like(noise)
    for place in range(2, wave.shape[0]):
        wave[place] = 1.5 * wave[place - 1] - 0.8 * wave[place - 2] + noise[place]

    found = extrapolate.burg(wave, 2)

    np.testing.assert_allclose([1.0, -1.5, 0.8], found, atol=0.02)


def test_its_poles_are_within_the_unit_circle() -> None:
    wave = music.noise(0.05).samples[0].astype(np.float64)

    assert np.abs(np.roots(extrapolate.burg(wave, 40))).max() < 1.0


def test_too_little_is_refused() -> None:
    with pytest.raises(ValueError, match="more samples"):
        extrapolate.burg(np.ones(4), 4)
