"""The grid: bars of steps over the heard beats, pattern rows, swing, a drummer's hits.

Only what the arranger adds is played on the grid. Heard strokes keep their own times.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import get_args

from server.engines.arranger.score import FOUR_FOUR, DrumHit, DrumKind, Heard, Meter, Note
from server.engines.arranger.spans import Span, holds
from variations.schema import STEP_LEVELS, STEPS_PER_BAR, Drums

_STEPS_PER_BEAT = 4
_BEATS_PER_ROW = STEPS_PER_BAR // _STEPS_PER_BEAT
_EVEN = (0.0, 0.25, 0.5, 0.75)
_THIRDS = (0.0, 1 / 3, 2 / 3, 5 / 6)
"""Where the four steps of a beat lie in it, in two and in three."""

_FILLED_THIRD = "-"
_ROLLS: Mapping[str, tuple[float, ...]] = {"r": (0.6, 0.45), "t": (0.6, 0.4, 0.5)}
"""Velocities of the even strokes that fill one step."""

_STROKES_A_BEAT_OF_A_DRUMMER = 1.0
_LAST_STROKE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the grid: a quarter of a beat in two, or what a row's quarter is in three.

    `index` counts steps in the bar, four a beat: 0–15 in 4/4 and 12/8, 0–11 in 3/4, 0–7 in 6/8.
    """

    start_seconds: float
    seconds: float
    bar: int
    index: int
    meter: Meter = FOUR_FOUR


@dataclass(frozen=True, slots=True)
class Stroke:
    """One stroke of a pattern row."""

    start_seconds: float
    seconds: float
    velocity: float


def grid(heard: Heard) -> tuple[Step, ...]:
    """Return every step of the clip; bar 0 is the one that `downbeat` starts.

    Steps fall where the source's do: late where it swings, on thirds where its beats are of three.
    Without a pulse there is no grid.
    """
    if not heard.has_pulse:
        return ()
    steps = []
    beats = [float(beat) for beat in heard.beats]
    edges = (*_places(heard), 1.0)
    for number, beat in enumerate(beats):
        following = beats[number + 1] if number + 1 < len(beats) else beat + heard.beat_seconds
        bar, position = divmod(number - heard.downbeat, heard.meter.beats)
        for part, (place, end) in enumerate(pairwise(edges)):
            start, length = beat + place * (following - beat), (end - place) * (following - beat)
            if 0.0 <= start < heard.seconds - _LAST_STROKE_SECONDS:
                index = position * _STEPS_PER_BEAT + part
                steps.append(Step(start, length, bar, index, heard.meter))
    return tuple(steps)


def _places(heard: Heard) -> tuple[float, ...]:
    """Return where the steps of a beat lie in it, as the source plays them."""
    if heard.meter.division == 3:
        return _THIRDS
    half = 0.5 + 0.5 * heard.swing
    late = heard.fine_swing / 4
    return (0.0, half / 2 + late, half, (1 + half) / 2 + late)


def swings(heard: Heard) -> bool:
    """Return whether the source has a feel of its own, which a preset's swing must not change."""
    return heard.swing > 0 or heard.fine_swing > 0 or heard.meter.division == 3


def strokes(steps: Sequence[Step], rows: str | list[str]) -> list[Stroke]:
    """Return the strokes of a row, or of several rows that take turns row by row.

    A stroke's `seconds` is its step, or its share of the step in a roll. A row is a bar of 4/4, or
    of 12/8; two bars of 6/8 (or 2/4) share one; in 3/4 and 9/8 its third beat is left out, so that
    a backbeat becomes a waltz: boom, chick, chick.
    """
    turns = [rows] if isinstance(rows, str) else rows
    found: list[Stroke] = []
    for step in steps:
        sign = _sign(turns, step)
        if sign in STEP_LEVELS:
            found.append(Stroke(step.start_seconds, step.seconds, STEP_LEVELS[sign]))
        for number, level in enumerate(_ROLLS.get(sign, ())):
            share = step.seconds / len(_ROLLS[sign])
            found.append(Stroke(step.start_seconds + number * share, share, level))
    return found


def _sign(turns: Sequence[str], step: Step) -> str:
    """Return what rows say of a step."""
    beats = step.meter.beats
    position, part = divmod(step.index, _STEPS_PER_BEAT)
    bars_a_row = max(1, _BEATS_PER_ROW // beats)
    turn, bar = divmod(step.bar, bars_a_row)
    row = turns[turn % len(turns)]
    beat = (bar * beats + position) % _BEATS_PER_ROW
    if beats == 3:
        beat = _waltzed(row)[position]
    signs = row[_STEPS_PER_BEAT * beat : _STEPS_PER_BEAT * (beat + 1)]
    has_middle = part == 1 and signs[1] == "."
    if step.meter.division == 3 and has_middle and "." not in {signs[0], signs[2]}:
        return _FILLED_THIRD  # steady quavers are three a beat
    return signs[part]


def _waltzed(row: str) -> tuple[int, int, int]:
    """Return which beats of a row make a bar of three: the third only where nothing else is."""
    struck = [row[_STEPS_PER_BEAT * beat] != "." for beat in range(_BEATS_PER_ROW)]
    return (0, 1, 2) if struck == [False, False, True, False] else (0, 1, 3)


def pattern_hits(steps: Sequence[Step], drums: Drums) -> list[DrumHit]:
    """Return the kit's own pattern over the grid, with its swing, by start."""
    swung = [_swung(step, drums.swing) for step in steps]
    hits = [
        DrumHit(stroke.start_seconds, kind, stroke.velocity)
        for kind in get_args(DrumKind)
        if kind in drums.pattern
        for stroke in strokes(swung, drums.pattern[kind])
    ]
    return sorted(hits, key=lambda hit: hit.start_seconds)


def _swung(step: Step, swing: float) -> Step:
    if step.index % 2 == 0:
        return step
    return replace(step, start_seconds=step.start_seconds + swing * step.seconds)


def has_drummer(heard: Heard) -> bool:
    """Return whether the source has drums worth following, not a few stray clicks."""
    return len(heard.drums) > _STROKES_A_BEAT_OF_A_DRUMMER * heard.seconds / heard.beat_seconds


def kit_hits(
    heard: Heard, drums: Drums, sounding: Sequence[Span], *, invents: bool
) -> tuple[DrumHit, ...]:
    """Return what the kit plays: the heard strokes, or its pattern wherever the source sounds."""
    if has_drummer(heard) and (drums.source == "follow" or not invents):
        return heard.drums
    if not invents:
        return ()
    if swings(heard):
        drums = drums.model_copy(update={"swing": 0.0})
    hits = pattern_hits(grid(heard), drums)
    return tuple(hit for hit in hits if holds(sounding, hit.start_seconds))


def stuttered(
    notes: Sequence[Note], chopped: Sequence[bool], step_seconds: float
) -> tuple[Note, ...]:
    """Return the notes with the chosen ones chopped into fading repeats of half a step.

    The first repeat keeps the onset that was heard.
    """
    result: list[Note] = []
    slice_seconds = step_seconds / 2
    for note, chop in zip(notes, chopped, strict=True):
        repeats = min(int(note.seconds / slice_seconds), 6) if chop else 0
        result += _repeats(note, repeats, slice_seconds) if repeats > 1 else [note]
    return tuple(sorted(result, key=lambda note: note.start_seconds))


def _repeats(note: Note, count: int, seconds: float) -> list[Note]:
    return [
        replace(
            note,
            start_seconds=note.start_seconds + number * seconds,
            seconds=0.7 * seconds,
            velocity=note.velocity * 0.88**number,
        )
        for number in range(count)
    ]
