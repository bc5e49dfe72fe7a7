"""Loudness, rate, length and peaks of a result."""

import numpy as np
import pytest

from server.media import loudness, mastering
from server.media.clip import Clip

RATE = 44100


def tone(
    level: float = 0.3, *, seconds: float = 2.0, hertz: float = 440.0, rate: int = RATE
) -> Clip:
    """Return a stereo sine."""
    times = np.arange(round(seconds * rate)) / rate
    wave = (level * np.sin(2 * np.pi * hertz * times)).astype(np.float32)
    return Clip(np.stack([wave, wave]), rate)


def test_the_loudness_becomes_the_sources() -> None:
    matched = mastering.match(tone(0.01, hertz=900), tone(0.3))

    assert loudness.integrated_loudness(tone(0.3)) == pytest.approx(
        loudness.integrated_loudness(matched), abs=0.05
    )


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
def test_the_result_has_the_sources_rate_and_length_to_the_sample(rate: int) -> None:
    like = Clip(np.zeros((1, 12347), np.float32), rate)
    result = mastering.finished(tone(seconds=12347 / rate), like=like)

    assert (rate, 12347) == (result.sample_rate, result.length)


def test_the_result_begins_and_ends_in_silence_and_stays_below_the_ceiling() -> None:
    result = mastering.finished(tone(3.0), like=tone())

    assert max(float(np.abs(result.samples[:, at]).max()) for at in (0, -1)) < 1e-3
    assert loudness.true_peak_db(result) <= -1.0 + 1e-3
