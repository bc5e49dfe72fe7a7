"""Voices that sing and speak, made by source and filter.

A train of harmonics moves through the resonances of a throat that goes from vowel to vowel; between
syllables there are consonants of noise. Fant, "Acoustic theory of speech production" (1960).
Everything is made from the seed.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from server.media.clip import Clip

RATE = 22050
_CONTROL_RATE = 200

Wave = NDArray[np.float64]

_VOWELS = np.array(
    [
        (730, 1090, 2440, 3400),
        (530, 1840, 2480, 3500),
        (270, 2290, 3010, 3700),
        (570, 840, 2410, 3300),
        (300, 870, 2240, 3300),
        (490, 1350, 1690, 3300),
        (660, 1720, 2410, 3500),
    ],
    dtype=np.float64,
)
"""Resonances in Hz; Peterson & Barney, "Control methods used in a study of the vowels" (1952)."""

_BANDWIDTHS = np.array((80.0, 100.0, 140.0, 220.0))
_PENTATONIC = (0, 2, 4, 7, 9)


def singing(seconds: float = 8.0, seed: int = 0, *, root: int | None = None) -> Clip:
    """Return a sung line of a few syllables a second over a pentatonic scale, mono."""
    random = np.random.default_rng(seed)
    low = int(random.integers(45, 66)) if root is None else root
    syllables = _syllables(seconds, random, shortest=0.2, longest=1.1, rest=0.15)
    walk = np.clip(np.cumsum(random.integers(-2, 3, len(syllables))), -3, 6)
    pitches = [low + 12 * (step // 5) + _PENTATONIC[step % 5] for step in walk]
    curve = _sung(seconds, syllables, pitches, random)
    return _voiced(curve, syllables, seconds, random)


def speech(seconds: float = 8.0, seed: int = 0) -> Clip:
    """Return something like speech: four or five syllables a second, falling phrases, mono."""
    random = np.random.default_rng(seed)
    middle = float(random.uniform(43, 58))
    syllables = _syllables(seconds, random, shortest=0.1, longest=0.3, rest=0.12)
    curve = _spoken(seconds, syllables, middle, random)
    return _voiced(curve, syllables, seconds, random)


_Syllables = list[tuple[float, float]]
"""From when to when each one sounds, in seconds."""


def _syllables(
    seconds: float, random: np.random.Generator, *, shortest: float, longest: float, rest: float
) -> _Syllables:
    found, time = [], float(random.uniform(0.0, 0.3))
    while time < seconds - shortest:
        length = float(np.exp(random.uniform(np.log(shortest), np.log(longest))))
        found.append((time, min(time + length, seconds)))
        time += length + float(random.choice([0.03, 0.06, 0.4], p=[0.6, 0.4 - rest, rest]))
    return found


def _sung(
    seconds: float, syllables: _Syllables, pitches: list[int], random: np.random.Generator
) -> Wave:
    """Return the pitch at control rate: notes joined by glides, begun from below, with vibrato."""
    times = np.arange(round(seconds * _CONTROL_RATE)) / _CONTROL_RATE
    steps = np.full(times.shape, float(pitches[0]))
    depth = np.zeros(times.shape)
    most = float(random.uniform(0.15, 0.8))
    for (start, end), pitch in zip(syllables, pitches, strict=True):
        steps[times >= start - 0.03] = pitch
        since = times - start
        steps += (
            (since > -0.03)
            * (times < end)
            * -random.uniform(0, 1.5)
            * np.exp(-(since + 0.03) / 0.05)
        )
        depth += (since > 0) * (times < end) * most * np.clip((since - 0.15) / 0.25, 0, 1)
    smooth = signal.windows.hann(round(random.uniform(0.06, 0.16) * _CONTROL_RATE))
    steps = np.convolve(np.pad(steps, smooth.size, mode="edge"), smooth / smooth.sum(), "same")
    steps = steps[smooth.size : -smooth.size]
    rate = random.uniform(4.8, 6.6) + 0.3 * _drift(times.size, 1.0, random)
    vibrato = depth * np.sin(2 * np.pi * np.cumsum(rate) / _CONTROL_RATE)
    return np.asarray(steps + vibrato + 0.12 * _drift(times.size, 4.0, random))


def _spoken(
    seconds: float, syllables: _Syllables, middle: float, random: np.random.Generator
) -> Wave:
    """Return the pitch at control rate: accents that come and go over phrases that fall."""
    times = np.arange(round(seconds * _CONTROL_RATE)) / _CONTROL_RATE
    pitch = middle + 1.5 * _drift(times.size, 1.5, random)
    phrase = 0.0
    for (start, end), (following, _) in zip(
        syllables, [*syllables[1:], (seconds, seconds)], strict=True
    ):
        accent = float(random.choice([0.0, 1.5, 4.0, -2.0]))
        centre, width = (start + end) / 2, 0.5 * (end - start) + 0.05
        pitch += accent * np.exp(-0.5 * np.square((times - centre) / width))
        inside = (times >= start) & (times < following)
        pitch[inside] -= 2.0 * (times[inside] - phrase)
        phrase = following if following - end > 0.3 else phrase
        pitch[inside] = np.maximum(pitch[inside], middle - 9)
    smooth = signal.windows.hann(17)
    padded = np.pad(pitch, smooth.size, mode="edge")
    pitch = np.convolve(padded, smooth / smooth.sum(), "same")[smooth.size : -smooth.size]
    return np.asarray(pitch + 0.15 * _drift(times.size, 8.0, random))


def _drift(length: int, hertz: float, random: np.random.Generator) -> Wave:
    """Return slow noise below some frequency at control rate, its deviation 1."""
    taps = signal.butter(2, hertz / (_CONTROL_RATE / 2), output="sos")
    noise = signal.sosfilt(taps, random.normal(0.0, 1.0, length + _CONTROL_RATE))[_CONTROL_RATE:]
    return np.asarray(noise / max(float(noise.std()), 1e-9))


def _voiced(
    pitch: Wave, syllables: _Syllables, seconds: float, random: np.random.Generator
) -> Clip:
    """Return the harmonics of a pitch through moving resonances, and consonants between them."""
    length = round(seconds * RATE)
    throat = float(random.uniform(0.9, 1.2))
    level, targets = _articulated(pitch.size, syllables, random)
    hertz = 440.0 * 2.0 ** ((pitch - 69) / 12)
    hertz *= 1.0 + 0.006 * random.normal(0.0, 1.0, pitch.size)
    at = np.arange(length) * (_CONTROL_RATE / RATE)
    controls = np.arange(pitch.size)
    angle = 2 * np.pi * np.cumsum(np.interp(at, controls, hertz)) / RATE
    wave = np.zeros(length)
    tilt = float(random.uniform(0.9, 1.5))
    for harmonic in range(1, int(9000 / hertz.min()) + 1):
        gain = _resonance(harmonic * hertz, throat * targets) * harmonic**-tilt
        gain *= (harmonic * hertz < 9000) * level
        if gain.max() > 1e-4:
            wave += np.interp(at, controls, gain) * np.sin(harmonic * angle)
    wave /= max(float(np.abs(wave).max()), 1e-9)
    wave += _consonants(length, syllables, random)
    wave += 0.02 * np.interp(at, controls, level) * random.normal(0.0, 1.0, length)
    return Clip((0.5 * wave / np.abs(wave).max()).astype(np.float32)[None], RATE)


def _articulated(
    length: int, syllables: _Syllables, random: np.random.Generator
) -> tuple[Wave, Wave]:
    """Return the level `[T]` and the resonances `[T, 4]` of syllables.

    Each opens from the place of its consonant to a vowel, often goes on to another, and closes.
    """
    times = np.arange(length) / _CONTROL_RATE
    level, targets = np.zeros(length), np.tile(_VOWELS[0], (length, 1))
    for start, end in syllables:
        first, second = _VOWELS[random.integers(0, len(_VOWELS), 2)]
        closed = np.array((250.0, random.uniform(700, 2300), random.uniform(1900, 3000), 3400.0))
        opening, turn = start + 0.06, start + (end - start) * float(random.uniform(0.35, 1.1))
        for since, target in ((start - 0.02, closed), (opening, first), (turn, second)):
            targets[times >= since] = target
        targets[times >= max(end - 0.04, opening)] = closed
        rise = np.clip((times - start) / 0.03, 0, 1) * np.clip((end - times) / 0.05, 0, 1)
        level = np.maximum(level, rise * float(random.uniform(0.5, 1.0)))
    smooth = signal.windows.hann(13)[:, None]
    padded = np.pad(targets, ((13, 13), (0, 0)), mode="edge")
    return level, signal.convolve(padded, smooth / smooth.sum(), "same")[13:-13]


def _resonance(hertz: Wave, resonances: Wave) -> Wave:
    """Return the gain of a cascade of resonances at one frequency a frame, `[T]`."""
    square = np.square(hertz)[:, None]
    centre = np.square(resonances)
    width = np.square(_BANDWIDTHS * hertz[:, None])
    return np.asarray((centre / np.sqrt(np.square(centre - square) + width)).prod(axis=1))


def _consonants(length: int, syllables: _Syllables, random: np.random.Generator) -> Wave:
    wave = np.zeros(length)
    for start, _ in syllables:
        if random.random() < 0.6:
            size = round(float(random.uniform(0.03, 0.1)) * RATE)
            first = max(0, round(start * RATE) - size)
            low = float(random.uniform(1500, 5000))
            taps = signal.butter(2, (low, min(2 * low, 10500)), "bandpass", fs=RATE, output="sos")
            noise = signal.sosfilt(taps, random.normal(0.0, 1.0, size)) * np.hanning(size)
            wave[first : first + size] += float(random.uniform(0.1, 0.5)) * noise[: length - first]
    return wave
