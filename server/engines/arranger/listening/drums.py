"""Drum strokes: sudden energy in three bands of the percussive layer.

Knows sound at the analysis rate; nothing of patterns or bars. Toms become kicks or snares and every
cymbal a hat; false snares under loud kicks are its known error.
"""

import numpy as np
from scipy import signal

from server.engines.arranger.score import ANALYSIS_RATE, DrumHit, DrumKind
from server.media import spectrum
from server.media.clip import Samples

_N_FFT = 1024
_HOP = 128
_LAG = 3
_DEAD_SECONDS = 0.07
_BANDS: tuple[tuple[DrumKind, float, float, float], ...] = (
    ("kick", 0.0, 150.0, 0.25),
    ("snare", 180.0, 2500.0, 0.25),
    ("hat", 5500.0, ANALYSIS_RATE / 2 + 1, 0.12),
)
"""Kind, band in Hz, and the share of the band's strongest rise that makes a stroke."""


def find_strokes(percussive: Samples) -> tuple[DrumHit, ...]:
    """Return the strokes in a percussive layer `[N]`, by start."""
    levels = spectrum.magnitudes(percussive, n_fft=_N_FFT, hop=_HOP)
    hertz = np.arange(levels.shape[0]) * ANALYSIS_RATE / _N_FFT
    hits = [
        hit
        for kind, low, high, share in _BANDS
        for hit in _strokes(levels[(hertz >= low) & (hertz < high)], kind, share)
    ]
    return tuple(sorted(hits, key=lambda hit: (hit.start_seconds, hit.kind)))


def _strokes(band: Samples, kind: DrumKind, share: float) -> list[DrumHit]:
    energy = np.sqrt(np.square(band).sum(axis=0))
    rise = np.zeros_like(energy)
    rise[_LAG:] = np.maximum(0.0, energy[_LAG:] - energy[:-_LAG])
    strongest = float(np.percentile(rise, 99.5))
    if strongest <= 0.0:
        return []
    distance = int(_DEAD_SECONDS * ANALYSIS_RATE / _HOP)
    peaks, _ = signal.find_peaks(rise, height=share * strongest, distance=distance)
    return [
        DrumHit(frame * _HOP / ANALYSIS_RATE, kind, min(1.0, float(rise[frame]) / strongest))
        for frame in peaks.tolist()
    ]
