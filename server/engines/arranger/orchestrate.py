"""From what was heard to a score: who plays what in a preset's arrangement.

Knows the arrangement's parts and the order they are written in; how a role or a line is written is
the business of `roles` and `lines`. Symbolic only: nothing here makes a sound.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from server.engines.arranger import harmony, lines, rhythm, roles, whims
from server.engines.arranger.choices import Choices
from server.engines.arranger.roles import Material
from server.engines.arranger.score import Chord, DrumHit, Heard, Note, Part, Score
from server.engines.arranger.spans import sounding
from server.engines.arranger.strengths import Strengths
from variations.parts import DRUMS, Hit, stroke_part
from variations.schema import Arrangement, Drums, Stroke, Voice

INVENTION_STARTS = 0.3
"""Below this strength only what was heard is played: no fill, no pads, no drum pattern."""

INVENTION_FULL = 0.6

NO_PITCH = "No pitched material was heard; only drum strokes are played."
NO_PULSE = "No tempo was heard; nothing is added that would need one."
OTHER_TEMPO = "The music is at {heard:.4g} BPM, not at {told:.4g}: the hint was not followed."

_MELODIC = frozenset({"line", "riff", "melody"})
"""Roles that play what was heard; alone they stand in for a voice."""

_INAUDIBLE_CENTS = 4.0
_PIZZICATO = 45
_STROKE_SECONDS: Mapping[str, float] = {"natural": 0.3, "plucked": 0.3, "spiccato": 0.12}
_UNPITCHED_CLASS = 9
"""What an ensemble plays strokes on where no pitch was heard: one A, no harmony."""

Writer = Callable[[Material, Voice], list[Note]]

_WRITERS: Mapping[str, Writer] = {
    "riff": roles.riff,
    "melody": roles.melody,
    "bass": roles.bass,
    "chords": roles.chords,
    "arpeggio": roles.arpeggio,
}


def arrange(
    heard: Heard,
    arrangement: Arrangement,
    *,
    strength: float | Strengths,
    seed: int,
    choices: Choices | None = None,
) -> Score:
    """Return the score of an arrangement of what was heard.

    Heard notes keep the onsets they had. What is added (chords, fill, patterns) lies on the heard
    grid, only where the source sounds, and grows with `strength`; which voicings are taken is drawn
    from the seed, or from the one that `choices` give a part. Drums of strength 0 stay those of the
    source: there is no kit then, but what follows a kick follows the source's.
    """
    wanted = strength if isinstance(strength, Strengths) else Strengths(strength, strength)
    choices = choices if choices is not None else Choices(as_written=True)
    arrangement = _with_fills(arrangement, choices.whim_of(DRUMS, seed))
    material = _material(heard, strength=wanted.of_notes, seed=seed)
    hits = _kit(heard, arrangement, material, wanted.drums)
    material = replace(material, kicks=roles.kick_times(hits))
    parts = [
        *_pitched_parts(material, arrangement, choices, wanted),
        *_stroke_parts(material, arrangement, wanted),
    ]
    audible = abs(heard.tuning_cents) > _INAUDIBLE_CENTS
    return Score(
        seconds=heard.seconds,
        parts=tuple(part for part in parts if part.notes),
        hits=hits,
        drums=_balanced_kit(arrangement, wanted),
        kick_root=harmony.main_root(material.chords),
        halo=arrangement.halo if heard.is_pitched and wanted.of_notes > 0.0 else None,
        effects=tuple(arrangement.effects),
        beat_seconds=heard.beat_seconds,
        tuning_cents=float(np.clip(heard.tuning_cents, -50, 50)) if audible else 0.0,
        notices=_notices(heard),
        choices=choices,
    )


def _notices(heard: Heard) -> tuple[str, ...]:
    found = [] if heard.is_pitched else [NO_PITCH]
    if not heard.has_pulse:
        found.append(NO_PULSE)
    elif heard.hinted_bpm is not None and not heard.follows_hint:
        found.append(OTHER_TEMPO.format(heard=heard.bpm, told=heard.hinted_bpm))
    return tuple(found)


def _material(heard: Heard, *, strength: float, seed: int) -> Material:
    return Material(
        heard=heard,
        chords=harmony.progression(heard),
        sounding=sounding(heard),
        steps=rhythm.grid(heard),
        kicks=(),
        invention=_invention(strength),
        seed=seed,
    )


def _invention(strength: float) -> float:
    """Return how much may be added at a strength, 0 to 1."""
    share = (strength - INVENTION_STARTS) / (INVENTION_FULL - INVENTION_STARTS)
    return float(np.clip(share, 0.0, 1.0))


def _with_fills(arrangement: Arrangement, seed: int) -> Arrangement:
    """Return an arrangement whose kit has fills and ghost strokes of its own."""
    if arrangement.drums is None:
        return arrangement
    drums = whims.drummed(arrangement.drums, seed)
    return arrangement.model_copy(update={"drums": drums})


def _kit(
    heard: Heard, arrangement: Arrangement, material: Material, strength: float
) -> tuple[DrumHit, ...]:
    if arrangement.drums is None:
        return ()
    if strength <= 0.0:
        return heard.drums
    invents = _invention(strength) > 0
    return rhythm.kit_hits(heard, arrangement.drums, material.sounding, invents=invents)


def _balanced_kit(arrangement: Arrangement, wanted: Strengths) -> Drums | None:
    if arrangement.drums is None or wanted.drums <= 0.0:
        return None
    gain_db = arrangement.drums.gain_db + _decibels(wanted.balance["drums"])
    return arrangement.drums.model_copy(update={"gain_db": gain_db})


def _balanced(part: Part, gain: float) -> Part:
    gain_db = part.voice.gain_db + _decibels(gain)
    return replace(part, voice=part.voice.model_copy(update={"gain_db": gain_db}))


def _decibels(gain: float) -> float:
    return 20.0 * math.log10(gain)


def _pitched_parts(
    material: Material, arrangement: Arrangement, choices: Choices, wanted: Strengths
) -> list[Part]:
    if not material.heard.is_pitched or wanted.of_notes <= 0.0:
        return []
    written = _ensemble(material, arrangement, choices)
    for voice in arrangement.voices:
        if voice.role != "line":
            own = replace(material, seed=choices.seed_of(voice.name, material.seed))
            written[voice.name] = _WRITERS[voice.role](own, voice)
    gain = max(wanted.balance["pitched"], wanted.balance["vocals"])
    return [
        _balanced(Part(voice, _ordered(_accented(voice, written, material, choices))), gain)
        for voice in arrangement.voices
        if wanted.pitched > 0.0 or voice.role in _MELODIC
    ]


def _accented(
    voice: Voice, written: Mapping[str, list[Note]], material: Material, choices: Choices
) -> list[Note]:
    return whims.accented(written[voice.name], choices.whim_of(voice.name, material.seed))


def _ensemble(
    material: Material, arrangement: Arrangement, choices: Choices
) -> dict[str, list[Note]]:
    """Return the lines of an ensemble by player; the lowest one keeps the bass of the chords."""
    ensemble = [voice for voice in arrangement.voices if voice.role == "line"]
    written = _lines(material, arrangement, ensemble)
    found: dict[str, list[Note]] = {}
    for number, (voice, line) in enumerate(zip(ensemble, written, strict=True)):
        others = [note for other in written if other is not line for note in other]
        seed = choices.whim_of(voice.name, material.seed)
        found[voice.name] = (
            whims.refilled(line, others, material.chords, voice.range, seed)
            if number < len(ensemble) - 1
            else line
        )
    return found


def _ordered(notes: list[Note]) -> tuple[Note, ...]:
    return tuple(sorted(notes, key=lambda note: (note.start_seconds, note.pitch)))


def _lines(material: Material, arrangement: Arrangement, ensemble: list[Voice]) -> list[lines.Line]:
    if not ensemble:
        return []
    heard = material.heard
    separated = lines.separate(heard.notes, ensemble, material.chords)
    held = [
        lines.held(
            line,
            material.chords,
            material.sounding,
            longest_seconds=arrangement.hold_seconds,
            end_seconds=heard.seconds,
        )
        for line in separated
    ]
    if not arrangement.fill or material.invention == 0:
        return held
    return lines.filled(held, ensemble, material.chords, material.sounding)


def _stroke_parts(material: Material, arrangement: Arrangement, wanted: Strengths) -> list[Part]:
    """Return what an ensemble without a kit makes of a drummer's strokes."""
    if arrangement.drums is not None or not rhythm.has_drummer(material.heard):
        return []
    if wanted.drums <= 0.0:
        return []
    voices = {voice.name: voice for voice in arrangement.voices}
    gain = wanted.balance["drums"]
    return [
        _balanced(_stroke_part(kind, stroke, voices[stroke.part], material), gain)
        for kind, stroke in arrangement.strokes.items()
    ]


def _stroke_part(kind: Hit, stroke: Stroke, voice: Voice, material: Material) -> Part:
    changes: dict[str, object] = {
        "name": stroke_part(voice.name, kind),
        "gain_db": voice.gain_db + stroke.gain_db,
    }
    if stroke.articulation == "plucked" and voice.articulation == "bowed":
        changes |= {"program": _PIZZICATO, "articulation": "natural"}
    notes = [
        Note(hit.start_seconds, _STROKE_SECONDS[stroke.articulation], pitch, hit.velocity)
        for hit in material.heard.drums
        if hit.kind == kind
        for pitch in _stroke_pitches(
            stroke, voice, harmony.chord_at(material.chords, hit.start_seconds)
        )
    ]
    return Part(voice.model_copy(update=changes), _ordered(notes))


def _stroke_pitches(stroke: Stroke, voice: Voice, chord: Chord | None) -> list[int]:
    tones = chord.pitch_classes if chord is not None else ()
    tones = tones or (_UNPITCHED_CLASS,)
    chosen = tones if stroke.degree == "chord" else (tones[stroke.degree % len(tones)],)
    return [harmony.fit(tone, *voice.range) for tone in chosen]
