"""Reading a recording at another speed: unrolled loops and cubic interpolation.

Knows arrays and fractional positions; knows nothing of pitches, envelopes or sound banks.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from server.media.clip import Samples

Positions = NDArray[np.float64]

_BLOCK = 4096
"""Samples interpolated at a time: few enough to stay in the processor's cache."""

_MARGIN = 4
"""Samples around a position that interpolation may touch."""


class Recording(NamedTuple):
    """Samples `[N]` and the loop `(first, end)` in them; an empty loop plays once."""

    wave: Samples
    loop: tuple[int, int]

    @property
    def is_looped(self) -> bool:
        """Whether it goes on for ever."""
        return self.loop[1] > self.loop[0]


def unrolled(recording: Recording, start: int, length: int) -> Samples:
    """Return samples `start … start + length` of a recording whose loop has been laid out flat.

    What lies before the first sample or after the last of an unlooped recording is silence. Laying
    the loop out costs a copy; it spares every sample of output a wrap-around.
    """
    flat = np.zeros(length, dtype=np.float32)
    first, end = recording.loop if recording.is_looped else (0, len(recording.wave))
    begin, stop = max(start, 0), min(start + length, end)
    if stop > begin:
        flat[begin - start : stop - start] = recording.wave[begin:stop]
    filled = max(stop, begin) - start
    if recording.is_looped and filled < length:
        cycle = recording.wave[first:end]
        phase = (start + filled - first) % len(cycle)
        flat[filled:] = np.resize(np.roll(cycle, -phase), length - filled)
    return flat


def read_at(recording: Recording, positions: Positions) -> Samples:
    """Return the recording at rising fractional positions, `[N]`, by cubic Hermite interpolation.

    Four-point, third-order "Catmull-Rom" form, as in Niemitalo, "Polynomial interpolators for
    high-quality resampling of oversampled audio" (2001).
    """
    origin = int(positions[0]) - 1
    reach = int(positions[-1]) - origin + _MARGIN
    flat = unrolled(recording, origin, reach)
    read = np.empty(len(positions), dtype=np.float32)
    for start in range(0, len(positions), _BLOCK):
        block = slice(start, start + _BLOCK)
        read[block] = _interpolated(flat, positions[block] - float(origin + 1))
    return read


def between(corners: NDArray[Any], step: int, length: int) -> NDArray[Any]:
    """Return straight lines between values `step` samples apart, `[length]`, in their precision.

    The last value goes on where the corners end before.
    """
    missing = -(-length // step) + 1 - len(corners)
    ends = np.pad(corners, (0, max(0, missing)), mode="edge")[: -(-length // step) + 1]
    shares = np.arange(step, dtype=ends.dtype) / ends.dtype.type(step)
    lines = ends[:-1, None] + np.diff(ends)[:, None] * shares
    return np.asarray(lines.reshape(-1)[:length])


def _interpolated(flat: Samples, offsets: Positions) -> Samples:
    """Return `flat` at fractional offsets from its second sample."""
    whole = offsets.astype(np.intp)
    share = (offsets - whole).astype(np.float32)
    before, here = flat.take(whole), flat[1:].take(whole)
    after, beyond = flat[2:].take(whole), flat[3:].take(whole)
    slope = np.float32(0.5) * (after - before)
    rise = after - here
    cubic = slope + np.float32(0.5) * (beyond - here) - np.float32(2.0) * rise
    square = rise - slope - cubic
    value: Samples = ((cubic * share + square) * share + slope) * share + here
    return value
