"""Where something could be put into a clip, and where the ends of a window had better be.

A listener forgives an insert where the music itself turns: on a downbeat, where a new section
begins, where it is quiet, and neither in the opening nor in the ending. Where there is no beat at
all, what is quiet is all there is to go by, and the answer says so.

Times are seconds: what comes from here is shown to people before it becomes samples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from server.media import grid as grids
from server.media import sections
from server.media.clip import Clip
from server.media.grid import Grid

MOST_MOVED_SECONDS = 1.5
"""How far an end of a window is moved at most, and half a bar at most: less than a phrase."""

GAP_SECONDS = 4.0
"""Between two suggestions: nearer ones would be the same place twice."""

ON_A_DOWNBEAT = "It begins and ends on a downbeat."
NEW_SECTION = "A new section begins here."
SECTION_AFTER = "A new section begins where it ends."
QUIET = "The music is quiet here."
AWAY_FROM_THE_ENDS = "It is away from the start and the end."
NO_BEAT = "There is no clear beat, so places were chosen by where it is quiet."
TOO_SHORT = "The sound is too short to put {seconds:g} seconds into it."
KEPT = "The {end} of window {number} stays at {seconds:.3f} s: no downbeat is near enough."
NO_DOWNBEATS = "There is no clear beat, so the windows stay as they were asked for."
NO_ROOM = "Window {number} stays as it is: it is shorter than the bar it is in."

_EDGE_SECONDS = 2.0
_FAR_SECONDS = 12.0
_EDGE_TOLERANCE_SECONDS = 0.010
_LEVEL_SECONDS = 0.05
_LEVELS_ALIKE_SECONDS = 1.0
_QUIET_DB = 6.0
_STEP_SECONDS = 0.25
_NEIGHBOURS = 5
_CLEAR = 1.6
_WEIGHTS = {"start": 0.45, "end": 0.2, "quiet": 0.2, "away": 0.15}

Times = tuple[float, float]
Levels = NDArray[np.float64]


def grid(clip: Clip, *, bpm: float | None = None) -> Grid | None:
    """Return where the beats and bars of a clip are; None without a pulse. `bpm` is a hint."""
    return grids.listen(clip, bpm=bpm)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A window something could be put into.

    Attributes:
        start_seconds: where it begins.
        end_seconds: where it ends, excluded.
        bars: how many it has; None where no beat is heard, or where bars do not fit.
        score: in [0, 1], higher is better.
        reasons: sentences for the musician.
    """

    start_seconds: float
    end_seconds: float
    bars: int | None
    score: float
    reasons: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "start_seconds": round(self.start_seconds, 4),
            "end_seconds": round(self.end_seconds, 4),
            "bars": self.bars,
            "score": round(self.score, 3),
            "reasons": list(self.reasons),
        }


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Windows of about one length, the best first.

    Attributes:
        windows: none where the clip is too short.
        bpm: of the clip; None without a beat.
        notices: what the musician should know of the choice.
    """

    windows: tuple[Suggestion, ...]
    bpm: float | None
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Snapped:
    """Windows moved to downbeats.

    Attributes:
        windows: in seconds, in the order asked; they do not overlap and none is empty.
        notices: which ends were not moved, and why.
    """

    windows: tuple[Times, ...]
    notices: tuple[str, ...]


# Suggestions


def suggest(
    clip: Clip, *, seconds: float, count: int = 5, min_gap_seconds: float = GAP_SECONDS
) -> Suggestions:
    """Return the best windows of about `seconds`, none nearer to another than the gap.

    The length is changed by half a bar and 1.5 s at most to become whole bars; where that is not
    enough it stays as it is, and only the start is on a downbeat.

    Raises:
        ValueError: `seconds` is not positive or `count` is negative.
    """
    if seconds <= 0.0 or count < 0:
        raise ValueError("a window has a length, and there cannot be less than none of them")
    if clip.seconds < seconds + 2 * _EDGE_SECONDS:
        return Suggestions((), None, (TOO_SHORT.format(seconds=seconds),))
    heard = grid(clip)
    quietness = _Quietness(clip)
    notices: tuple[str, ...] = () if heard else (NO_BEAT,)
    found = (
        _in_bars(clip, heard, seconds, quietness)
        if heard
        else _in_the_quiet(clip.seconds, seconds, quietness)
    )
    ranked = sorted(found, key=lambda each: (-each.score, each.start_seconds))
    chosen = _apart(ranked, count, min_gap_seconds)
    if not chosen:
        notices = (*notices, TOO_SHORT.format(seconds=seconds))
    return Suggestions(tuple(chosen), heard.bpm if heard else None, notices)


def _apart(ranked: Sequence[Suggestion], count: int, gap: float) -> list[Suggestion]:
    chosen: list[Suggestion] = []
    for each in ranked:
        is_apart = all(
            each.start_seconds >= other.end_seconds + gap
            or each.end_seconds + gap <= other.start_seconds
            for other in chosen
        )
        if is_apart and len(chosen) < count:
            chosen.append(each)
    return chosen


def _in_bars(
    clip: Clip, heard: Grid, seconds: float, quietness: "_Quietness"
) -> Iterator[Suggestion]:
    """Yield a window for every downbeat that is far enough from the ends."""
    turns = _turns(heard, sections.novelty(clip, heard))
    bars = max(1, round(seconds / heard.bar_seconds))
    for number, start in enumerate(heard.downbeats):
        end, fits = start + seconds, False
        if number + bars < len(heard.downbeats):
            bar_end = heard.downbeats[number + bars]
            fits = abs(bar_end - start - seconds) <= _most_moved(heard)
            end = bar_end if fits else end
        if start < _EDGE_SECONDS or end > clip.seconds - _EDGE_SECONDS:
            continue
        parts = {
            "start": turns.get(start, 0.0),
            "end": turns.get(end, 0.0),
            "quiet": quietness.around(start, end),
            "away": _away(start, end, clip.seconds),
        }
        reasons = ((ON_A_DOWNBEAT,) if fits else ()) + _reasons(parts)
        yield Suggestion(start, end, bars if fits else None, _score(parts), reasons)


def _turns(heard: Grid, novelty: sections.Values) -> dict[float, float]:
    """Return how clearly a section begins at each downbeat, in [0, 1]; 0 next to a higher one."""
    places = np.searchsorted(heard.beats, heard.downbeats)
    values = novelty[places]
    highest = ndimage.maximum_filter1d(values, _NEIGHBOURS, mode="constant")
    peaks = np.where((values >= highest) & (values >= sections.AUDIBLE), values, 0.0)
    clear = np.minimum(1.0, peaks / (_CLEAR * sections.AUDIBLE))
    return dict(zip(heard.downbeats, clear.tolist(), strict=True))


def _in_the_quiet(length: float, seconds: float, quietness: "_Quietness") -> Iterator[Suggestion]:
    """Yield windows that begin and end where it is quiet."""
    for start in np.arange(_EDGE_SECONDS, length - _EDGE_SECONDS - seconds, _STEP_SECONDS).tolist():
        first, last = quietness.near(start), quietness.near(start + seconds)
        if last <= first:
            continue
        parts = {
            "start": 0.0,
            "end": 0.0,
            "quiet": quietness.around(first, last),
            "away": _away(first, last, length),
        }
        yield Suggestion(first, last, None, _score(parts), _reasons(parts))


def _score(parts: dict[str, float]) -> float:
    return sum(_WEIGHTS[name] * value for name, value in parts.items())


def _reasons(parts: dict[str, float]) -> tuple[str, ...]:
    words = (
        (NEW_SECTION, parts["start"] > 0.0),
        (SECTION_AFTER, parts["end"] > 0.0),
        (QUIET, parts["quiet"] >= 0.5),
        (AWAY_FROM_THE_ENDS, parts["away"] >= 1.0),
    )
    return tuple(word for word, is_so in words if is_so)


def _away(start: float, end: float, length: float) -> float:
    """Return how far from the opening and the ending a window is, in [0, 1]."""
    far = min(_FAR_SECONDS, length / 6)
    return min(1.0, start / far, (length - end) / far)


class _Quietness:
    """How quiet a clip is at each place, as listeners hear it: over a second."""

    def __init__(self, clip: Clip) -> None:
        step = max(1, round(_LEVEL_SECONDS * clip.sample_rate))
        whole = clip.samples[:, : clip.length // step * step]
        squares = np.square(whole, dtype=np.float32).mean(axis=0).reshape(-1, step).mean(axis=1)
        width = round(_LEVELS_ALIKE_SECONDS / _LEVEL_SECONDS)
        power = ndimage.uniform_filter1d(squares.astype(np.float64), width, mode="nearest")
        decibels = 10.0 * np.log10(np.maximum(power, 1e-9))
        self._seconds = step / clip.sample_rate
        self._decibels: Levels = decibels
        self._usual = float(np.median(decibels))

    def around(self, start: float, end: float) -> float:
        """Return by how much both ends are quieter than usual, in [0, 1]: 1 is 6 dB and more."""
        below = self._usual - max(self._at(start), self._at(end))
        return float(np.clip(below / _QUIET_DB, 0.0, 1.0))

    def near(self, seconds: float) -> float:
        """Return the quietest place within half a second."""
        middle, reach = round(seconds / self._seconds), round(0.5 / self._seconds)
        first = max(0, middle - reach)
        return (first + int(self._decibels[first : middle + reach + 1].argmin())) * self._seconds

    def _at(self, seconds: float) -> float:
        place = min(round(seconds / self._seconds), self._decibels.shape[0] - 1)
        return float(self._decibels[place])


# Windows on bar lines


def snap(
    windows: Sequence[Times], heard: Grid | None, *, most_seconds: float = MOST_MOVED_SECONDS
) -> Snapped:
    """Return the windows with their ends on the nearest downbeats.

    An end is moved by half a bar and `most_seconds` at most, and stays where it is otherwise; the
    start and the end of the clip are never moved. The windows must be in order, as asked for.
    """
    if heard is None or not heard.downbeats:
        return Snapped(tuple(windows), (NO_DOWNBEATS,))
    most = min(_most_moved(heard), most_seconds)
    moved = [tuple(_moved(end, heard, most) for end in window) for window in windows]
    stays = _in_the_way(windows, moved)
    kept = tuple(
        asked if number in stays else (_or(to[0], asked[0]), _or(to[1], asked[1]))
        for number, (asked, to) in enumerate(zip(windows, moved, strict=True))
    )
    return Snapped(kept, tuple(_unmoved(windows, moved, stays)))


def _most_moved(heard: Grid) -> float:
    return min(MOST_MOVED_SECONDS, heard.bar_seconds / 2)


def _or(moved: float | None, asked: float) -> float:
    return asked if moved is None else moved


def _moved(seconds: float, heard: Grid, most: float) -> float | None:
    """Return where an end goes; None where no downbeat is near enough."""
    ends = np.array([0.0, heard.seconds])
    if np.abs(ends - seconds).min() < _EDGE_TOLERANCE_SECONDS:
        return seconds
    downbeats = np.asarray(heard.downbeats)
    nearest = float(downbeats[np.abs(downbeats - seconds).argmin()])
    return nearest if abs(nearest - seconds) <= most else None


def _in_the_way(
    windows: Sequence[Times], moved: Sequence[tuple[float | None, ...]]
) -> frozenset[int]:
    """Return the windows that must stay, so that none is empty and none meets another."""
    stays: set[int] = set()
    while True:
        placed = [
            asked if number in stays else (_or(to[0], asked[0]), _or(to[1], asked[1]))
            for number, (asked, to) in enumerate(zip(windows, moved, strict=True))
        ]
        wrong = {number for number, (start, end) in enumerate(placed) if start >= end}
        for number in range(1, len(placed)):
            if placed[number][0] < placed[number - 1][1]:
                wrong |= {number - 1, number}
        if wrong <= stays:
            return frozenset(stays)
        stays |= wrong


def _unmoved(
    windows: Sequence[Times], moved: Sequence[tuple[float | None, ...]], stays: frozenset[int]
) -> Iterator[str]:
    for number, (window, to) in enumerate(zip(windows, moved, strict=True)):
        if number in stays:
            yield NO_ROOM.format(number=number + 1)
            continue
        for name, seconds, place in zip(("start", "end"), window, to, strict=True):
            if place is None:
                yield KEPT.format(end=name, number=number + 1, seconds=seconds)
