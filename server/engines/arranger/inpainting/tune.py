"""A tune: a two-bar motif over the course, said again over the other chords with other endings.

Made of the chords, the key and the seed; nothing of the source's own melody is in it.
"""

from collections.abc import Sequence

import numpy as np

from server.engines.arranger.inpainting import sections
from server.engines.arranger.inpainting.context import METER, Context
from server.engines.arranger.inpainting.groove import STEPS, STEPS_A_BEAT, Onset
from server.engines.arranger.inpainting.sections import Random, Section
from server.engines.arranger.score import Note

_CENTRE, _REACH = 74.0, 9
_LONGEST_BEATS = 1.75
_CONTOURS = np.array([-2, -1, -1, 0, 1, 1, 2])
_RESTS = 0.12
_PASSING_SHARE, _PASSING_BEATS = 0.4, 0.6
"""How many of the short notes may be of the scale only, and how short is short."""


def write(section: Section, random: Random) -> list[Note]:
    """Return a tune of a two-bar motif, said again over the other chords with other endings."""
    if section.kept is not None:
        onsets = _thinned(sections.kept_onsets(section.kept.onsets, section), random)
    else:
        onsets = _motif_onsets(section, random)
    contour = np.cumsum(random.choice(_CONTOURS, size=16))
    tune, pitch = [], _centre(section.context)
    for number, (onset, seconds) in enumerate(sections.ringing(onsets, section, _LONGEST_BEATS)):
        wanted = _centre(section.context) + contour[number % 8] + contour[number % 16] / 2
        passes = float(random.random()) < _PASSING_SHARE
        classes = frozenset(sections.chord_at(section, onset.seconds).pitch_classes)
        if passes and seconds < _PASSING_BEATS * section.beat_seconds:
            classes |= _within_a_step(sections.scale(section), round(pitch))
        pitch = _nearest(classes, float(wanted), pitch, _centre(section.context))
        tune.append(Note(onset.seconds, seconds, round(pitch), min(1.0, 0.4 + 0.5 * onset.accent)))
    return tune


def _motif_onsets(section: Section, random: Random) -> list[Onset]:
    """Return the rhythm: the motif in even and odd bars, with a breath at the end of the odd."""
    weights = 0.35 * section.groove.upper + random.random(STEPS)
    weights[::STEPS_A_BEAT] += 0.35
    weights[1::2] -= 0.35 * (section.groove.upper[1::2] < sections.RARE)
    count = int(np.clip(round(0.9 * METER * min(section.groove.density, 1.6)), 3, 6))
    first = set(np.argsort(-weights, kind="stable")[:count].tolist())
    second = {step for step in first if step < 3 * STEPS // 4} | {
        int(random.integers(0, METER)) * 4
    }
    chosen = {0: first, 1: second}
    dice = {step: random.random() for step in section.steps}
    return [
        Onset(step.seconds, float(section.groove.accents[step.index]))
        for step in section.steps
        if step.index in chosen[step.bar % 2] and dice[step] > _RESTS
    ]


def _centre(context: Context) -> float:
    pitches = [note.pitch for note in context.notes]
    return float(np.clip(np.percentile(pitches, 85), 69, 79)) if pitches else _CENTRE


def _within_a_step(scale: frozenset[int], pitch: int) -> frozenset[int]:
    """Return the tones of the scale a step away from a pitch: others are no passing notes."""
    return frozenset(tone for tone in scale if min((tone - pitch) % 12, (pitch - tone) % 12) <= 2)


def _nearest(classes: frozenset[int], wanted: float, before: float, centre: float) -> float:
    """Return the pitch of these classes nearest to what is wanted, without a leap if it can be."""
    low, high = round(centre) - _REACH, round(centre) + _REACH
    pitches = [pitch for pitch in range(low, high + 1) if pitch % 12 in classes]
    return float(
        min(pitches, key=lambda pitch: (abs(pitch - wanted) + 0.4 * abs(pitch - before), pitch))
    )


def _thinned(onsets: Sequence[Onset], random: Random) -> list[Onset]:
    """Return the harder two thirds of the onsets, by chance as well."""
    marks = [each.accent + 0.3 * random.random() for each in onsets]
    bound = float(np.quantile(marks, 1 / 3)) if marks else 0.0
    return [each for each, mark in zip(onsets, marks, strict=True) if mark >= bound]
