"""Writes the riff that the demo plays: a picked guitar, six bars of Am F C G F–E Am.

Our own music, made of numbers: strings by Karplus & Strong, "Digital synthesis of plucked-string
and drum timbres" (Computer Music Journal 7:2, 1983), a plucking point, a wooden body, a small room.

    python examples/riff.py server/cli/riff.flac
"""

import sys
from dataclasses import dataclass

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy import signal

SAMPLE_RATE = 44100
BPM = 108.0
BEATS = 24
SEED = 12
PEAK = 0.8

Wave = NDArray[np.float64]

# Each bar: the strings of the chord, lowest first, and for each of the eight quavers which of them
# are plucked. More than one digit is a strum.
AM = (45, 52, 57, 60, 64, 69)
F = (41, 48, 53, 57, 60, 65)
C = (48, 52, 55, 60, 64, 67)
G = (43, 50, 55, 59, 62, 67)
E = (40, 47, 52, 56, 59, 64)
BARS = (
    (AM, "04 2 3 4 5 4 3 2"),
    (F, "05 2 3 4 5 4 3 24"),
    (C, "05 2 3 5 4 3 4 2"),
    (G, "05 1 3 4 5 3 4 13"),
    (F, "05 2 3 4"),
    (E, "05 2 3 4"),
    (AM, "012345"),
)
BODY_HZ = ((98.0, 5.0, 7.0), (205.0, 4.0, 9.0), (410.0, 2.5, 8.0))
"""Resonances of the body: frequency, gain in dB, quality."""


@dataclass(frozen=True, slots=True)
class Pluck:
    """One string set in motion, until the chord changes."""

    start_seconds: float
    seconds: float
    pitch: int
    force: float


def plucks(random: np.random.Generator) -> list[Pluck]:
    """Return the whole riff: strings ring until the next chord, fingers are a little uneven."""
    quaver = 30.0 / BPM
    found: list[Pluck] = []
    begin = 0
    for strings, figure in BARS:
        fingers = figure.split()
        steps = len(fingers) if len(fingers) > 1 else 2 * BEATS - begin
        for step, finger in enumerate(fingers):
            accent = 0.95 if step == 0 else 0.8 if step == 4 else 0.62
            for order, string in enumerate(finger):
                late = 0.012 * order + abs(random.normal(0.0, 0.0035))
                force = accent * (1.0 - 0.12 * order) * random.uniform(0.9, 1.05)
                start = (begin + step) * quaver + late
                ring = (begin + steps) * quaver - start
                found.append(Pluck(start, ring, strings[int(string)], force))
        begin += steps
    return found


def string_wave(pluck: Pluck, random: np.random.Generator) -> Wave:
    """Return the motion of one string."""
    period = SAMPLE_RATE / (440.0 * 2.0 ** ((pluck.pitch - 69) / 12))
    # the damping filter delays by half a sample, the interpolation makes up the fraction
    whole = int(period - 0.5)
    fraction = period - 0.5 - whole
    loop = 0.9965 * np.convolve([1.0 - fraction, fraction], [0.5, 0.5])
    feedback = np.zeros(whole + loop.shape[0])
    feedback[0] = 1.0
    feedback[whole:] -= loop
    length = round((pluck.seconds + 0.06) * SAMPLE_RATE)
    burst = np.zeros(length)
    burst[: whole + 1] = random.uniform(-1.0, 1.0, whole + 1)
    # a softer pluck is duller; plucking at a fifth of the string takes every fifth partial away
    burst = signal.lfilter([0.25 + 0.5 * pluck.force], [1.0, 0.5 * pluck.force - 0.75], burst)
    point = max(1, round(period / 5))
    burst[point:] -= 0.9 * burst[:-point]
    wave = signal.lfilter([1.0], feedback, burst)
    # the finger leaves the string when the chord changes
    release = np.clip((length / SAMPLE_RATE - np.arange(length) / SAMPLE_RATE) / 0.06, 0.0, 1.0)
    return np.asarray(pluck.force * wave * release)


def body(wave: Wave) -> Wave:
    """Return the wave as the wood and the air in it sound."""
    for hertz, gain_db, quality in BODY_HZ:
        numerator, denominator = signal.iirpeak(hertz, quality, SAMPLE_RATE)
        wave = wave + (10 ** (gain_db / 20) - 1) * signal.lfilter(numerator, denominator, wave)
    numerator, denominator = signal.butter(2, 70.0, "highpass", fs=SAMPLE_RATE)
    return np.asarray(signal.lfilter(numerator, denominator, wave))


def room(wave: Wave, random: np.random.Generator) -> Wave:
    """Return the wave in a small room, `[N, 2]`."""
    times = np.arange(round(0.5 * SAMPLE_RATE)) / SAMPLE_RATE
    sides = []
    for _ in range(2):
        tail = random.normal(0.0, 1.0, times.shape[0]) * np.exp(-times / 0.09)
        tail[: round(0.008 * SAMPLE_RATE)] = 0.0
        tail = signal.lfilter([0.3], [1.0, -0.7], tail)
        wet = signal.fftconvolve(wave, tail / np.sqrt(np.sum(tail**2)))[: wave.shape[0]]
        sides.append(wave + 0.16 * wet)
    return np.stack(sides, axis=1)


def riff() -> NDArray[np.int16]:
    """Return the riff, `[N, 2]`: exactly 24 beats, the last ones ringing out."""
    random = np.random.default_rng(SEED)
    mix = np.zeros(round(BEATS * 60.0 / BPM * SAMPLE_RATE))
    for pluck in plucks(random):
        wave = string_wave(pluck, random)
        start = round(pluck.start_seconds * SAMPLE_RATE)
        part = wave[: mix.shape[0] - start]
        mix[start : start + part.shape[0]] += part
    sound = room(body(mix), random)
    sound[-round(0.4 * SAMPLE_RATE) :] *= np.linspace(1.0, 0.0, round(0.4 * SAMPLE_RATE))[:, None]
    level = PEAK * 32767 / np.abs(sound).max()
    steps: NDArray[np.int16] = np.round(sound * level).astype(np.int16)
    return steps


if __name__ == "__main__":
    soundfile.write(sys.argv[1], riff(), SAMPLE_RATE, subtype="PCM_16")
