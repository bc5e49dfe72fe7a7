"""Following a pulse whose pace changes: one beat after another, none lost and none doubled.

The pace is the best path through the combs of short passages. It is laid out as a clock, and each
beat is then moved by as much as the onsets around it say, evenly from beat to beat. Knows onsets;
nothing of bars.
"""

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage, signal

from server.engines.arranger.listening.onsets import Onsets, Times, at
from server.media import rhythm

_COMB = ((0.25, 0.25), (0.5, 0.35), (1.0, 1.0), (2.0, 0.9), (3.0, 0.15), (4.0, 0.6))
_PASSAGE_SECONDS, _EVERY_SECONDS = 8.0, 1.0
_BINS = 16384
_PACE_STEP, _PACE_REACH = 0.005, 0.2
"""Paces that are tried, as natural logarithms around the one that is given."""

_PACE_COST = 0.004
"""What a change of pace by a step a second costs; the mean of a comb is 1."""

_CLOCK_SECONDS = 0.01
_PARTS = 48
_PLACES = ((0.0, 1.0), (0.5, 0.5), (0.25, 0.25), (0.75, 0.25))
"""Places in a beat that are listened to, and what they count."""

_ROUNDS = ((12, 48, 0.15), (6, 96, 0.04), (6, 96, 0.04))
"""How far a beat may move: places to either side, places a beat, cost of a change by one."""

_SMOOTH_BEATS = 1.5


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """Beats that were followed.

    Attributes:
        beats: `[B]` seconds, rising; they cover the clip as far as there are whole ones.
    """

    beats: Times

    @property
    def bpm(self) -> float:
        """Beats per minute of the median beat."""
        return 60.0 / float(np.median(np.diff(self.beats)))

    def unevenness(self) -> float:
        """Return by how many seconds, root mean square, the beats differ from any one tempo."""
        numbers = np.arange(self.beats.shape[0])
        line = np.polyval(np.polyfit(numbers, self.beats, 1), numbers)
        return float(np.sqrt(np.square(self.beats - line).mean()))


def rough_tempo(onsets: Onsets, tempi: Times) -> float:
    """Return which tempo repeats most in short passages, whatever they are to each other."""
    _, scores = _combs(onsets, tempi)
    octaves = np.log2(tempi / 110.0) / 0.9
    return float(tempi[int((scores.mean(axis=0) * np.exp(-0.5 * np.square(octaves))).argmax())])


def follow(onsets: Onsets, bpm: float, seconds: float) -> Clock | None:
    """Return the beats of about this tempo; None in a clip of fewer than four."""
    times = np.arange(0.0, seconds + _CLOCK_SECONDS, _CLOCK_SECONDS)
    pace = _pace(onsets, bpm, times)
    passed = np.concatenate([[0.0], np.cumsum(pace[:-1] * _CLOCK_SECONDS / 60.0)])
    count = int(passed[-1])
    if count < 4:
        return None
    numbers = np.arange(count) + _phase(onsets, passed, times, count)
    for reach, parts, cost in _ROUNDS:
        moves = np.arange(-reach, reach + 1) / parts
        seen = _seen(onsets, passed, times, numbers[:, None] + moves)
        best = moves[best_path(seen, cost)]
        numbers = numbers + ndimage.gaussian_filter1d(best, _SMOOTH_BEATS, mode="nearest")
    beats = _when(numbers[numbers < passed[-1]], passed, times)
    return Clock(beats) if beats.shape[0] >= 4 else None


def best_path(scores: Times, cost: float) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the best row of columns through `[T, K]`, when a change by k costs `cost * k ** 2`."""
    columns = np.arange(scores.shape[1])
    price = cost * np.square(columns[:, None] - columns)
    total, before = scores[0], np.zeros(scores.shape, np.int64)
    for row in range(1, scores.shape[0]):
        options = total - price
        before[row] = options.argmax(axis=1)
        total = options[columns, before[row]] + scores[row]
    path = np.full(scores.shape[0], int(total.argmax()))
    for row in range(scores.shape[0] - 1, 0, -1):
        path[row - 1] = before[row, path[row]]
    return path


def _pace(onsets: Onsets, bpm: float, times: Times) -> Times:
    """Return the tempo at each time."""
    tempi = bpm * np.exp(np.arange(-_PACE_REACH, _PACE_REACH + _PACE_STEP / 2, _PACE_STEP))
    centres, scores = _combs(onsets, tempi)
    path = best_path(scores / max(float(scores.mean()), 1e-9), _PACE_COST)
    return np.asarray(np.interp(times, centres, tempi[path]))


def _combs(onsets: Onsets, tempi: Times) -> tuple[Times, Times]:
    """Return the middles of passages in seconds, and how much of each repeats at each tempo."""
    size = min(int(_PASSAGE_SECONDS * rhythm.FRAME_RATE), onsets.sharp.shape[0])
    every = int(_EVERY_SECONDS * rhythm.FRAME_RATE)
    passages = np.lib.stride_tricks.sliding_window_view(onsets.sharp, size)[::every]
    centred = passages - passages.mean(axis=1, keepdims=True)
    centred = centred * signal.get_window("hann", size) ** 0.5
    levels = np.abs(fft.rfft(centred, _BINS, axis=1, workers=1))
    scores = np.zeros((passages.shape[0], tempi.shape[0]))
    for ratio, share in _COMB:
        places = tempi / 60.0 * ratio * _BINS / rhythm.FRAME_RATE
        below = places.astype(np.int64)
        rest = places - below
        scores += share * (levels[:, below] * (1 - rest) + levels[:, below + 1] * rest)
    starts = np.arange(passages.shape[0]) * every
    return np.asarray((starts + size / 2) / rhythm.FRAME_RATE), scores


def _phase(onsets: Onsets, passed: Times, times: Times, count: int) -> float:
    """Return where in its unit of the clock the beat falls on the whole."""
    grid = np.arange(count * _PARTS) / _PARTS
    when = _when(grid, passed, times)
    found = at(onsets.whole, when) + 0.5 * at(onsets.bass, when)
    places = found.reshape(count, _PARTS).mean(axis=0)
    return float((places + 0.5 * np.roll(places, -_PARTS // 2)).argmax()) / _PARTS


def _seen(onsets: Onsets, passed: Times, times: Times, numbers: Times) -> Times:
    """Return how much starts where these beats and their parts would be."""
    seen = 0.5 * at(onsets.bass, _when(numbers, passed, times))
    for place, share in _PLACES:
        seen += share * at(onsets.whole, _when(numbers + place, passed, times))
    return np.asarray(seen / max(float(onsets.whole.std()), 1e-9))


def _when(numbers: Times, passed: Times, times: Times) -> Times:
    return np.interp(numbers, passed, times)
