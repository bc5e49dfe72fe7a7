"""Strict voices: heard notes shared out among players that have one note at a time.

Knows the cost of giving a note to a player, how long a player may hold it, and which chord tone an
idle player takes. Onsets are those that were heard; only filled notes begin with a chord.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment

from server.engines.arranger.bending import playable, trimmed
from server.engines.arranger.harmony import chord_at, fit
from server.engines.arranger.score import Chord, Note
from server.engines.arranger.spans import Span, end_of_sound, within
from variations.schema import Voice

Line = list[Note]

_TOGETHER_SECONDS = 0.045
"""Onsets closer than this belong to one strum."""

_SHORTEST_SECONDS = 0.05
_EARLY_SECONDS = 0.06
_FILL_REST_SECONDS = 0.35
_FILL_VELOCITY = 0.42
_OVERTONES = (12, 19, 24, 28, 31)


def onset_groups(notes: Sequence[Note]) -> list[list[Note]]:
    """Return the notes in groups that begin together, by start."""
    groups: list[list[Note]] = []
    for note in sorted(notes, key=lambda note: (note.start_seconds, note.pitch)):
        if groups and note.start_seconds - groups[-1][0].start_seconds < _TOGETHER_SECONDS:
            groups[-1].append(note)
        else:
            groups.append([note])
    return groups


def without_overtones(notes: Sequence[Note]) -> list[Note]:
    """Return the notes without doubtful overtones of a stronger note of their group."""
    kept: list[Note] = []
    for group in onset_groups(notes):
        kept += [note for note in group if not any(_is_overtone(note, of) for of in group)]
    return kept


def _is_overtone(note: Note, of: Note) -> bool:
    doubtful = note.confidence < 0.6 and of.velocity >= 0.9 * note.velocity
    return doubtful and note.pitch - of.pitch in _OVERTONES


def separate(notes: Sequence[Note], voices: Sequence[Voice], chords: Sequence[Chord]) -> list[Line]:
    """Return one line a voice, `voices` listed from top to bottom.

    Each group of notes that begin together is assigned at the least total cost (Kuhn, "The
    Hungarian method for the assignment problem", 1955), then uncrossed: the higher note goes to the
    upper voice.
    """
    lines: list[Line] = [[] for _ in voices]
    for group in onset_groups(without_overtones(notes)):
        chosen = sorted(_at_most(group, len(voices)), key=lambda note: -note.pitch)
        costs = [
            [_cost(note, number, lines[number], voices, chords) for number in range(len(voices))]
            for note in chosen
        ]
        _, columns = linear_sum_assignment(np.array(costs))
        for note, number in zip(chosen, sorted(columns.tolist()), strict=True):
            low, high = voices[number].range
            _append(lines[number], replace(note, pitch=fit(note.pitch, low, high)))
    return [playable(line, voice) for line, voice in zip(lines, voices, strict=True)]


def _at_most(group: Sequence[Note], size: int) -> list[Note]:
    """Return at most `size` notes: inner doublings go first, then the weakest inner ones."""
    kept = sorted(group, key=lambda note: -note.pitch)
    while len(kept) > size:
        classes = [note.pitch % 12 for note in kept]
        inner = kept[1:-1] or kept[1:]
        doubled = [note for note in inner if classes.count(note.pitch % 12) > 1]
        kept.remove(min(doubled or inner, key=lambda note: note.velocity * note.confidence))
    return kept


def _cost(
    note: Note, number: int, line: Line, voices: Sequence[Voice], chords: Sequence[Chord]
) -> float:
    """Return the cost of a voice for a note: register, leaps, cut notes, broken outer lines."""
    low, high = voices[number].range
    beyond = max(low - note.pitch, note.pitch - high, 0)
    cost = 0.25 * abs(note.pitch - (low + high) / 2) + (6 + 0.8 * beyond if beyond else 0.0)
    if not line:
        return cost
    last = line[-1]
    elapsed = note.start_seconds - last.start_seconds
    leap = note.pitch - last.pitch
    cost += 0.35 * min(12, abs(leap)) * float(np.exp(-elapsed / 2))
    cost += 2.0 * min(1.0, max(0.0, last.end_seconds - note.start_seconds - 0.05))
    cost += 3.0 if elapsed < 0.09 else 0.0
    if chord_at(chords, note.start_seconds + _EARLY_SECONDS) is chord_at(
        chords, last.start_seconds + _EARLY_SECONDS
    ):
        # Outer voices keep ringing inside a chord, else an arpeggio becomes a jumping bass.
        cost += 4.5 if number == len(voices) - 1 and leap >= 6 else 0.0
        cost += 2.5 if number == 0 and leap <= -7 else 0.0
    return cost


def _append(line: Line, note: Note) -> None:
    """Add a note to a line that has one voice: what still sounds ends where the new note begins."""
    if line and line[-1].end_seconds > note.start_seconds:
        line[-1] = _until(line[-1], note.start_seconds)
    line.append(note)


def _until(note: Note, end: float) -> Note:
    seconds = max(_SHORTEST_SECONDS, end - note.start_seconds)
    return replace(note, seconds=seconds, bend=trimmed(note.bend, seconds))


def monophonic(notes: Sequence[Note]) -> Line:
    """Return the notes by start, each cut where the next begins."""
    line: Line = []
    for note in sorted(notes, key=lambda note: note.start_seconds):
        _append(line, note)
    return line


def held(
    line: Sequence[Note],
    chords: Sequence[Chord],
    sounding: Sequence[Span],
    *,
    longest_seconds: float,
    end_seconds: float,
) -> Line:
    """Return the line held to its next notes, while they fit the chord and the source sounds."""
    starts = [note.start_seconds for note in line]
    result = []
    for note, (_, following) in zip(line, pairwise([*starts, end_seconds]), strict=True):
        limit = min(following, note.start_seconds + longest_seconds)
        limit = min(limit, end_of_sound(sounding, note.start_seconds))
        end = max(note.end_seconds, min(limit, _consonant_until(note, chords)))
        result.append(_until(note, min(end, following)))
    return result


def _consonant_until(note: Note, chords: Sequence[Chord]) -> float:
    """Return where the first chord ends that the note would clash with when held into it."""
    end = note.end_seconds
    for chord in chords:
        if chord.end_seconds <= note.start_seconds + _EARLY_SECONDS:
            continue
        begins_here = chord.start_seconds <= note.start_seconds + _EARLY_SECONDS
        if not begins_here and note.pitch % 12 not in chord.pitch_classes:
            break
        end = max(end, chord.end_seconds)
    return end


def filled(
    lines: Sequence[Line],
    voices: Sequence[Voice],
    chords: Sequence[Chord],
    sounding: Sequence[Span],
) -> list[Line]:
    """Return the lines with idle players given chord tones, near to what they played last.

    Nothing is added where the source is silent.
    """
    result = [list(line) for line in lines]
    for number, voice in enumerate(voices):
        others = [line for other, line in enumerate(result) if other != number]
        is_lowest = number == len(voices) - 1
        added: Line = []
        for chord in chords:
            for rest in _rests(result[number], Span(chord.start_seconds, chord.end_seconds)):
                for span in within(rest, sounding):
                    if span.seconds >= _FILL_REST_SECONDS:
                        classes = _wanted(chord, others, span.start, is_lowest=is_lowest)
                        near = _last_pitch([*result[number], *added], span.start, voice)
                        added.append(_filled_note(span, classes, near, voice))
        result[number] = sorted([*result[number], *added], key=lambda note: note.start_seconds)
    return result


def _rests(line: Sequence[Note], span: Span) -> list[Span]:
    """Return the parts of a span in which a line is idle."""
    inside = [note for note in line if note.end_seconds > span.start]
    inside = [note for note in inside if note.start_seconds < span.end]
    edges = [span.start]
    for note in inside:
        edges += [note.start_seconds, note.end_seconds]
    edges.append(span.end)
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [Span(start, end) for start, end in pairs if end > start]


def _wanted(
    chord: Chord, others: Sequence[Line], seconds: float, *, is_lowest: bool
) -> tuple[int, ...]:
    """Return the pitch classes an idle player may take: the bass, or what nobody else plays."""
    classes = chord.pitch_classes
    if is_lowest:
        return (chord.bass,) if chord.bass in classes else classes[:1]
    taken = {
        note.pitch % 12
        for line in others
        for note in line
        if note.start_seconds < seconds + 0.1 < note.end_seconds
    }
    return tuple(tone for tone in classes if tone not in taken) or classes


def _last_pitch(line: Sequence[Note], seconds: float, voice: Voice) -> float:
    before = [note for note in line if note.start_seconds < seconds]
    if not before:
        return sum(voice.range) / 2
    return max(before, key=lambda note: note.start_seconds).pitch


def _filled_note(span: Span, classes: Sequence[int | None], near: float, voice: Voice) -> Note:
    low, high = voice.range
    pitches = [pitch for pitch in range(low, high + 1) if pitch % 12 in classes]
    middle = (low + high) / 2
    pitch = min(pitches, key=lambda pitch: abs(pitch - near) + 0.15 * abs(pitch - middle))
    length = span.seconds - 0.01
    return Note(span.start, length, pitch, _FILL_VELOCITY, confidence=0.5, origin="fill")


def skyline(notes: Sequence[Note], *, lowest: int = 52) -> Line:
    """Return the melody: the salient top of each group, without dips while the top still rings."""
    tops = [
        max(group, key=lambda note: 0.06 * note.pitch + 1.2 * note.velocity)
        for group in onset_groups([note for note in notes if note.pitch >= lowest])
    ]
    kept: list[Note] = []
    for note in tops:
        if kept and _is_dip(note, kept[-1]):
            continue
        kept.append(note)
    return monophonic(kept)


def _is_dip(note: Note, top: Note) -> bool:
    return top.pitch - note.pitch > 7 and top.end_seconds > note.start_seconds + 0.12


def average_polyphony(notes: Sequence[Note]) -> float:
    """Return how many notes sound at once, on average over the time that any does."""
    edges = sorted({time for note in notes for time in (note.start_seconds, note.end_seconds)})
    sounding = 0.0
    for start, end in pairwise(edges):
        middle = (start + end) / 2
        if any(note.start_seconds <= middle < note.end_seconds for note in notes):
            sounding += end - start
    return sum(note.seconds for note in notes) / sounding if sounding > 0 else 0.0
