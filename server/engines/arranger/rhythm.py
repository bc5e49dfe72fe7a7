"""The grid: bars of sixteenths over the heard beats, pattern rows, swing, a drummer's hits.

Only what the arranger adds is played on the grid. Heard strokes keep their own times.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from server.engines.arranger.score import DrumHit, DrumKind, Heard, Note
from server.engines.arranger.spans import Span, holds
from variations.schema import STEP_LEVELS, STEPS_PER_BAR, Drums

_STEPS_PER_BEAT = 4
_BEATS_PER_BAR = 4
_ROLLS: Mapping[str, tuple[float, ...]] = {"r": (0.6, 0.45), "t": (0.6, 0.4, 0.5)}
"""Velocities of the even strokes that fill one step."""

_STROKES_A_BEAT_OF_A_DRUMMER = 1.0
_LAST_STROKE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Step:
    """One sixteenth of the grid: when, how long, in which bar and where in it (0–15)."""

    start_seconds: float
    seconds: float
    bar: int
    index: int


@dataclass(frozen=True, slots=True)
class Stroke:
    """One stroke of a pattern row."""

    start_seconds: float
    seconds: float
    velocity: float


def grid(heard: Heard) -> tuple[Step, ...]:
    """Return every sixteenth of the clip; bar 0 is the one that `downbeat` starts."""
    steps = []
    beats = [float(beat) for beat in heard.beats]
    for number, beat in enumerate(beats):
        following = beats[number + 1] if number + 1 < len(beats) else beat + heard.beat_seconds
        bar, position = divmod(number - heard.downbeat, _BEATS_PER_BAR)
        for part in range(_STEPS_PER_BEAT):
            length = (following - beat) / _STEPS_PER_BEAT
            start = beat + part * length
            if 0.0 <= start < heard.seconds - _LAST_STROKE_SECONDS:
                steps.append(Step(start, length, bar, position * _STEPS_PER_BEAT + part))
    return tuple(steps)


def strokes(steps: Sequence[Step], rows: str | list[str]) -> list[Stroke]:
    """Return the strokes of a row, or of several rows that take turns bar by bar.

    A stroke's `seconds` is its step, or its share of the step in a roll.
    """
    turns = [rows] if isinstance(rows, str) else rows
    found: list[Stroke] = []
    for step in steps:
        sign = turns[step.bar % len(turns)][step.index % STEPS_PER_BAR]
        if sign in STEP_LEVELS:
            found.append(Stroke(step.start_seconds, step.seconds, STEP_LEVELS[sign]))
        for number, level in enumerate(_ROLLS.get(sign, ())):
            share = step.seconds / len(_ROLLS[sign])
            found.append(Stroke(step.start_seconds + number * share, share, level))
    return found


def pattern_hits(steps: Sequence[Step], drums: Drums) -> list[DrumHit]:
    """Return the kit's own pattern over the grid, swung, by start."""
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
