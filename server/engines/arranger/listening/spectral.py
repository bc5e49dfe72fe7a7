"""Note posteriors without a network: in each frame, the notes that explain the most partials.

Knows levels of semitones; nothing of what a note is. Markedly worse than the network where notes
repeat or lie close together.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from server.engines.arranger.score import ANALYSIS_RATE, FRAME_HOP
from server.media import spectrum
from server.media.clip import Samples

_PARTIALS = ((0, 1.0), (12, 0.8), (19, 0.64), (24, 0.51), (28, 0.41), (31, 0.33))
"""Semitones above a note and the weight of the partial there."""

_VOICES = 6
"""The most notes in a frame."""

_RANGE_DB = 40.0
_LEAST_SHARE = 0.15
"""Of the frame's loudest note; weaker ones are remains of louder ones."""

_RISE_FRAMES = 4


def spectral_posteriors(
    samples: Samples, frames: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return onset and frame posteriors of mono samples at 22050 Hz, each `[frames, 88]`."""
    levels = spectrum.cqt_levels(samples, ANALYSIS_RATE, hop=FRAME_HOP)
    loudest = float(levels.max(initial=0.0))
    if loudest < 1e-6:
        silent = np.zeros((frames, spectrum.SEMITONES), np.float32)
        return silent, silent
    sounding = _scaled(_explained(levels / loudest))
    rise = sounding.copy()
    rise[:, _RISE_FRAMES:] -= sounding[:, :-_RISE_FRAMES]
    onset = np.clip(2.0 * rise, 0.0, 1.0)
    return _fitted(onset, frames), _fitted(sounding, frames)


def _explained(levels: Samples) -> Samples:
    """Return the strength of the notes that were found one after the other, `[88, T]`.

    Each round takes the note with the strongest partials out of every frame; Klapuri, "Multiple
    fundamental frequency estimation by summing harmonic amplitudes" (2006). Only semitones that
    stand out of their neighbours can be notes.
    """
    rest = np.where(levels >= ndimage.maximum_filter1d(levels, 3, axis=0), levels, 0.0)
    found = np.zeros_like(levels)
    times = np.arange(levels.shape[1])
    first = np.zeros(levels.shape[1], np.float32)
    for number in range(_VOICES):
        strengths = np.where(rest > 0.0, _summed(rest), 0.0)
        notes = strengths.argmax(axis=0)
        strongest = strengths[notes, times]
        first = strongest if number == 0 else first
        kept = strongest > _LEAST_SHARE * first
        found[notes[kept], times[kept]] = strongest[kept]
        for interval, _ in _PARTIALS:
            rows = np.minimum(notes + interval, spectrum.SEMITONES - 1)
            rest[rows, times] = 0.0
    return found


def _summed(levels: Samples) -> Samples:
    """Return the weighted sum of each semitone's partials."""
    total = np.zeros_like(levels)
    for interval, weight in _PARTIALS:
        total[: levels.shape[0] - interval] += weight * levels[interval:]
    return total


def _scaled(strengths: Samples) -> Samples:
    """Return 0 to 1 for the top `_RANGE_DB`, without flicker of single frames."""
    decibels = 20.0 * np.log10(np.maximum(strengths / strengths.max(), 1e-6))
    scaled = np.clip(1.0 + decibels / _RANGE_DB, 0.0, 1.0)
    return np.asarray(ndimage.median_filter(scaled, (1, 5)), np.float32)


def _fitted(view: Samples, frames: int) -> NDArray[np.float32]:
    """Return `[88, T]` as `[frames, 88]`, cut or filled with zeros."""
    fitted = np.zeros((frames, view.shape[0]), np.float32)
    kept = min(frames, view.shape[1])
    fitted[:kept] = view[:, :kept].T
    return fitted
