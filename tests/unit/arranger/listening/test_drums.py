"""Strokes that were played are heard, as what they are, and only where there is a drummer."""

from functools import cache

import numpy as np
import pytest

from server.engines.arranger.listen import HARMONIC_MARGIN
from server.engines.arranger.listening import drums
from server.engines.arranger.score import DrumHit
from server.media import resample, spectrum
from server.media.clip import Clip, Samples
from tests import music

RATE = 22050
SECONDS = 8.0
TIMBRES: tuple[music.Timbre, ...] = ("keys", "reed", "bell")


def apart(clip: Clip) -> tuple[Samples, Samples]:
    """Return the percussive and the harmonic layer of a clip, as they are listened to."""
    samples = resample.resample(clip, RATE).mono()
    samples *= np.float32(0.8 / np.abs(samples).max())
    harmonic, percussive = spectrum.hpss(samples, RATE, margin=HARMONIC_MARGIN)
    return percussive, harmonic


@cache
def band(seed: int, *, has_drums: bool = True) -> music.Piece:
    """Return a band in one of three timbres."""
    timbre = TIMBRES[seed % 3]
    return music.band(90 + 11 * seed, seed, SECONDS, seed, timbre=timbre, drums=has_drums)


def with_soft_drums(seed: int, gain: float) -> Clip:
    """Return a band whose drummer plays more softly by a factor."""
    both, alone = band(seed).clip, band(seed, has_drums=False).clip
    scale = np.vdot(both.samples[0], alone.samples[0]) / np.vdot(alone.samples[0], alone.samples[0])
    rest = np.float32(scale) * alone.samples
    soft = rest + np.float32(gain) * (both.samples - rest)
    return both.with_samples(soft.astype(np.float32))


def f_score(
    hits: tuple[DrumHit, ...], piece: music.Piece, kind: str, *, late: float = 0.0
) -> float:
    """Return how well strokes of a kind agree with those written, within 30 ms."""
    heard = np.array([hit.start_seconds + late for hit in hits if hit.kind == kind])
    written = np.array([each.start_seconds for each in piece.strokes if each.kind == kind])
    if not heard.size:
        return 0.0
    away = np.abs(heard[:, None] - written)
    found = (away.min(axis=0) < 0.03).sum() + (away.min(axis=1) < 0.03).sum()
    return float(found / (heard.size + written.size))


LEAST = {"kick": 0.9, "snare": 0.8, "hat": 0.9}


@pytest.mark.parametrize("seed", range(4))
def test_a_bands_drummer_is_heard(seed: int) -> None:
    percussive, harmonic = apart(band(seed).clip)
    hits = drums.find_strokes(percussive)

    assert drums.are_heard(percussive, harmonic)
    assert all(f_score(hits, band(seed), kind) >= least for kind, least in LEAST.items())
    assert all(f_score(hits, band(seed), kind, late=0.08) < 0.5 for kind in LEAST)


@pytest.mark.parametrize("seed", range(4))
def test_soft_strokes_are_told_apart_as_well(seed: int) -> None:
    hits = drums.find_strokes(apart(with_soft_drums(seed, 0.5))[0])

    assert all(f_score(hits, band(seed), kind) >= least for kind, least in LEAST.items())


@pytest.mark.parametrize("seed", range(3))
def test_a_band_without_a_drummer_has_no_drums(seed: int) -> None:
    assert not drums.are_heard(*apart(band(seed, has_drums=False).clip))


@pytest.mark.parametrize("bpm", [90.0, 120.0])
def test_a_picked_guitar_has_no_drums(bpm: float) -> None:
    assert not drums.are_heard(*apart(music.riff(bpm, SECONDS).clip))


def test_a_guitar_over_the_softest_hiss_has_no_drums() -> None:
    guitar = music.band(seconds=SECONDS, drums=False).clip
    hiss = music.noise(SECONDS, level=0.0005)

    assert not drums.are_heard(*apart(guitar.with_samples(guitar.samples + hiss.samples)))


def test_hats_alone_have_no_snare() -> None:
    """A known error was a snare under every loud kick and every hat."""
    samples = np.zeros((1, round(SECONDS * 44100)), np.float32)
    hiss = np.diff(np.random.default_rng(0).normal(0.0, 0.2, 2001))
    stroke = (hiss * np.exp(-np.arange(2000) / 900)).astype(np.float32)
    for start in range(0, samples.shape[1] - 2000, 11025):
        samples[0, start : start + 2000] += stroke
    hits = drums.find_strokes(apart(Clip(samples, 44100))[0])

    assert {"hat"} == {hit.kind for hit in hits if hit.kind != "kick"}


@pytest.mark.parametrize("length", [0, 1, 100, 5000])
def test_short_and_silent_sounds_have_none(length: int) -> None:
    silence = np.zeros(length, np.float32)

    assert drums.find_strokes(silence) == ()
    assert not drums.are_heard(silence, silence)
