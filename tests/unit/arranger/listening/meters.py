"""Music in several meters, feels and tempi, with its beats: what the tests of time listen to.

A piece is a bass, chords and a figure over a loop of four chords, with or without a drummer. Where
its beats fall is any function of their number, so that it may speed up, slow down or wander.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from server.media import resample, spectrum
from server.media.clip import Clip
from tests.music import Note, Stroke, _play

RATE = 22050
BASS_HERTZ = 180.0

Style = Literal["4/4", "3/4", "6/8", "12/8"]
Sounding = tuple[float, float, int, float]
"""A note's beat, its length in beats, pitch and velocity."""

Clock = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""When beats fall: seconds of beat numbers, which may be fractions."""

_ROOTS = ((0, 7, 9, 5), (9, 5, 0, 7), (0, 9, 5, 7), (2, 7, 0, 9))
_THIRDS = {0: 4, 2: 3, 4: 3, 5: 4, 7: 4, 9: 3}
_TUNES = (((0.0, 2.0), (2.0, 1.0)), ((0.0, 1.0), (1.0, 0.5), (1.5, 0.5), (2.0, 1.0)))
_BEATS = {"4/4": 4, "3/4": 3, "6/8": 2, "12/8": 4}


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """Music with where its beats are; bars begin at beat 0."""

    clip: Clip
    beats: NDArray[np.float64]


def steady(bpm: float, *, start: float = 0.0) -> Clock:
    """Return a clock of one tempo."""
    return lambda beats: start + beats * 60.0 / bpm


def changing(first: float, last: float, seconds: float) -> Clock:
    """Return a clock whose tempo goes evenly from `first` to `last` BPM over so many seconds."""
    growth = (last - first) / seconds / 60.0

    def clock(beats: NDArray[np.float64]) -> NDArray[np.float64]:
        base = first / 60.0
        inside = np.maximum(base**2 + 2 * growth * beats, 0.01)  # it does not stop
        return np.asarray((np.sqrt(inside) - base) / growth)

    return clock


def wandering(bpm: float, share: float, *, seed: int, seconds: float = 40.0) -> Clock:
    """Return a clock whose tempo strays by up to `share` from the mean, as a live drummer's."""
    random = np.random.default_rng(seed)
    times = np.arange(0.0, seconds, 0.05)
    phases, weights = random.uniform(0, 2 * np.pi, 3), random.uniform(0.5, 1.0, 3)
    waves = sum(
        weight * np.sin(2 * np.pi * times / period + phase)
        for weight, period, phase in zip(weights, (7.0, 11.0, 19.0), phases, strict=True)
    )
    pace = bpm / 60.0 * (1.0 + share * waves / np.abs(waves).max())
    passed = np.concatenate([[0.0], np.cumsum(0.05 * pace)[:-1]])
    return lambda beats: np.interp(beats, passed, times)


def piece(
    style: Style,
    clock: Clock,
    *,
    seconds: float = 20.0,
    seed: int = 0,
    swing: float = 0.0,
    drums: bool = True,
    jitter: float = 0.0,
    fine: float = 0.0,
) -> Timed:
    """Return music of a meter; its second half beats come late by `swing` of half a beat.

    `fine` delays every second sixteenth by that share of one; `jitter` is the standard deviation of
    all onsets in seconds.
    """
    random = np.random.default_rng([seed, 5])
    count = int(np.searchsorted(clock(np.arange(2000.0)), seconds))

    def at(beat: float) -> float:
        whole, part = divmod(beat, 1.0)
        if fine and part % 0.5 == 0.25:
            part += 0.25 * fine
        part = part * (1 + swing) if part < 0.5 else 1 - (1 - part) * (1 - swing)
        late = random.normal(0.0, jitter) if jitter else 0.0
        return max(0.0, float(clock(np.array([whole + part]))[0]) + late)

    written = list(_written(style, count, seed))
    notes = [
        Note(at(beat), max(0.08, at(beat + length) - at(beat) - 0.01), pitch, velocity)
        for beat, length, pitch, velocity in written
    ]
    strokes = (
        [Stroke(at(beat), kind) for beat, kind in _struck(style, count, seed)] if drums else []
    )
    notes.sort(key=lambda note: note.start_seconds)
    sound = _play(notes, strokes, ("keys", "bell", "reed")[seed % 3], seconds, RATE)
    return Timed(Clip(sound, RATE), clock(np.arange(float(count))))


def _written(style: Style, count: int, seed: int) -> Iterator[Sounding]:
    size = _BEATS[style]
    roots = _ROOTS[seed % len(_ROOTS)]
    order = np.random.default_rng(seed).permutation(4)
    for bar in range(count // size + 1):
        root = roots[bar % 4]
        triad = (root, root + _THIRDS[root], root + 7)
        for beat, length, pitch, velocity in _bar(style, triad, order, seed):
            if bar * size + beat < count:
                yield bar * size + beat, length, pitch, velocity


def _bar(
    style: Style, triad: tuple[int, int, int], order: NDArray[np.int64], seed: int
) -> list[Sounding]:
    root = triad[0] % 12
    steps = [72 + pitch for pitch in (*triad, triad[0] + 12)]
    if style == "4/4":
        bass: list[Sounding] = [(2.0 * half, 1.8, 36 + root, 0.9) for half in range(2)]
        held: list[Sounding] = [(0.0, 3.9, 60 + pitch % 12, 0.35) for pitch in triad]
        return [*bass, *held, *((n / 2, 0.45, steps[order[n % 4]], 0.55) for n in range(8))]
    if style == "3/4":
        tune = _TUNES[seed % 2]
        chick: list[Sounding] = [
            (beat, 0.6, 60 + pitch % 12, 0.4) for beat in (1.0, 2.0) for pitch in triad
        ]
        melody = [(at, long, steps[order[n]], 0.6) for n, (at, long) in enumerate(tune)]
        return [(0.0, 0.95, 36 + root, 0.9), *chick, *melody]
    size, every = _BEATS[style], 2 if style == "12/8" else 1
    lows: list[Sounding] = [
        (float(beat), 0.95, 36 + root + 7 * (beat > 0), 0.9) for beat in range(0, size, every)
    ]
    wave = (0, 1, 2, 3, 2, 1)
    return [*lows, *((n / 3, 0.3, steps[wave[n % 6]], 0.55) for n in range(3 * size))]


def _struck(
    style: Style, count: int, seed: int
) -> Iterator[tuple[float, Literal["kick", "snare", "hat"]]]:
    size = _BEATS[style]
    for beat in range(count):
        place = beat % size
        if style == "3/4":
            yield beat, "snare" if place else "kick"
        else:
            yield beat, "snare" if place % 2 else "kick"
        parts = 3 if style in {"6/8", "12/8"} else 2
        for part in range(parts):
            yield beat + part / parts, "hat"
    if style == "4/4" and seed % 3 == 1:
        for beat in range(2, count, 4):
            yield beat + 0.5, "kick"


def envelopes(clip: Clip) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the onset envelope of a clip and that of its bass, `[T]` each."""
    mono = resample.resample(clip, RATE).mono()
    sections = signal.butter(4, BASS_HERTZ, fs=RATE, output="sos")
    low = np.asarray(signal.sosfilt(sections, mono), np.float32)
    return spectrum.onset_envelope(mono, RATE), spectrum.onset_envelope(low, RATE)
