"""How beats make bars: music repeats after a bar, so beats are compared with those after them.

Every beat has accents: how much starts on it and between it and the next, of all sound and of the
bass; the drummer's strokes; how much the harmony changes. In three, beats are like those three and
six later, in four like those four and eight later. Four is assumed unless three is clearly heard.
Knows beats and accents; nothing of notes or chords.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from server.engines.arranger.listening.feel import Feel, find_feel
from server.engines.arranger.listening.onsets import Onsets, Times, at
from server.engines.arranger.score import FOUR_FOUR, DrumHit, Meter
from server.media.clip import Samples

_PARTS = 12
_STROKE_SECONDS = 0.05
_FEWEST_BEATS = 12
"""Four bars of three: fewer do not tell three from four."""

_THREE = 0.25
"""By how much more beats must be like those three later than like those four later."""

_THREE_HIDDEN = 0.45
"""The same where the beats were read at half their pace: three of them are not a whole bar."""

_WHOLE_BAR = 0.6
"""Beats three later must be nearly as alike as those six later: six quavers are a bar as well."""

_TWELVE = 0.35
"""By how much more the harmony must repeat after four beats in three than after two, for 12/8."""

_FASTEST_BPM = 200.0
_EMPTY = 0.3
_SLOWEST_HALVED_BPM = 80.0


@dataclass(frozen=True, slots=True, eq=False)
class Signs:
    """What bars are read from.

    Attributes:
        onsets: of all sound and of the bass.
        strokes: a drummer's.
        harmony: `[88, T]` semitone levels.
        harmony_rate: frames of it a second.
    """

    onsets: Onsets
    strokes: tuple[DrumHit, ...]
    harmony: Samples
    harmony_rate: float


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """How beats make bars, and the beats, should another level of the pulse be the beat.

    Attributes:
        times: `[B]` seconds.
        meter: of all bars.
        confidence: by how much the likeness after a bar is above that after the other one; of beats
            in three, how far they are from making bars of three.
        feel: how beats are divided.
    """

    times: Times
    meter: Meter
    confidence: float
    feel: Feel


def find_bars(signs: Signs, beats: Times, *, fixed: bool = False) -> Bars:
    """Return how the beats `[B]` in seconds make bars; 4/4 where nothing tells.

    Beats that are `fixed` are those to count; else every second one may be, or twice as many.
    """
    beats = beats if fixed else _without_empty(signs, beats)
    feel = find_feel(signs.onsets, beats)
    if beats.shape[0] < _FEWEST_BEATS:
        return Bars(beats, _meter(_usual(feel), feel), 0.0, feel)
    hidden = None if fixed else _hidden_waltz(signs, beats, feel)
    if hidden is not None:
        return hidden
    by_three = _by_three(_likeness(signs, beats))
    if by_three > _THREE:
        return Bars(beats, _meter(3, feel), by_three, feel)
    if feel.division == 2:
        return Bars(beats, FOUR_FOUR, max(0.0, -by_three), feel)
    changes = _changes(signs, beats)
    likeness = _repeats(changes) if _varies(changes) else np.zeros(9)
    count = 4 if likeness[4] - likeness[2] > _TWELVE else 2
    return Bars(beats, _meter(count, feel), _THREE - by_three, feel)


def _usual(feel: Feel) -> int:
    return 4 if feel.division == 2 else 2


def _meter(beats: int, feel: Feel) -> Meter:
    division: Literal[2, 3] = feel.division
    return Meter(beats, division)


def _bpm(beats: Times) -> float:
    return 60.0 / float(np.median(np.diff(beats))) if beats.shape[0] > 1 else 120.0


# Another level of the pulse


def _without_empty(signs: Signs, beats: Times) -> Times:
    """Return every second beat where nothing starts on the others and the rest is in three.

    Such beats are one and a half of its quavers: the pulse of 6/8 read twice as fast.
    """
    if _bpm(beats) < _SLOWEST_HALVED_BPM or beats.shape[0] < _FEWEST_BEATS:
        return beats
    found = at(signs.onsets.whole, beats)
    full = int(found[1::2].mean() > found[::2].mean())
    halved = beats[full::2]
    is_empty = found[1 - full :: 2].mean() < _EMPTY * found[full::2].mean()
    if is_empty and find_feel(signs.onsets, halved).division == 3:
        lead = [] if full == 0 else [2 * halved[0] - halved[1]]
        return np.concatenate([np.asarray(lead, np.float64), halved])
    return beats


def _hidden_waltz(signs: Signs, beats: Times, feel: Feel) -> Bars | None:
    """Return the bars of a fast waltz whose beats were read at half their pace, if it is one."""
    if feel.division == 3 or 2 * _bpm(beats) > _FASTEST_BPM:
        return None
    doubled = np.interp(np.arange(2 * len(beats) - 1) / 2, np.arange(len(beats)), beats)
    last = doubled[-1] + (beats[-1] - beats[-2]) / 2
    doubled = np.append(doubled, last)
    likeness = _likeness(signs, doubled)
    by_three = _by_three(likeness)
    if by_three < _THREE_HIDDEN or likeness[3] < _WHOLE_BAR * likeness[6]:
        return None
    return Bars(doubled, _meter(3, Feel()), by_three, find_feel(signs.onsets, doubled))


# Likeness


def _by_three(likeness: Times) -> float:
    """Return by how much more beats are like those of the next bars of three than of four."""
    four, eight, three, six = likeness[[4, 8, 3, 6]]
    return float((three + six) / 2 - max((four + eight) / 2, likeness[2]))


def _likeness(signs: Signs, beats: Times) -> Times:
    """Return how alike beats are to those so many later, `[9]`; the mean over kinds of accents."""
    kinds = [_starts(signs.onsets.whole, beats), _starts(signs.onsets.bass, beats)]
    kinds += [_changes(signs, beats), _struck(signs.strokes, beats)]
    found = [_repeats(kind) for kind in kinds if _varies(kind)]
    return np.asarray(np.mean(found, axis=0)) if found else np.zeros(9)


def _varies(accents: Times) -> bool:
    return bool(np.ptp(accents, axis=0).max() > 1e-6)


def _repeats(accents: Times) -> Times:
    """Return the autocorrelation of accents `[B, K]` for lags 0 to 8, unbiased, 1 at 0."""
    centred = accents - accents.mean(axis=0)
    count = centred.shape[0]
    power = float(np.square(centred).sum()) / count
    lags = range(9)
    products = [float((centred[: count - lag] * centred[lag:]).sum()) for lag in lags]
    return np.array([product / (count - lag) / power for lag, product in enumerate(products)])


def _starts(envelope: Times, beats: Times) -> Times:
    """Return how much starts at each part of each beat, `[B, 12]`, soft starts not much less."""
    periods = np.diff(beats, append=2 * beats[-1] - beats[-2])
    moments = beats[:, None] + periods[:, None] * np.arange(_PARTS) / _PARTS
    return np.asarray(np.sqrt(at(envelope, moments)))


def _struck(strokes: tuple[DrumHit, ...], beats: Times) -> Times:
    """Return how hard kick and snare are struck on each beat, `[B, 2]`."""
    found = np.zeros((beats.shape[0], 2))
    for column, kind in enumerate(("kick", "snare")):
        for hit in strokes:
            nearest = int(np.abs(beats - hit.start_seconds).argmin())
            if hit.kind == kind and abs(beats[nearest] - hit.start_seconds) < _STROKE_SECONDS:
                found[nearest, column] = max(found[nearest, column], hit.velocity)
    return found


def _changes(signs: Signs, beats: Times) -> Times:
    """Return how much the pitch classes of a beat differ from those of the one before, `[B, 1]`."""
    octaves = [signs.harmony[start : start + 12] for start in range(0, 84, 12)]
    folded = np.sum(octaves, axis=0)
    total = np.concatenate([np.zeros((12, 1)), np.cumsum(folded, axis=1, dtype=np.float64)], axis=1)
    edges = np.append(beats, 2 * beats[-1] - beats[-2]) * signs.harmony_rate
    frames = np.clip(edges, 0, folded.shape[1]).astype(np.int64)
    sums = total[:, frames[1:]] - total[:, frames[:-1]]
    sums = sums / np.maximum(np.linalg.norm(sums, axis=0), 1e-9)
    alike = (sums[:, 1:] * sums[:, :-1]).sum(axis=0)
    return np.concatenate([[0.0], 1.0 - alike])[:, None]
