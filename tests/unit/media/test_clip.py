"""A clip is samples with their rate, and nothing that is not."""

import numpy as np
import pytest

from server.media.clip import Clip
from tests import music


@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        (np.zeros(5, np.float32), 44100),
        (np.zeros((1, 5), np.float64), 44100),
        (np.zeros((1, 5), np.float32), 0),
    ],
)
def test_what_is_no_sound_is_no_clip(samples: np.ndarray, rate: int) -> None:
    """Wrong shape, wrong type, no rate."""
    with pytest.raises(ValueError, match="must be"):
        Clip(samples, rate)


def test_a_clip_tells_its_size() -> None:
    """In channels, samples and seconds."""
    clip = music.silence(0.5, channels=3, sample_rate=8000)

    assert (3, 4000, 0.5) == (clip.channels, clip.length, clip.seconds)


@pytest.mark.parametrize(("channels", "kept"), [(1, [0, 0]), (2, [0, 1]), (6, [0, 1])])
def test_stereo_doubles_mono_and_keeps_the_first_two(channels: int, kept: list[int]) -> None:
    """Whatever came in, two channels come out."""
    clip = music.noise(0.01, channels=channels)

    np.testing.assert_array_equal(clip.samples[kept], clip.as_stereo().samples)


def test_mono_is_the_mean() -> None:
    """Opposite channels cancel."""
    tone = music.sine(440, 0.01).samples

    assert not Clip(np.vstack([tone, -tone]), 44100).mono().any()
