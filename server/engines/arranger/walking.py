"""A bass that walks: a note a beat, the root where a chord begins, a step into the next one.

Knows chords, beats and pitches; nothing of sounds. Where the walk goes is drawn from the seed.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from server.engines.arranger.harmony import chord_at, fit
from server.engines.arranger.score import Chord, Note
from server.engines.arranger.spans import Span, holds

_EARLY_SECONDS = 0.06
_HELD = 0.92
"""Share of its beat that a note sounds."""

_ARRIVED, _PASSING = 0.8, 0.62
"""Velocities of the tones a chord stands on, and of the steps between them."""

_LIKING = (3.0, 1.0, 2.0)
"""How welcome root, third and fifth are in the middle of a chord; a seventh is as a third."""

_LEAP = 7
_CENTRE = 0.25


def walk(
    chords: Sequence[Chord],
    beats: Sequence[float],
    reach: tuple[int, int],
    *,
    sounding: Sequence[Span],
    end_seconds: float,
    seed: int,
) -> list[Note]:
    """Return the line in the range `reach`, one note a beat where the source sounds.

    Empty where there are no chords.
    """
    random = np.random.default_rng([seed, 29])
    line: list[Note] = []
    for beat, following in pairwise([*(b for b in beats if 0 <= b < end_seconds), end_seconds]):
        chord = chord_at(chords, beat + _EARLY_SECONDS)
        if chord is None or not chord.pitch_classes or not holds(sounding, beat):
            continue
        begins = _begins(chord, beat, line)
        near = line[-1].pitch if line else fit(_lowest(chord), *reach)
        following_chord = chord_at(chords, following + _EARLY_SECONDS)
        if begins:
            pitch = _nearest([_lowest(chord)], near, reach)
        elif following_chord is not None and not _same(following_chord, chord):
            pitch = _approach(_lowest(following_chord), near, reach, random)
        else:
            pitch = _onward(chord, line, near, reach, random)
        velocity = _ARRIVED if begins or pitch % 12 == _lowest(chord) else _PASSING
        line.append(Note(beat, _HELD * (following - beat), pitch, velocity, 0.6, "fill"))
    return line


def _begins(chord: Chord, beat: float, line: Sequence[Note]) -> bool:
    return not line or line[-1].start_seconds < chord.start_seconds - _EARLY_SECONDS <= beat


def _lowest(chord: Chord) -> int:
    """Return the pitch class a chord stands on."""
    return chord.bass if chord.bass in chord.pitch_classes else chord.pitch_classes[0]


def _same(one: Chord, other: Chord) -> bool:
    return (one.root, one.quality) == (other.root, other.quality)


def _places(classes: Sequence[int | None], reach: tuple[int, int]) -> list[int]:
    return [pitch for pitch in range(reach[0], reach[1] + 1) if pitch % 12 in classes]


def _nearest(classes: Sequence[int | None], near: int, reach: tuple[int, int]) -> int:
    """Return the nearest of these tones, with a pull to the middle of the range."""
    middle = sum(reach) / 2
    places = _places(classes, reach)
    return min(places, key=lambda pitch: abs(pitch - near) + _CENTRE * abs(pitch - middle))


def _approach(target: int, near: int, reach: tuple[int, int], random: np.random.Generator) -> int:
    """Return a step above or below where the next chord stands: mostly a semitone."""
    goal = _nearest([target], near, reach)
    steps = [step for step in (-1, 1, -2, 2) if reach[0] <= goal + step <= reach[1]]
    weights = np.array([1.0 / abs(step) + (0.5 if goal + step != near else 0.0) for step in steps])
    return goal + int(steps[int(random.choice(len(steps), p=weights / weights.sum()))])


def _onward(
    chord: Chord,
    line: Sequence[Note],
    near: int,
    reach: tuple[int, int],
    random: np.random.Generator,
) -> int:
    """Return another tone of the chord: root or fifth mostly, on the way the line goes."""
    tones = chord.pitch_classes
    places = [pitch for pitch in _places(tones, reach) if pitch != near]
    places = [pitch for pitch in places if abs(pitch - near) <= _LEAP] or places
    heading = np.sign(near - line[-2].pitch) if len(line) > 1 else 0
    welcome = dict(zip(tones, _LIKING, strict=False))
    liking = np.array(
        [
            welcome.get(pitch % 12, 1.0) * (2.0 if np.sign(pitch - near) == heading else 1.0)
            for pitch in places
        ]
    )
    return int(places[int(random.choice(len(places), p=liking / liking.sum()))])
