"""Bends: how the pitch of a note moves, read from the contour, and glides made one note again.

Knows accepted notes and the transcriber's contour. Only a note that is alone in its register is
followed: where others sound beside it the contour is theirs as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from server.engines.arranger.score import FRAME_RATE, LOWEST_PITCH, Note
from server.media.sheet import Bend

_BINS = 3
"""Of the contour in a semitone."""

_REACH = 7
"""Bins to either side of a note's pitch in which it is followed: a whole tone and a little."""

_MOST_CENTS = 200.0
_WOBBLE_CENTS = 12.0
"""An even tone strays no further than this to either side."""

_FASTEST_CENTS = 60.0
"""A frame (12 ms): a slide of a whole tone in 80 ms. A pitch that moves faster has jumped."""

_HEARD = 0.15
_MOSTLY = 0.7
_ALONE_SEMITONES = 5
_BESIDE_SECONDS = 0.06
_JOINED_SECONDS = 0.15
_ATTACK_SECONDS, _RELEASE_SECONDS = 0.03, 0.06
"""The contour is unsure of the beginning and of the end of a note."""

_FADED = 0.4
"""Of a note's usual strength; what is weaker is ringing, not playing."""

_POINT_FRAMES = 2
"""Frames between points: 23 ms."""

_RESTING_CENTS = 30.0
_VIBRATO_SECONDS = 0.38
"""Two swings of a usual vibrato."""

_STRAIGHT_CENTS = 4.0
_SMOOTHED = np.array([0.25, 0.5, 0.25])

_Cents = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Ridge:
    """Where the contour is strongest around a pitch, `[n]` from the frame `start` on."""

    start: int
    cents: _Cents
    strength: _Cents

    def until(self, frame: int) -> "_Ridge":
        """Return its beginning."""
        count = max(frame - self.start, 1)
        return _Ridge(self.start, self.cents[:count], self.strength[:count])


@dataclass(frozen=True, slots=True, eq=False)
class _Crowd:
    """All notes as columns `[n]`: who sounds beside whom."""

    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    pitches: NDArray[np.float64]

    @staticmethod
    def of(notes: Sequence[Note]) -> "_Crowd":
        rows = [(note.start_seconds, note.end_seconds, float(note.pitch)) for note in notes]
        return _Crowd(*np.array(rows, np.float64).reshape(-1, 3).T)

    def leaves_alone(self, members: Sequence[int], *, beside: Sequence[int] = ()) -> bool:
        """Return whether no other than `beside` sounds with these for longer than notes overlap."""
        chosen = np.array(members)
        low = self.pitches[chosen].min() - _ALONE_SEMITONES
        high = self.pitches[chosen].max() + _ALONE_SEMITONES
        near = (self.pitches >= low) & (self.pitches <= high)
        near[[*members, *beside]] = False
        start, end = self.starts[chosen].min(), self.ends[chosen].max()
        together = np.minimum(self.ends, end) - np.maximum(self.starts, start)
        return not bool((near & (together > _BESIDE_SECONDS)).any())


def with_bends(
    notes: Sequence[Note], contour: NDArray[np.float16] | None, tuning_cents: float
) -> tuple[tuple[Note, ...], float]:
    """Return the notes with their bends, and the source's tuning in the light of them.

    What was heard as several notes of a glide is one. `contour` is `[T, 264]`; without it the notes
    stay as they are. Cents count from the semitone at the source's own tuning, which a spectrum
    shows badly where pitches move: then it is read from the paths, and these are read again.
    """
    if contour is None:
        return tuple(notes), tuning_cents
    found = _bent(notes, contour, tuning_cents)
    if any(note.bend for note in found):
        tuning_cents = _tuning(found, contour)
        found = _bent(notes, contour, tuning_cents)
    return found, tuning_cents


def _bent(
    notes: Sequence[Note], contour: NDArray[np.float16], tuning_cents: float
) -> tuple[Note, ...]:
    crowd = _Crowd.of(notes)
    taken: set[int] = set()
    result = []
    for index, note in enumerate(notes):
        if index in taken:
            continue
        glide, members = _glide(index, notes, crowd, contour, tuning_cents)
        taken |= members
        result.append(note if glide is None else glide)
    return tuple(sorted(result, key=lambda note: (note.start_seconds, note.pitch)))


def _tuning(notes: Sequence[Note], contour: NDArray[np.float16]) -> float:
    """Return by how many cents notes lie above A = 440 Hz, their vibrato averaged away."""
    total = 0.0 + 0.0j
    for note in notes:
        path = _cleaned(_ridge(contour, note, note.end_seconds, 0.0))
        if path is not None:
            size = min(round(_VIBRATO_SECONDS * FRAME_RATE), len(path))
            calm = np.convolve(path, np.full(size, 1.0 / size), mode="valid")
            total += complex(np.exp(2j * np.pi / 100.0 * calm).sum())
    return float(np.angle(total) * 100.0 / (2 * np.pi))


def _glide(
    index: int,
    notes: Sequence[Note],
    crowd: _Crowd,
    contour: NDArray[np.float16],
    tuning_cents: float,
) -> tuple[Note | None, set[int]]:
    """Return a note with its bend and which notes it is made of; None where it has no bend."""
    first = notes[index]
    candidates = _following(index, notes)
    if not crowd.leaves_alone([index], beside=candidates):
        return None, set()
    end = max(notes[member].end_seconds for member in (index, *candidates))
    ridge = _ridge(contour, first, end, tuning_cents)
    members = [index]
    for candidate in candidates:
        if not _leads_to(ridge, first, notes[members[-1]], notes[candidate]):
            break
        members.append(candidate)
    while members:
        chain = [notes[member] for member in members]
        glide = _as_one(chain, ridge) if crowd.leaves_alone(members) else None
        if glide is not None:
            return glide, set(members)
        members.pop()
    return None, set()


def _following(index: int, notes: Sequence[Note]) -> list[int]:
    """Return the notes that may be stretches of a glide which begins with a note."""
    first, end = notes[index], notes[index].end_seconds
    found = []
    for number in range(index + 1, len(notes)):
        note = notes[number]
        if note.start_seconds > end + _JOINED_SECONDS:
            break
        if abs(note.pitch - first.pitch) * 100 <= _MOST_CENTS:
            found.append(number)
            end = max(end, note.end_seconds)
    return found


def _ridge(
    contour: NDArray[np.float16], note: Note, end_seconds: float, tuning_cents: float
) -> _Ridge:
    """Follow the contour around a note's pitch: the strongest bin and its neighbours' centre."""
    start = min(round(note.start_seconds * FRAME_RATE), contour.shape[0] - 1)
    stop = min(max(round(end_seconds * FRAME_RATE), start + 1), contour.shape[0])
    centre = (note.pitch - LOWEST_PITCH) * _BINS + 1
    bins = np.clip(centre + np.arange(-_REACH - 1, _REACH + 2), 0, contour.shape[1] - 1)
    near = contour[start:stop, bins].astype(np.float64)
    peak = near[:, 1:-1].argmax(axis=1) + 1
    around = near[np.arange(len(near))[:, None], peak[:, None] + np.arange(-1, 2)]
    centred = (around[:, 2] - around[:, 0]) / (around.sum(axis=1) + 1e-9)
    cents = (peak - _REACH - 1 + centred) * 100.0 / _BINS - tuning_cents
    return _Ridge(start, cents, around[:, 1])


def _leads_to(ridge: _Ridge, first: Note, before: Note, note: Note) -> bool:
    """Return whether a pitch moves to a note without a jump or a new attack at the same pitch."""
    here = round(note.start_seconds * FRAME_RATE) - ridge.start
    last = round(before.start_seconds * FRAME_RATE) - ridge.start
    settled = round(_ATTACK_SECONDS * FRAME_RATE) + 1
    path = ridge.cents[last + settled : here + 9]
    wanted = 100.0 * (note.pitch - first.pitch)
    arrival = ridge.cents[here + 1 : here + 7]
    if here <= last + settled or not arrival.size:
        return False
    moved = np.abs(path[: max(here - last - settled, 1)] - wanted).max() > 45.0
    arrives = abs(float(np.median(arrival)) - wanted) < 75.0
    glides = float(np.abs(np.diff(path)).max(initial=0.0)) <= _FASTEST_CENTS
    sounds = float(np.mean(ridge.strength[last + settled : here + 9] >= _HEARD)) > _MOSTLY
    return bool(moved and arrives and glides and sounds)


def _as_one(chain: Sequence[Note], ridge: _Ridge) -> Note | None:
    """Return the notes of a glide as one on the pitch it rests on, None if it does not move."""
    first, end = chain[0], max(note.end_seconds for note in chain)
    path = _cleaned(ridge.until(round(end * FRAME_RATE)))
    if path is None or np.abs(np.diff(path)).max(initial=0.0) > _FASTEST_CENTS:
        return None
    step = _resting_step(path)
    if step is None or np.ptp(path) <= 2 * _WOBBLE_CENTS:
        return None
    return replace(
        first,
        pitch=first.pitch + step,
        seconds=end - first.start_seconds,
        confidence=max(note.confidence for note in chain),
        bend=_points(path - 100.0 * step, end - first.start_seconds),
    )


def _cleaned(ridge: _Ridge) -> _Cents | None:
    """Return the path without attack and release, gaps closed; None where little is heard of it."""
    heard = ridge.strength >= max(_HEARD, _FADED * float(np.median(ridge.strength)))
    heard[: round(_ATTACK_SECONDS * FRAME_RATE)] = False
    heard[len(heard) - round(_RELEASE_SECONDS * FRAME_RATE) :] = False
    frames = np.flatnonzero(heard)
    if len(frames) < max(6, _MOSTLY * len(heard)):
        return None
    path = np.interp(np.arange(len(heard)), frames, ridge.cents[frames])
    padded = np.pad(path, 1, mode="edge")
    return np.asarray(np.convolve(padded, _SMOOTHED, mode="valid"), dtype=np.float64)


def _resting_step(path: _Cents) -> int | None:
    """Return the semitone the path rests on longest and never leaves by more than a bend."""
    steps, counts = np.unique(np.rint(path / 100.0), return_counts=True)
    fits = [np.abs(path - 100.0 * step).max() <= _MOST_CENTS + 2 * _WOBBLE_CENTS for step in steps]
    if not any(fits):
        return None
    return int(steps[np.where(fits, counts, 0).argmax()])


def _points(path: _Cents, seconds: float) -> Bend:
    """Return the corners of a path; where it comes to rest it is in tune."""
    settled = _settled(float(path[-1]))
    resting = np.abs(path) < 50.0
    path = path - (float(np.median(path[resting])) if resting.any() else 0.0)
    path = np.clip(path, -_MOST_CENTS, _MOST_CENTS)
    kept = _corners(path[::_POINT_FRAMES])
    points = [
        (round(index * _POINT_FRAMES / FRAME_RATE, 4), round(float(path[index * _POINT_FRAMES]), 1))
        for index in kept
    ]
    inside = [point for point in points if point[0] < seconds]
    return (*inside, (round(seconds, 4), min(max(settled, -_MOST_CENTS), _MOST_CENTS)))


def _settled(cents: float) -> float:
    """Return the semitone that is near, where a longer note would stay; else the cents."""
    semitone = float(np.rint(cents / 100.0) * 100.0)
    return semitone if abs(cents - semitone) <= _RESTING_CENTS else round(cents, 1)


def _corners(path: _Cents) -> list[int]:
    """Return the indices that straight lines need to stay within 4 cents of the path.

    Douglas & Peucker, "Algorithms for the reduction of the number of points" (1973).
    """
    keep, spans = {0, len(path) - 1}, [(0, len(path) - 1)]
    while spans:
        start, stop = spans.pop()
        line = np.linspace(path[start], path[stop], stop - start + 1)
        gaps = np.abs(path[start : stop + 1] - line)
        furthest = start + int(gaps.argmax())
        if gaps.max() > _STRAIGHT_CENTS and start < furthest < stop:
            keep.add(furthest)
            spans += [(start, furthest), (furthest, stop)]
    return sorted(keep)
