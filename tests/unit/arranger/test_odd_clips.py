"""Clips that are hardly music: short, cancelled, coarse, soft, offset, or nothing but noise."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

import variations
from server.engines.arranger.engine import Arranger
from server.engines.protocols import Brief, Transformation, tell_nobody
from server.media import loudness
from server.media.clip import Clip
from tests import music

PRESET = variations.load()["piano_classical"]


@lru_cache(maxsize=1)
def arranger() -> Arranger:
    """Return an engine without a sound bank: lengths and levels are all that matter here."""
    return Arranger(data_dir=Path("nowhere"))


def opposed(clip: Clip) -> Clip:
    """Return a mono clip with its other side in opposite phase."""
    return clip.with_samples(np.concatenate([clip.samples, -clip.samples]))


GUITAR = music.riff(seconds=2.0).clip
CLIPS = {
    "half a second": music.riff(seconds=0.5).clip,
    "a little more": music.riff(seconds=0.503).clip,
    "opposite phases": opposed(GUITAR),
    "mono": GUITAR,
    "8 kHz": music.riff(seconds=2.0, sample_rate=8000).clip,
    "-60 dB": GUITAR.with_samples(GUITAR.samples * np.float32(1e-3)),
    "an offset": GUITAR.with_samples(0.5 * GUITAR.samples + np.float32(0.4)),
}
NO_PITCH = "No pitched material was heard"


@lru_cache(maxsize=8)
def transformed(name: str) -> Transformation:
    """Return what the engine makes of a clip."""
    brief = Brief(variation=PRESET, prompt=PRESET.prompt, strength=1.0, seed=1)
    return arranger().transform(CLIPS[name], [brief], on_step=tell_nobody)[0]


@pytest.mark.parametrize("name", CLIPS)
class TestOddClips:
    def test_every_sample_is_there_and_finite(self, name: str) -> None:
        result, source = transformed(name).clip, CLIPS[name]

        assert (source.length, source.sample_rate) == (result.length, result.sample_rate)
        assert np.isfinite(result.samples).all()
        assert loudness.true_peak_db(result) <= -1.0 + 1e-2

    def test_it_is_played_and_said_to_be(self, name: str) -> None:
        result = transformed(name)

        assert np.abs(result.clip.samples).max() > 1e-5
        assert not np.array_equal(result.clip.samples, CLIPS[name].as_stereo().samples)
        assert not any(NO_PITCH in notice for notice in result.notices)


def test_twenty_seconds_of_noise_are_no_music_and_it_says_so() -> None:
    noise = music.noise(20.0, channels=1)
    brief = Brief(variation=PRESET, prompt=PRESET.prompt, strength=1.0, seed=1)

    result = arranger().transform(noise, [brief], on_step=tell_nobody)[0]

    assert noise.length == result.clip.length
    assert np.isfinite(result.clip.samples).all()
    assert any(NO_PITCH in notice for notice in result.notices)
