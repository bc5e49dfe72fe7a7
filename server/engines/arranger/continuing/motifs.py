"""A tune made of what was heard: bars of the source's own tune, recombined over the chords to come.

A motif is a bar of the top line: where its tones lie in the bar, how long they are, how far each is
from the root of the chord it was played over. Which bars come back, whose rhythm meets whose tones
and where it rests is drawn from the seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from server.engines.arranger import harmony, lines
from server.engines.arranger.inpainting import groove, sections, tune
from server.engines.arranger.inpainting.context import Context
from server.engines.arranger.inpainting.groove import STEPS, STEPS_A_BEAT
from server.engines.arranger.inpainting.sections import Random, Section, Step
from server.engines.arranger.score import Note

_EARLY_SECONDS = 0.06
_FEWEST_TONES = 2
_PHRASE = (0, 1, 0, 2)
"""Which of the drawn motifs each bar of a phrase says: the first one comes back."""

_CROSSED, _RESTS, _TURNS = 0.4, 0.1, 0.12
"""Share of bars with another bar's tones, of tones left out, of short tones that take a neighbour
of the scale instead."""

_LONG_STEPS = 4
_SOFTER = 0.9


@dataclass(frozen=True, slots=True)
class Tone:
    """One tone of a motif: step of the bar, length in steps, pitch, root of the chord, velocity.

    `belongs` tells tones of the chord from those that passed.
    """

    index: int
    steps: float
    pitch: int
    root: int
    velocity: float
    belongs: bool


Motif = tuple[Tone, ...]


def heard(context: Context) -> tuple[Motif, ...]:
    """Return the bars of the top line that have something to say, in order."""
    bars: dict[int, dict[int, Tone]] = {}
    step_seconds = context.heard.beat_seconds / STEPS_A_BEAT
    for note in lines.skyline(lines.without_overtones(context.notes)):
        chord = harmony.chord_at(context.chords, note.start_seconds + _EARLY_SECONDS)
        if chord is None or chord.root is None:
            continue
        bar, place = groove.position(context, note.start_seconds)
        bar, index = bar + round(place) // STEPS, round(place) % STEPS
        length = max(1.0, note.seconds / step_seconds)
        bars.setdefault(bar, {})[index] = Tone(
            index,
            length,
            note.pitch,
            chord.root,
            note.velocity,
            note.pitch % 12 in chord.pitch_classes,
        )
    told = (tuple(tones[index] for index in sorted(tones)) for _, tones in sorted(bars.items()))
    return tuple(motif for motif in told if len(motif) >= _FEWEST_TONES)


def write(section: Section, random: Random, *, told: Sequence[Motif]) -> list[Note]:
    """Return a tune of the motifs over the section's chords; one of its own where there are none.

    What was a tone of the chord is one again, and so is what is long or on the beat; what passed
    may pass through the scale.
    """
    if not told:
        return tune.write(section, random)
    notes: list[Note] = []
    drawn: list[Motif] = []
    for number, steps in enumerate(_bars(section)):
        if number % len(_PHRASE) == 0:
            drawn = [told[int(random.integers(len(told)))] for _ in _PHRASE]
        rhythm = drawn[_PHRASE[number % len(_PHRASE)]]
        crosses = float(random.random()) < _CROSSED
        tones = told[int(random.integers(len(told)))] if crosses else rhythm
        notes += _bar(section, steps, rhythm, tones, random)
    return notes


def _bars(section: Section) -> list[Mapping[int, Step]]:
    """Return the steps of each bar of a section, by their place in it."""
    bars: dict[int, dict[int, Step]] = {}
    for step in section.steps:
        bars.setdefault(step.bar, {})[step.index] = step
    return [bars[number] for number in sorted(bars)]


def _bar(
    section: Section, steps: Mapping[int, Step], rhythm: Motif, tones: Motif, random: Random
) -> list[Note]:
    notes = []
    for number, place in enumerate(rhythm):
        rests, turns = random.random(2).tolist()
        step = steps.get(place.index)
        if step is None or (rests < _RESTS and place.index):
            continue
        following = rhythm[number + 1].index if number + 1 < len(rhythm) else STEPS
        length = min(place.steps, following - place.index)
        pitch = _pitch(section, step, tones[number % len(tones)], length, turns=turns < _TURNS)
        if pitch is not None:
            velocity = max(0.2, _SOFTER * place.velocity)
            seconds = 0.96 * length * step.length_seconds
            notes.append(Note(step.seconds, seconds, pitch, velocity))
    return notes


def _pitch(section: Section, step: Step, tone: Tone, length: float, *, turns: bool) -> int | None:
    """Return a heard tone as it is over the chord that sounds now; None where there is none."""
    chord = sections.chord_at(section, step.seconds)
    if chord.root is None:
        return None
    moved = tone.pitch + (chord.root - tone.root + 5) % 12 - 5
    is_strong = step.index % STEPS_A_BEAT == 0 or length >= _LONG_STEPS
    classes = frozenset(chord.pitch_classes)
    if not is_strong and (turns or not tone.belongs):
        classes |= sections.scale(section)
        moved += 2 * turns
    reach = range(moved - 6, moved + 7)
    return min(
        (pitch for pitch in reach if pitch % 12 in classes),
        key=lambda pitch: (abs(pitch - moved), pitch),
    )
