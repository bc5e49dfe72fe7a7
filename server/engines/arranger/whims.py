"""What a seed chooses where players have a choice: inversions, orders, fills, accents.

Seed 0 plays everything as it is written. Nothing here moves an onset that was heard, and the bass
drum stays as it is, because other parts follow it. Knows notes, chords and pattern rows; nothing of
who plays them.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from server.engines.arranger.harmony import chord_at
from server.engines.arranger.score import Chord, Note
from variations.schema import STEPS_PER_BAR, Drums

_LEANS = (0.0, 5.0, -5.0)
"""Semitones by which chords are voiced higher or lower, in the range they are written for."""

_PHRASE_BARS = 4
_BACKBEATS = ("snare", "clap", "perc")
_FILLS = ("x.ox", "xoxo", "x..r", "xoor", "x.rx", "xxoo")
_GHOST_STEPS = (7, 9, 11, 15)
_GHOSTS = 2
_FILL_STEP = 12

_ACCENT_DB = 1.2
_MOST_ACCENT_DB = 2.5
_NEAR = 8
"""Semitones from what an idle player would have taken to what it takes instead."""

_REPLACED_SHARE = 0.5


def lean(seed: int) -> float:
    """Return by how many semitones chords lean up or down; seeds that follow each other differ."""
    return _LEANS[seed % len(_LEANS)]


def broken(pitches: Sequence[int], seed: int) -> tuple[int, ...]:
    """Return the order in which a chord's pitches, low to high, are played one after the other.

    Up and down, up, down, or the lowest between the others; seeds that follow each other differ.
    """
    up = tuple(pitches)
    between = tuple(pitch for upper in up[:0:-1] for pitch in (up[0], upper)) or up
    return ((*up, *up[-2:0:-1]), up, between, up[::-1])[seed % 4]


def drummed(drums: Drums, seed: int) -> Drums:
    """Return a kit whose pattern has ghost strokes and ends every fourth bar with a fill."""
    backbeat = next((kind for kind in _BACKBEATS if kind in drums.pattern), None)
    if seed == 0 or backbeat is None:
        return drums
    random = np.random.default_rng([seed, 11])
    rows = _phrase(drums.pattern[backbeat])
    kicks = _phrase(drums.pattern.get("kick", "." * STEPS_PER_BAR))
    ghosts = random.choice(_GHOST_STEPS, _GHOSTS, replace=False)
    fill = _FILLS[int(random.integers(len(_FILLS)))]
    varied = [
        _filled(row, fill)
        if bar % _PHRASE_BARS == _PHRASE_BARS - 1
        else _ghosted(row, kicks[bar % len(kicks)], ghosts.tolist())
        for bar, row in enumerate(rows)
    ]
    return drums.model_copy(update={"pattern": {**drums.pattern, backbeat: varied}})


def _phrase(rows: str | list[str]) -> list[str]:
    """Return rows that take turns as whole phrases of four bars."""
    turns = [rows] if isinstance(rows, str) else list(rows)
    return turns * (math.lcm(len(turns), _PHRASE_BARS) // len(turns))


def _filled(row: str, fill: str) -> str:
    return row[:_FILL_STEP] + fill


def _ghosted(row: str, kicks: str, steps: Sequence[int]) -> str:
    """Return a row with soft strokes where neither it nor the bass drum plays."""
    is_free = [sign == "." and kick == "." for sign, kick in zip(row, kicks, strict=True)]
    return "".join(
        "-" if step in steps and is_free[step] else sign for step, sign in enumerate(row)
    )


def accented(notes: Sequence[Note], seed: int) -> list[Note]:
    """Return the notes as another take of the same player: each onset a little louder or softer."""
    if seed == 0:
        return list(notes)
    random = np.random.default_rng([seed, 13])
    gains: dict[float, float] = {}
    for note in notes:
        if note.start_seconds not in gains:
            by = float(np.clip(random.normal(0.0, _ACCENT_DB), -_MOST_ACCENT_DB, _MOST_ACCENT_DB))
            gains[note.start_seconds] = 10.0 ** (by / 20)
    return [
        replace(note, velocity=min(1.0, note.velocity * gains[note.start_seconds]))
        for note in notes
    ]


def refilled(
    line: Sequence[Note],
    others: Sequence[Note],
    chords: Sequence[Chord],
    reach: tuple[int, int],
    seed: int,
) -> list[Note]:
    """Return a line with other chord tones where its player would have been idle.

    What it takes is near, within the instrument's `reach`, and nobody else's at that time. Heard
    notes stay.
    """
    if seed == 0:
        return list(line)
    random = np.random.default_rng([seed, 17])
    return [
        _elsewhere(note, _free(note, others, chord_at(chords, _inside(note)), reach), random)
        if note.origin == "fill" and random.random() < _REPLACED_SHARE
        else note
        for note in line
    ]


def _inside(note: Note) -> float:
    return note.start_seconds + 0.01


def _free(
    note: Note, others: Sequence[Note], chord: Chord | None, reach: tuple[int, int]
) -> list[int]:
    """Return the chord's pitches near a note that nobody plays while it lasts."""
    taken = {
        other.pitch
        for other in others
        if other.start_seconds < note.end_seconds and note.start_seconds < other.end_seconds
    }
    low, high = max(reach[0], note.pitch - _NEAR), min(reach[1], note.pitch + _NEAR)
    classes = chord.pitch_classes if chord is not None else ()
    near = {pitch for pitch in range(low, high + 1) if pitch % 12 in classes}
    return sorted(near - taken - {note.pitch})


def _elsewhere(note: Note, free: Sequence[int], random: np.random.Generator) -> Note:
    return replace(note, pitch=int(random.choice(free))) if free else note
