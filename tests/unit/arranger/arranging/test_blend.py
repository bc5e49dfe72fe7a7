"""Levels of a rendered arrangement."""

import numpy as np
import pytest

from server.engines.arranger import blend
from server.media.clip import Clip, Samples

RATE = 44100


def tone(
    level: float = 0.3, *, seconds: float = 2.0, hertz: float = 440.0, rate: int = RATE
) -> Clip:
    """Return a stereo sine."""
    times = np.arange(round(seconds * rate)) / rate
    wave = (level * np.sin(2 * np.pi * hertz * times)).astype(np.float32)
    return Clip(np.stack([wave, wave]), rate)


def level(samples: Samples) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


@pytest.mark.parametrize(
    ("flowstep", "strength"),
    [(0.01, 1.0), (0.05, 1.0), (0.12, 0.79), (0.15, 0.74), (0.3, 0.55), (1.0, 0.0)],
)
def test_a_flowstep_is_a_strength(flowstep: float, strength: float) -> None:
    assert strength == pytest.approx(blend.strength_of(flowstep), abs=0.005)


def test_an_offset_is_taken_off_each_channel() -> None:
    clip = tone()
    offset = clip.with_samples(clip.samples + np.array([[0.2], [-0.1]], np.float32))

    assert np.abs(blend.without_offset(offset).samples.mean(axis=1)).max() < 1e-6


def test_half_of_a_level_step_is_followed() -> None:
    """The source falls by 12 dB; the result, which was level, falls by 6."""
    source = tone(seconds=6.0)
    falling = source.with_samples(
        source.samples * np.where(np.arange(6 * RATE) < 3 * RATE, 1, 0.25)
    )
    result = blend.follow(tone(seconds=6.0), falling).samples

    step = level(result[:, : 2 * RATE]) / level(result[:, 4 * RATE :])
    assert pytest.approx(6.0, abs=0.2) == 20 * np.log10(step)


def test_the_gain_is_bounded_in_silence() -> None:
    source = tone(seconds=4.0)
    half = source.with_samples(source.samples * (np.arange(4 * RATE) < 2 * RATE))
    result = blend.follow(tone(seconds=4.0), half).samples

    assert pytest.approx(-9.0, abs=0.1) == 20 * np.log10(
        level(result[:, 3 * RATE :]) / level(tone().samples)
    )
