"""How beats are divided: in two, in three, or in two with the second half late.

Knows onsets and beats; nothing of bars.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from server.engines.arranger.listening.agreement import peaks
from server.engines.arranger.listening.onsets import Onsets, Times

_NEAR = 0.045
"""Share of a beat that an onset may be off and still be meant for a place."""

_THIRDS = (1 / 3, 2 / 3)
_TERNARY_SHARE = 0.62
_FIRST_THIRD_SHARE = 0.45
_LEAST_ONSETS = 8
_HALF_PLACES = np.arange(0.44, 0.725, 0.005)
_QUARTER_PLACES = np.arange(0.22, 0.4, 0.005)
_BLUR = 0.02
_CLEAR_SHARE = 0.7
_LEAST_SWING = 0.1
"""Less is how people play straight."""


@dataclass(frozen=True, slots=True)
class Feel:
    """How beats are divided.

    Attributes:
        division: 2, or 3 where most of what is between beats falls on both thirds.
        swing: by which share of half a beat the second half comes late; 0 in three.
        fine_swing: by which share of a sixteenth every second one comes late.
    """

    division: Literal[2, 3] = 2
    swing: float = 0.0
    fine_swing: float = 0.0


def find_feel(onsets: Onsets, beats: Times) -> Feel:
    """Return how the beats `[B]` in seconds are divided; in two where little is between them."""
    times, weights = peaks(onsets)
    inside = (times >= beats[0]) & (times < beats[-1])
    places = np.interp(times[inside], beats, np.arange(beats.shape[0])) % 1.0
    weights = weights[inside]
    between = (places > 2 * _NEAR) & (places < 1 - 2 * _NEAR)
    places, weights = places[between], weights[between]
    if places.size < _LEAST_ONSETS:
        return Feel()
    if _is_ternary(places, weights):
        return Feel(3)
    swing = _lateness(places, weights, _HALF_PLACES, (0.4, 0.8), 0.5)
    if swing:
        return Feel(2, swing)
    return Feel(2, 0.0, _lateness(places % 0.5, weights, _QUARTER_PLACES, (0.15, 0.42), 0.25))


def _is_ternary(places: Times, weights: Times) -> bool:
    """Return whether most falls on the thirds, and on the first of them too: else it is swing."""
    first, second = (float(weights[np.abs(places - third) < _NEAR].sum()) for third in _THIRDS)
    falls = first + second > _TERNARY_SHARE * float(weights.sum())
    return falls and first > _FIRST_THIRD_SHARE * second


def _lateness(
    places: Times, weights: Times, tried: Times, within: tuple[float, float], straight: float
) -> float:
    """Return by which share of `straight` its onsets come late; 0 where they do not agree."""
    meant = (places > within[0]) & (places < within[1])
    if np.count_nonzero(meant) < _LEAST_ONSETS:
        return 0.0
    places, weights = places[meant], weights[meant]
    heights = np.exp(-0.5 * np.square((tried[:, None] - places) / _BLUR)) @ weights
    best = float(tried[int(heights.argmax())])
    near = np.abs(places - best) < _NEAR
    if weights[near].sum() < _CLEAR_SHARE * weights.sum():
        return 0.0
    late = (float(np.average(places[near], weights=weights[near])) - straight) / straight
    return late if late >= _LEAST_SWING else 0.0
