"""Reading a sound late by a lag that swings: chorus, wow and what else wavers.

Block by block: of a whole song nothing but the sound itself is held.
"""

from collections.abc import Callable

import numpy as np

from server.engines.arranger.filters import CONTROL_SAMPLES, RATE
from server.engines.arranger.interpolation import between
from server.media.clip import Samples

LONGEST_LAG_MS = 40.0
_BLOCK = 1 << 14
"""Samples read late at a time: few enough to stay in the processor's cache."""

Lag = Callable[[int, int], Samples]
"""Returns the lags in milliseconds of a part, from one sample to another."""


def swing(start: int, end: int, hertz: float, phase: float) -> Samples:
    """Return a part of a slow sine, drawn in straight lines of a millisecond and a half."""
    corners = np.arange(start, end + CONTROL_SAMPLES, CONTROL_SAMPLES)
    curve = np.sin(2 * np.pi * hertz / RATE * corners + phase).astype(np.float32)
    return between(curve, CONTROL_SAMPLES, end - start)


def lagged(channel: Samples, lag_ms: Lag) -> Samples:
    """Return a channel read late, a different lag at every sample; silence outside.

    `lag_ms` returns the lags of a part, from one sample to another, none longer than
    `LONGEST_LAG_MS` either way.
    """
    margin = round(LONGEST_LAG_MS * RATE / 1000) + 2
    padded = np.pad(channel, margin)
    read = np.empty_like(channel)
    for start in range(0, len(channel), _BLOCK):
        end = min(start + _BLOCK, len(channel))
        late = lag_ms(start, end) * np.float32(RATE / 1000)
        whole = np.floor(late).astype(np.intp) + 1
        share = whole.astype(np.float32) - late
        places = np.arange(start + margin, end + margin) - whole
        before, after = padded.take(places), padded[1:].take(places)
        read[start:end] = before + share * (after - before)
    return read
