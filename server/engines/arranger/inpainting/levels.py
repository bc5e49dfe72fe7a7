"""As loud as the music around: a new passage brought to the level of either side, with no overs.

The gain runs evenly in decibels from what the first seconds need to what the last ones need. Knows
clips and windows; nothing of what is played.
"""

from collections.abc import Sequence

import numpy as np

from server.media import loudness
from server.media.clip import Clip
from server.media.window import Window, cut

SIDE_SECONDS = 3.0
"""How much of either side, and of either end of the passage, is compared."""

CEILING_DB = -1.1
"""Peaks stay a little below -1 dBTP: a crossfade may add to them."""

_AUDIBLE_LUFS = -60.0
_ALONE_LUFS = -18.0
_ROUNDS = 4
_ENOUGH_LU = 0.1
_MOST_STEP_LU = 40.0


def matched(passage: Clip, source: Clip, window: Window, others: Sequence[Window]) -> Clip:
    """Return a passage for `window` of `source` at the loudness of what is before and after it.

    The passage is as long as the window; `others` are the windows whose contents do not count. A
    silent side takes the other one's loudness.
    """
    before, after = _targets(source, window, others)
    reach = min(round(SIDE_SECONDS * passage.sample_rate), passage.length)
    ends = Window(0, reach), Window(passage.length - reach, passage.length)
    gains, result = np.zeros(2), passage
    for _ in range(_ROUNDS):
        found = [loudness.integrated_loudness(cut(result, end)) for end in ends]
        missing = np.array(
            [
                wanted - is_ if is_ > loudness.SILENCE else 0.0
                for wanted, is_ in zip((before, after), found, strict=True)
            ]
        )
        if float(np.abs(missing).max()) < _ENOUGH_LU:
            break
        gains = np.clip(gains + missing, -_MOST_STEP_LU, _MOST_STEP_LU)
        result = loudness.limit(_ramped(passage, gains, reach), ceiling_db=CEILING_DB)
    return result


def _targets(source: Clip, window: Window, others: Sequence[Window]) -> tuple[float, float]:
    """Return the loudness before and after a window in LUFS."""
    reach = round(SIDE_SECONDS * source.sample_rate)
    first = max([0, window.start - reach, *(o.end for o in others if o.end <= window.start)])
    last = min(
        [source.length, window.end + reach, *(o.start for o in others if o.start >= window.end)]
    )
    sides = Window(first, window.start), Window(window.end, last)
    found = [loudness.integrated_loudness(cut(source, side)) for side in sides]
    audible = [each for each in found if each > _AUDIBLE_LUFS]
    before, after = (
        each if each > _AUDIBLE_LUFS else max(audible, default=_ALONE_LUFS) for each in found
    )
    return before, after


def _ramped(
    passage: Clip, gains_db: np.ndarray[tuple[int], np.dtype[np.float64]], reach: int
) -> Clip:
    """Return the passage with the gains (dB) at the middles of its ends, and a line between."""
    places = [reach / 2, max(passage.length - reach / 2, reach / 2 + 1)]
    curve = np.interp(np.arange(passage.length), places, gains_db)
    return passage.with_samples((passage.samples * 10.0 ** (curve / 20.0)).astype(np.float32))
