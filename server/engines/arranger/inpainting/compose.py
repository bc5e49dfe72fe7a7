"""Writing the new parts: bass, accompaniment and lead over the course, in the context's groove.

What is written is music for any ensemble, as notes that could have been heard; who plays which of
them is the arrangement's business. Nothing of it is taken from the source's own melody. Everything
that is chosen is drawn from the seed.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np

from server.engines.arranger import harmony
from server.engines.arranger.inpainting import sections, tune
from server.engines.arranger.inpainting.context import METER, Context
from server.engines.arranger.inpainting.groove import STEPS, STEPS_A_BEAT, Onset
from server.engines.arranger.inpainting.sections import Random, Section
from server.engines.arranger.score import Chord, DrumHit, Note

_HELD_BASS = (33, 46)
_HIGHEST_BASS = 52
_COMP_CENTRE, _COMP_REACH = 62, 9
_HUMAN_SECONDS, _HUMAN_MOST_SECONDS = 0.003, 0.007
_HUMAN_VELOCITY = 0.05
_BASS_BEATS, _COMP_BEATS = 2.5, 3.0
_PAD_VELOCITY = 0.5
_BREATH_SECONDS = 3.0
_FIFTH_SHARE, _OCTAVE_SHARE, _APPROACH_SHARE = 0.22, 0.12, 0.35
_APPROACH_BEATS = 1.1
"""A fifth or a note that leads on, if longer than this, is heard as the bass of another chord."""

Lead = Callable[[Section, Random], list[Note]]
"""Writes the tune of a section."""


def write(section: Section, seed: int, *, lead: Lead = tune.write) -> tuple[Note, ...]:
    """Return bass, accompaniment and lead of a section, by start."""
    if not section.chords:
        return ()
    written = [
        *bass(section, np.random.default_rng([seed, 1])),
        *accompaniment(section, np.random.default_rng([seed, 2]), seed),
        *lead(section, np.random.default_rng([seed, 3])),
    ]
    played = [
        _humanised(note, np.random.default_rng([seed, 4, n])) for n, note in enumerate(written)
    ]
    return tuple(sorted(played, key=lambda note: (note.start_seconds, note.pitch)))


def held(section: Section, seed: int) -> tuple[Note, ...]:
    """Return the chords held, low to high: all that is honest where there is no beat to keep."""
    low, high = _COMP_CENTRE - _COMP_REACH, _COMP_CENTRE + _COMP_REACH
    spread = harmony.voicings(section.chords, 3, low, high, seed=seed)
    notes = [
        Note(start, end - start, pitch, _PAD_VELOCITY)
        for chord, pitches in zip(section.chords, spread, strict=True)
        for start, end in _breaths(chord)
        for pitch in {harmony.fit(chord.root or 0, *_HELD_BASS), *pitches}
    ]
    return tuple(sorted(notes, key=lambda note: (note.start_seconds, note.pitch)))


def _breaths(chord: Chord) -> list[tuple[float, float]]:
    """Return the times of a chord in equal parts, none so long that a struck string has died."""
    seconds = chord.end_seconds - chord.start_seconds
    count = max(1, int(np.ceil(seconds / _BREATH_SECONDS)))
    edges = np.linspace(chord.start_seconds, chord.end_seconds, count + 1).tolist()
    return list(pairwise(edges))


def _humanised(note: Note, random: Random) -> Note:
    late = float(
        np.clip(random.normal(0.0, _HUMAN_SECONDS), -_HUMAN_MOST_SECONDS, _HUMAN_MOST_SECONDS)
    )
    velocity = float(np.clip(note.velocity + random.normal(0.0, _HUMAN_VELOCITY), 0.15, 1.0))
    return replace(note, start_seconds=max(0.0, note.start_seconds + late), velocity=velocity)


# Bass


def bass(section: Section, random: Random) -> list[Note]:
    """Return roots, now and then a fifth or octave, and steps that lead into the next chord."""
    onsets = _bass_onsets(section, random)
    notes = []
    for number, (onset, seconds) in enumerate(sections.ringing(onsets, section, _BASS_BEATS)):
        chord = sections.chord_at(section, onset.seconds)
        following = onsets[number + 1].seconds if number + 1 < len(onsets) else section.span.end
        begins = number == 0 or sections.chord_at(section, onsets[number - 1].seconds) is not chord
        is_short = following - onset.seconds < _APPROACH_BEATS * section.beat_seconds
        target = sections.chord_at(section, following)
        stays = begins or not is_short
        pitch = _bass_pitch(chord, target, section, random, stays=stays)
        notes.append(Note(onset.seconds, seconds, pitch, min(1.0, 0.35 + 0.55 * onset.accent)))
    return notes


def _bass_onsets(section: Section, random: Random) -> list[Onset]:
    if section.kept is not None:
        return sections.kept_onsets(section.kept.low or section.kept.onsets, section)
    usual = {step for step in range(STEPS) if section.groove.bass[step] >= sections.USUAL}
    usual = usual or {0, STEPS // 2}
    return sections.on_steps(
        section, {turn: usual | sections.rare(section.groove.bass, random) for turn in (0, 1)}
    )


def _bass_pitch(
    chord: Chord, following: Chord, section: Section, random: Random, *, stays: bool
) -> int:
    low, high = _bass_range(section.context)
    root = harmony.fit(chord.bass if chord.bass is not None else chord.root or 0, low, high)
    dice = float(random.random())
    if stays:
        return root + 12 * (dice > 1.0 - _OCTAVE_SHARE and root + 12 <= _HIGHEST_BASS)
    if following is not chord and dice < _APPROACH_SHARE:
        return _approach(harmony.fit(following.root or 0, low, high), section, random)
    fifth = next((tone for tone in chord.pitch_classes if (tone - root) % 12 == 7), None)
    if fifth is not None and dice < _APPROACH_SHARE + _FIFTH_SHARE:
        return harmony.fit(fifth, low, high)
    return root


def _approach(target: int, section: Section, random: Random) -> int:
    """Return the tone of the scale just below or above a pitch."""
    scale = sections.scale(section)
    direction = 1 if random.random() < 0.5 else -1
    return next(
        (target + direction * by for by in (1, 2) if (target + direction * by) % 12 in scale),
        target,
    )


def _bass_range(context: Context) -> tuple[int, int]:
    """Return an octave and a little around the context's own bass."""
    low = sorted(note.pitch for note in context.notes)[: max(1, len(context.notes) // 8)]
    middle = int(np.median(low)) if low else 40
    lowest = min(max(middle - 6, 28), 41)
    return lowest, lowest + 13


# Accompaniment


def accompaniment(section: Section, random: Random, seed: int) -> list[Note]:
    """Return voiced chords, struck together, broken, or by turns, as the seed has it."""
    onsets = _comp_onsets(section, random)
    low, high = _comp_range(section.context)
    spread = harmony.voicings(section.chords, 3, low, high, seed=seed)
    by_chord = {id(chord): tones for chord, tones in zip(section.chords, spread, strict=True)}
    style = ("block", "broken", "mixed")[int(random.integers(3))]
    order = random.permutation(3).tolist()
    notes = []
    for number, (onset, seconds) in enumerate(sections.ringing(onsets, section, _COMP_BEATS)):
        chord = sections.chord_at(section, onset.seconds)
        pitches = by_chord[id(chord)]
        begins = number == 0 or sections.chord_at(section, onsets[number - 1].seconds) is not chord
        if not begins and (style == "broken" or (style == "mixed" and number % 2)):
            pitches = (pitches[order[number % 3] % len(pitches)],)
        length = seconds if style == "block" else _to_change(onset, chord, section)
        velocity = min(1.0, 0.2 + 0.45 * onset.accent)
        notes += [Note(onset.seconds, length, pitch, velocity) for pitch in sorted(set(pitches))]
    return notes


def _to_change(onset: Onset, chord: Chord, section: Section) -> float:
    longest = _COMP_BEATS * section.beat_seconds
    return max(0.08, min(longest, chord.end_seconds - onset.seconds - 0.01))


def _comp_onsets(section: Section, random: Random) -> list[Onset]:
    if section.kept is not None:
        return sections.kept_onsets(section.kept.onsets, section)
    weights = 0.6 * section.groove.upper + 0.35 * random.random(STEPS)
    weights[::STEPS_A_BEAT] += 0.3
    weights[2::STEPS_A_BEAT] += 0.15
    count = int(np.clip(round(section.groove.density * METER), 3, 8))
    best = np.argsort(-weights, kind="stable")
    turns = {
        0: set(best[:count].tolist()),
        1: set(best[: count + 1].tolist()) - {int(best[count - 1])},
    }
    return sections.on_steps(section, turns)


def _comp_range(context: Context) -> tuple[int, int]:
    middle = [note.pitch for note in context.notes if 50 <= note.pitch <= 76]
    centre = round(float(np.clip(np.median(middle), 57, 66))) if middle else _COMP_CENTRE
    return centre - _COMP_REACH, centre + _COMP_REACH


# Drums


def strokes(section: Section, seed: int) -> tuple[DrumHit, ...]:
    """Return what the context's drummer would play: the usual strokes, some of the rare ones."""
    if section.kept is not None:
        hits = section.kept.strokes
        return tuple(
            hit for hit in hits if section.span.start <= hit.start_seconds < section.span.end
        )
    random = np.random.default_rng([seed, 5])
    found = []
    for kind, (shares, hardness) in sorted(section.groove.strokes.items()):
        for step in section.steps:
            share, dice = float(shares[step.index]), float(random.random())
            if share >= sections.USUAL or (share >= sections.RARE and dice < share):
                velocity = float(np.clip(hardness[step.index] + 0.06 * (dice - 0.5), 0.1, 1.0))
                found.append(DrumHit(step.seconds, kind, velocity))
    return tuple(sorted(found, key=lambda hit: (hit.start_seconds, hit.kind)))
