"""Raw material of synthesized sound: band-limited waves, envelopes, decaying strings and noise.

Knows frequencies and seconds at the arranger's rate. Every wave holds only harmonics below
`HIGHEST_HZ`, so nothing folds back. Knows no instruments: these are in `synths` and `drumkits`.
"""

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from server.engines.arranger.filters import RATE
from server.engines.arranger.interpolation import Recording, read_at
from server.media.clip import Samples

Shape = Literal["saw", "square", "pulse", "thin_pulse", "triangle", "stairs"]
Curve = NDArray[np.float64]

HIGHEST_HZ = 17000.0
_TABLE = 4096
_MOST_HARMONICS = 500
_DUTY: dict[str, float] = {"square": 0.5, "pulse": 0.25, "thin_pulse": 0.125}
_STAIRS = 16
"""Levels of the four-bit triangle of an NES."""

_SETTLED = -11.5
"""Natural logarithm of −100 dB."""


def hertz_of_pitch(pitch: float, *, cents: float = 0.0) -> float:
    """Return the frequency of a MIDI pitch in equal temperament at A = 440 Hz."""
    return float(440.0 * 2.0 ** ((pitch - 69.0 + cents / 100.0) / 12.0))


def samples_in(seconds: float) -> int:
    """Return how many samples last that long, one at least."""
    return max(1, round(seconds * RATE))


def times(length: int) -> Curve:
    """Return the time of each of `length` samples in seconds."""
    return np.arange(length) / RATE


def phases(hertz: float | Curve, length: int, *, start: float = 0.0) -> Curve:
    """Return the phase in cycles of an oscillator, `[length]`, not wrapped."""
    if isinstance(hertz, np.ndarray):
        steps = np.cumsum(hertz) / RATE
        return np.asarray(steps - steps[0] + start, dtype=np.float64)
    return np.asarray(np.arange(length) * (hertz / RATE) + start, dtype=np.float64)


def wave(shape: Shape, hertz: float, cycles: Curve) -> Samples:
    """Return a wave of amplitude about 1 at the given phases, `[N]`.

    `hertz` is the highest frequency the phases reach; it decides how many harmonics there are.
    """
    table = _table(shape, max(1, min(int(HIGHEST_HZ / hertz), _MOST_HARMONICS)))
    places = (cycles - np.floor(cycles)) * _TABLE
    whole = places.astype(np.intp)
    share = (places - whole).astype(np.float32)
    here = table.take(whole)
    read: Samples = here + share * (table.take(whole + 1) - here)
    return read


@lru_cache(maxsize=256)
def _table(shape: Shape, harmonics: int) -> Samples:
    """Return one cycle of a wave from its Fourier series, and its first sample again."""
    spectrum = np.zeros(_TABLE // 2 + 1, dtype=np.complex128)
    spectrum[1 : harmonics + 1] = _series(shape)[1 : harmonics + 1]
    cycle = np.fft.irfft(spectrum)
    return np.append(cycle, cycle[0]).astype(np.float32)


@lru_cache(maxsize=8)
def _series(shape: Shape) -> NDArray[np.complex128]:
    """Return the Fourier coefficients of a shape, its mean left out, in the scaling of `rfft`."""
    k = np.arange(1, _TABLE // 2 + 1)
    series = np.zeros(_TABLE // 2 + 1, dtype=np.complex128)
    if shape == "saw":
        series[1:] = -1j * _TABLE / (np.pi * k)
    elif shape == "triangle":
        series[1:] = np.where(k % 2, -1j * _TABLE * 4 / (np.pi * k) ** 2 * np.sin(np.pi * k / 2), 0)
    elif shape == "stairs":
        ramp = np.abs((np.arange(16 * _TABLE) / (8 * _TABLE) + 1.5) % 2 - 1)
        levels = np.minimum(np.floor(ramp * _STAIRS), _STAIRS - 1) / (_STAIRS - 1)
        series[1:] = (np.fft.rfft(2 * levels - 1) / 16)[1 : _TABLE // 2 + 1]
    else:
        width = _DUTY[shape]
        series[1:] = (
            2 * _TABLE / (np.pi * k) * np.sin(np.pi * k * width) * np.exp(-1j * np.pi * k * width)
        )
    return series


def sine(cycles: Curve) -> Samples:
    """Return the sine of phases in cycles."""
    swung: Samples = np.sin((2 * np.pi * (cycles - np.floor(cycles))).astype(np.float32))
    return swung


def adsr(
    held_seconds: float,
    *,
    attack: float = 0.003,
    decay: float = 0.2,
    sustain: float = 1.0,
    release: float = 0.1,
) -> Samples:
    """Return an envelope that rises, falls towards `sustain`, and rings out after `held_seconds`.

    Rise and fall are straight; the release is exponential, `release` seconds for 43 dB, and ends at
    zero, `[N]` with N that of the held and released time.
    """
    held, tail = samples_in(held_seconds), samples_in(release)
    risen, fallen_to = min(samples_in(attack), held), min(samples_in(attack + decay), held)
    seconds = np.arange(held, dtype=np.float32) / np.float32(RATE)
    shape = np.full(held, sustain, dtype=np.float32)
    shape[:risen] = seconds[:risen] / np.float32(attack)
    falling = (seconds[risen:fallen_to] - np.float32(attack)) / np.float32(decay)
    shape[risen:fallen_to] = 1.0 - np.float32(1.0 - sustain) * falling
    fading = np.exp(np.arange(1, tail + 1, dtype=np.float32) * np.float32(-5.0 / tail))
    ending = fading * np.linspace(1.0, 0.0, tail, dtype=np.float32) ** np.float32(0.25)
    return np.concatenate([shape, shape[-1] * ending])


def fallen(length: int, seconds: float) -> Samples:
    """Return an exponential fall from 1 by a factor e every `seconds`, `[length]`."""
    steps = np.arange(length, dtype=np.float32)
    curve: Samples = np.exp(steps * np.float32(-1.0 / (seconds * RATE)))
    return curve


def noise(length: int, random: np.random.Generator) -> Samples:
    """Return white noise of unit power."""
    return random.standard_normal(length, dtype=np.float32)


def string(
    hertz: float, length: int, *, ring_seconds: float, damping: float, pick: float
) -> Samples:
    """Return a struck or plucked string: harmonics that die the faster the higher they are.

    The closed form of a loop filter applied once a period, as in Karplus & Strong, "Digital
    synthesis of plucked-string and drum timbres" (1983), but without phase, so that it is in tune.

    Args:
        hertz: fundamental.
        length: samples to return.
        ring_seconds: time in which the fundamental falls by 60 dB.
        damping: extra loss of high harmonics a second; 1 is bright metal, 10 a muted gut string.
        pick: where it is struck, as a share of its length.
    """
    period = max(8, round(RATE / hertz))
    k = np.arange(period // 2 + 1)
    level = np.where((k > 0) & (k * hertz < HIGHEST_HZ), np.sin(np.pi * k * pick), 0.0)
    level = level / np.maximum(k, 1)
    loss = 6.9 / ring_seconds + damping * (k * hertz / 1000.0) ** 1.5
    speed = hertz * period / RATE
    periods = int(length * speed / period) + 3
    fading = np.maximum(-np.outer(np.arange(periods), loss) / hertz, _SETTLED)
    rows = np.fft.irfft(-1j * level * np.exp(fading) * period / 2, n=period, axis=1)
    flat = rows.astype(np.float32).ravel()
    return read_at(Recording(flat, (0, 0)), phases(speed * RATE, length))


def ended(samples: Samples, *, seconds: float = 0.004) -> Samples:
    """Fade the end to zero in place, so that nothing clicks, and return it."""
    fade = min(samples_in(seconds), len(samples))
    samples[len(samples) - fade :] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    return samples
