"""Whether there is a pulse: do onsets agree on a grid better than onsets at random would?

The test is Rayleigh's: every onset is an arrow whose angle is its place on the grid; arrows that
agree add up to their number, arrows at random to its root. Knows onsets; nothing of how a tempo was
found.
"""

import numpy as np
from scipy import signal

from server.engines.arranger.listening.onsets import Onsets, Times
from server.media import rhythm

_SOFTEST = 0.05
_PARTS = (3, 4)
"""Divisions of a beat that onsets may agree on."""


def agreement(onsets: Onsets, bpm: float) -> float:
    """Return how many times longer the sum of the onsets is than that of as many at random.

    Onsets at random reach 2.4 on the grid that suits them best, clear music the root of their
    number. At least 1.
    """
    times, weights = peaks(onsets)
    if not times.size:
        return 1.0
    most = 0.0
    for parts in _PARTS:
        angles = 2j * np.pi * times * parts * bpm / 60.0
        most = max(most, float(np.abs((weights * np.exp(angles)).sum())))
    return max(1.0, most / float(np.sqrt(np.square(weights).sum())))


def confidence(onsets: Onsets, bpm: float) -> float:
    """Return the agreement, a fifth more where all onsets agree and a fifth less where few do.

    Eight even quavers are few, but a pulse; thirty notes at random of which half happen to agree
    are none.
    """
    return max(1.0, agreement(onsets, bpm) * (0.8 + 0.4 * share_on_grid(onsets, bpm)))


def share_on_grid(onsets: Onsets, bpm: float) -> float:
    """Return the same as a share of what full agreement would be, 0 to 1."""
    _, weights = peaks(onsets)
    if not weights.size:
        return 0.0
    fullest = float(weights.sum() / np.sqrt(np.square(weights).sum()))
    return agreement(onsets, bpm) / max(fullest, 1.0)


def peaks(onsets: Onsets) -> tuple[Times, Times]:
    """Return when things start, in seconds, and how much each start counts."""
    loudest = float(np.percentile(onsets.whole, 99.5))
    frames, found = signal.find_peaks(onsets.whole, height=max(_SOFTEST * loudest, 1e-6))
    return frames / rhythm.FRAME_RATE, np.sqrt(found["peak_heights"])
