"""Voices are heard, instruments are not taken for them, and what is a voice's is told apart."""

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from server.engines.arranger.listening.voice import find_singing
from server.engines.arranger.score import Note, Singing
from server.media import resample
from server.media.clip import Samples
from tests import music
from tests.unit.arranger.listening import voices

RATE = 22050
SECONDS = 8.0


def at_level(samples: NDArray[np.floating]) -> Samples:
    """Return samples as they are listened to: with a peak of 0.8."""
    level: Samples = (0.8 * samples / np.abs(samples).max()).astype(np.float32)
    return level


@cache
def band(seed: int = 0, *, drums: bool = True) -> Samples:
    """Return a band as it is listened to."""
    timbres: tuple[music.Timbre, ...] = ("keys", "reed", "bell")
    piece = music.band(90 + 7 * seed, seed, SECONDS, seed, timbre=timbres[seed % 3], drums=drums)
    return at_level(resample.resample(piece.clip, RATE).mono())


@cache
def voice(kind: str, seed: int) -> Samples:
    """Return somebody who sings or speaks."""
    make = voices.singing if kind == "singing" else voices.speech
    samples: Samples = make(SECONDS, seed).samples[0]
    return samples


def over(one: Samples, other: Samples, decibels: float) -> tuple[Samples, Samples, Samples]:
    """Return one sound so much louder than another: both together, and each as it is in that."""
    scale = np.sqrt(np.square(other).mean() / np.square(one).mean()) * 10 ** (decibels / 20)
    level = 0.8 / np.abs(scale * one + other).max()
    one, other = (np.asarray(level * each, np.float32) for each in (scale * one, other))
    return one + other, one, other


def trembling(samples: Samples, *, hertz: float = 5.5, cents: float = 35.0) -> Samples:
    """Return an instrument played with vibrato all the time."""
    times = np.arange(samples.shape[0])
    depth = (2 ** (cents / 1200) - 1) * RATE / (2 * np.pi * hertz)
    moved = times + depth * np.sin(2 * np.pi * hertz * times / RATE)
    return at_level(np.interp(moved, times, samples))


def gliding(seed: int) -> Samples:
    """Return a synthesizer whose notes slide into each other."""
    random = np.random.default_rng(seed)
    steps = np.repeat(random.choice([60, 62, 64, 67, 69, 72], 20), round(0.4 * RATE))
    smooth = signal.windows.hann(round(0.1 * RATE))
    pitch = np.convolve(steps, smooth / smooth.sum(), "same")
    angle = 2 * np.pi * np.cumsum(440 * 2 ** ((pitch - 69) / 12)) / RATE
    partials = np.arange(1, 16)[:, None]
    return at_level((np.sin(partials * angle) / partials).sum(axis=0))


def driven(seed: int) -> Samples:
    """Return a bent guitar through an overdriven amplifier."""
    plucked = resample.resample(music.riff(100, SECONDS, seed).clip, RATE).mono()
    return at_level(np.tanh(4 * trembling(plucked, hertz=5.0, cents=50)))


def noise(seed: int) -> Samples:
    """Return noise, white or slowly swelling."""
    hiss = np.random.default_rng(seed).normal(0.0, 1.0, round(SECONDS * RATE))
    swell = np.square(np.sin(np.arange(hiss.size) * 6 * np.pi / RATE))
    return at_level(hiss if seed % 2 else hiss * swell)


INSTRUMENTS: dict[str, Callable[[], Samples]] = {
    **{f"band {seed}": partial(band, seed, drums=seed % 2 == 0) for seed in range(6)},
    "keys on a worn tape": lambda: trembling(band(0, drums=False), hertz=4.0, cents=12),
    "reeds with vibrato": lambda: trembling(band(1, drums=False)),
    "guitar": lambda: at_level(resample.resample(music.riff(110, SECONDS).clip, RATE).mono()),
    "driven guitar": lambda: driven(1),
    "another driven guitar": lambda: driven(2),
    "gliding synthesizer": lambda: gliding(0),
    "another gliding synthesizer": lambda: gliding(1),
    "noise": lambda: noise(1),
    "swelling noise": lambda: noise(2),
    "silence": lambda: np.zeros(round(SECONDS * RATE), np.float32),
    "a click": lambda: np.eye(1, round(SECONDS * RATE), 999, dtype=np.float32)[0],
}


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_an_instrument_is_not_taken_for_a_voice(name: str) -> None:
    assert find_singing(INSTRUMENTS[name](), ()) is None


@pytest.mark.parametrize(("kind", "seed"), [("speech", 0), ("speech", 3), ("singing", 2)])
def test_a_voice_is_heard_and_known_to_be_alone(kind: str, seed: int) -> None:
    found = find_singing(at_level(voice(kind, seed)), ())

    assert found is not None
    assert found.is_alone


@cache
def mixed(seed: int = 4) -> tuple[Samples, Samples, Samples]:
    """Return somebody who speaks louder than a band, the voice in it and the band in it."""
    return over(voice("speech", seed), band(seed), 4.0)


@cache
def heard(seed: int = 4) -> Singing:
    """Return that voice as it was heard."""
    found = find_singing(mixed(seed)[0], ())
    assert found is not None
    return found


def test_a_voice_over_a_band_is_heard_and_not_alone() -> None:
    assert not heard().is_alone
    assert 0.1 < heard().share < 0.92
    assert 0.5 < heard().confidence <= 1.0


def ratio_db(found: Samples, wanted: Samples) -> float:
    """Return how much louder what is wanted is than the rest of what was found."""
    scale = np.vdot(found, wanted) / np.vdot(wanted, wanted)
    rest = found - scale * wanted
    return float(10 * np.log10(np.square(scale * wanted).mean() / np.square(rest).mean()))


def test_its_layer_holds_more_of_the_voice_and_the_rest_more_of_the_band() -> None:
    both, sung, played = mixed()
    layer = heard().layer

    assert ratio_db(layer, sung) > ratio_db(both, sung) + 1.0
    assert ratio_db(both - layer, played) > ratio_db(both, played) + 3.0


def test_the_layer_of_another_voice_is_no_better_than_the_whole() -> None:
    both, sung, _ = mixed()

    assert ratio_db(heard(0).layer, sung) < ratio_db(both, sung)


def test_only_notes_that_go_with_the_voice_are_the_voices() -> None:
    """Of all notes of two octaves at once, three at most: a voice has one, or glides."""
    sung = voices.singing(SECONDS, 2)
    steady = [
        Note(0.5 * number, 0.4, pitch, 0.8) for number in range(16) for pitch in range(48, 72)
    ]
    found = find_singing(at_level(sung.samples[0]), steady)

    assert found is not None
    at_once: dict[float, set[int]] = {}
    for note in found.notes:
        at_once.setdefault(note.start_seconds, set()).add(note.pitch % 12)
    assert at_once
    assert all(len(classes) <= 3 for classes in at_once.values())


def test_what_is_heard_does_not_depend_on_chance() -> None:
    again = find_singing(mixed()[0], ())

    assert again is not None
    np.testing.assert_array_equal(heard().layer, again.layer)


@pytest.mark.parametrize("length", [0, 1, 300, 5000])
def test_short_sounds_have_no_voice(length: int) -> None:
    assert find_singing(voice("speech", 0)[:length], ()) is None
