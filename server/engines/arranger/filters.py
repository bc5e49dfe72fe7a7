"""Filters of single voices and of the bus, at the arranger's rate.

Knows second-order sections and how to move their cutoff. Formulas are those of Bristow-Johnson,
"Cookbook formulae for audio equalizer biquad filter coefficients" (2005).
"""

import math
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from server.media.clip import Samples

RATE = 44100
"""Sample rate of everything the arranger renders, in Hz."""

CONTROL_SAMPLES = 64
"""Grid on which slow movement (vibrato, filters) is computed."""

_OPEN_HZ = 18000.0
_LOWEST_HZ = 30.0
_STEP_CENTS = 100.0
_BUTTERWORTH_DB = 3.01
_PIECE_SAMPLES = 1 << 18


def lowpass(wave: Samples, hertz: float, *, resonance_db: float = 0.0) -> Samples:
    """Return mono samples through one low-pass section; 0 dB of resonance is Butterworth."""
    return _moved(wave, [(0, hertz)], resonance_db)


def swept_lowpass(
    wave: Samples, hertz: NDArray[np.float64], *, resonance_db: float = 0.0
) -> Samples:
    """Return mono samples through a low-pass that moves.

    `hertz` holds one cutoff for every `CONTROL_SAMPLES`. The filter is set anew only where the
    cutoff has moved by a semitone, and keeps its state.
    """
    steps = np.round(1200.0 / _STEP_CENTS * np.log2(hertz))
    changes = np.flatnonzero(np.diff(steps, prepend=np.nan) != 0)
    cutoffs = np.exp2(steps[changes] * (_STEP_CENTS / 1200.0)).tolist()
    moves = list(zip((changes * CONTROL_SAMPLES).tolist(), cutoffs, strict=True))
    return _moved(wave, moves, resonance_db)


def _moved(wave: Samples, moves: list[tuple[int, float]], resonance_db: float) -> Samples:
    if all(hertz >= _OPEN_HZ for _, hertz in moves):
        return wave
    filtered = np.empty_like(wave)
    state = np.zeros(2)
    ends = [start for start, _ in moves[1:]] + [len(wave)]
    for (start, hertz), end in zip(moves, ends, strict=True):
        numerator, denominator = _lowpass_section(hertz, resonance_db)
        filtered[start:end], state = signal.lfilter(
            numerator, denominator, wave[start:end], zi=state
        )
    return filtered


@lru_cache(maxsize=4096)
def _lowpass_section(
    hertz: float, resonance_db: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    omega = 2 * math.pi * min(max(hertz, _LOWEST_HZ), 0.45 * RATE) / RATE
    quality = 10.0 ** ((resonance_db - _BUTTERWORTH_DB) / 20.0)
    alpha, cosine = math.sin(omega) / (2 * quality), math.cos(omega)
    scale = 1.0 / (1.0 + alpha)
    side = 0.5 * (1.0 - cosine) * scale
    return (
        np.array([side, 2 * side, side]),
        np.array([1.0, -2 * cosine * scale, (1.0 - alpha) * scale]),
    )


def passed(
    wave: Samples,
    kind: Literal["lowpass", "highpass"],
    hertz: float,
    *,
    order: int = 2,
) -> Samples:
    """Return samples `[..., N]` through a Butterworth filter, float32."""
    return _through(_butterworth(order, (_safe(hertz),), kind), wave)


def banded(wave: Samples, low_hertz: float, high_hertz: float, *, order: int = 2) -> Samples:
    """Return samples `[..., N]` through a Butterworth band-pass, float32."""
    edges = (_safe(low_hertz), _safe(high_hertz))
    return _through(_butterworth(order, edges, "bandpass"), wave)


def _through(sections: NDArray[np.float64], wave: Samples) -> Samples:
    """Return samples `[..., N]` through second-order sections, a piece after the other.

    The library works in double precision: of a whole song that would be hundreds of megabytes.
    """
    if wave.shape[-1] <= _PIECE_SAMPLES:
        return np.asarray(signal.sosfilt(sections, wave, axis=-1), dtype=np.float32)
    filtered = np.empty(wave.shape, dtype=np.float32)
    state = np.zeros((len(sections), *wave.shape[:-1], 2))
    for start in range(0, wave.shape[-1], _PIECE_SAMPLES):
        piece = slice(start, start + _PIECE_SAMPLES)
        filtered[..., piece], state = signal.sosfilt(sections, wave[..., piece], axis=-1, zi=state)
    return filtered


@lru_cache(maxsize=512)
def _butterworth(
    order: int, edges: tuple[float, ...], kind: Literal["lowpass", "highpass", "bandpass"]
) -> NDArray[np.float64]:
    """Return second-order sections; designing them takes longer than to filter a note."""
    hertz = edges[0] if len(edges) == 1 else edges
    sections: NDArray[np.float64] = signal.butter(order, hertz, kind, fs=RATE, output="sos")
    return sections


def shelved(wave: Samples, hertz: float, gain_db: float, side: Literal["low", "high"]) -> Samples:
    """Return samples `[..., N]` with everything on one side of a frequency raised or lowered."""
    amplitude = 10.0 ** (gain_db / 40.0)
    omega = 2 * np.pi * _safe(hertz) / RATE
    sign = 1.0 if side == "low" else -1.0
    cosine = sign * np.cos(omega)
    spread = np.sqrt(2.0 * amplitude) * np.sin(omega)
    plus, minus = amplitude + 1.0, amplitude - 1.0
    numerator = amplitude * np.array(
        [
            plus - minus * cosine + spread,
            sign * 2 * (minus - plus * cosine),
            plus - minus * cosine - spread,
        ]
    )
    denominator = np.array(
        [
            plus + minus * cosine + spread,
            sign * -2 * (minus + plus * cosine),
            plus + minus * cosine - spread,
        ]
    )
    section = np.concatenate([numerator, denominator]) / denominator[0]
    return _through(section[None], wave)


def _safe(hertz: float) -> float:
    return min(max(hertz, 10.0), 0.49 * RATE)
