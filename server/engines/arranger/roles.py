"""What each role plays: riff, melody, bass line, chord roots, chords and arpeggio.

Every function takes a `Material` (what was heard, made ready once) and a `Voice` and returns notes
in the voice's range. Heard notes keep their onsets; added ones lie on the grid or on a chord's
start, and only where the source sounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from server.engines.arranger import rhythm, whims
from server.engines.arranger.bending import playable, trimmed
from server.engines.arranger.harmony import chord_at, fit, voicings
from server.engines.arranger.lines import (
    Line,
    average_polyphony,
    monophonic,
    onset_groups,
    skyline,
    without_overtones,
)
from server.engines.arranger.rhythm import Step
from server.engines.arranger.score import Chord, DrumHit, Heard, Note
from server.engines.arranger.spans import Span, end_of_sound, holds, within
from server.engines.arranger.walking import walk
from variations.schema import Voice

_EARLY_SECONDS = 0.06
_PEDAL_SECONDS = 1.8
_BASS_RING_SECONDS = 2.5
_ROOT_RING_SECONDS = 1.6
_SOLO_POLYPHONY = 1.6
"""Below this many notes at once the source is a single line, and all of it may be bass."""

_GAP_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Material:
    """What the roles draw from.

    Attributes:
        heard: as it came.
        chords: the smooth progression.
        sounding: where anything may be added.
        steps: the grid.
        kicks: onsets of the kit's bass drum in the new arrangement.
        invention: 0–1, loudness of what is added; at 0 nothing is.
        seed: of everything that is chosen.
    """

    heard: Heard
    chords: tuple[Chord, ...]
    sounding: tuple[Span, ...]
    steps: tuple[Step, ...]
    kicks: tuple[float, ...]
    invention: float
    seed: int


def riff(material: Material, voice: Voice) -> Line:
    """Return what was heard in the instrument's range; the loudest notes where hands are few."""
    notes = playable(material.heard.notes, voice)
    if voice.polyphony is not None:
        notes = [
            note
            for group in onset_groups(notes)
            for note in sorted(group, key=lambda note: -note.velocity)[: voice.polyphony]
        ]
    placed = _placed(notes, voice)
    if voice.pedal:
        placed = [_pedalled(note, material.chords) for note in placed]
    return _chopped(_without_unisons(placed), material, voice)


def _placed(notes: Sequence[Note], voice: Voice) -> Line:
    low, high = voice.range
    shift = 12 * voice.octave
    return [replace(note, pitch=fit(note.pitch + shift, low, high)) for note in notes]


def _pedalled(note: Note, chords: Sequence[Chord]) -> Note:
    """Let a chord tone ring until the chord changes."""
    chord = chord_at(chords, note.start_seconds + _EARLY_SECONDS)
    if chord is None or note.pitch % 12 not in chord.pitch_classes:
        return note
    ring = min(chord.end_seconds - note.start_seconds, _PEDAL_SECONDS)
    return replace(note, seconds=max(note.seconds, ring))


def _without_unisons(notes: Sequence[Note]) -> Line:
    """Return the notes with octaves that met on one key of a narrow range made one."""
    kept: Line = []
    for group in onset_groups(notes):
        loudest: dict[int, Note] = {}
        for note in group:
            rival = loudest.get(note.pitch)
            if rival is None or note.velocity > rival.velocity:
                loudest[note.pitch] = note
        kept += loudest.values()
    return sorted(kept, key=lambda note: (note.start_seconds, note.pitch))


def _chopped(notes: Line, material: Material, voice: Voice) -> Line:
    if voice.stutter == 0 or material.invention == 0:
        return notes
    random = np.random.default_rng([material.seed, len(voice.name), 7])
    chosen = random.random(len(notes)) < voice.stutter
    step = material.heard.beat_seconds / 4
    chopped = rhythm.stuttered(notes, chosen.tolist(), step)
    return [replace(note, bend=trimmed(note.bend, note.seconds)) for note in chopped]


def melody(material: Material, voice: Voice) -> Line:
    """Return the top of what was heard."""
    top = skyline(without_overtones(playable(material.heard.notes, voice)))
    return _chopped(_placed(top, voice), material, voice)


def bass(material: Material, voice: Voice) -> Line:
    """Return the lowest line, the roots on the kick, or the line in the voice's rhythm."""
    if voice.follow == "chord_root" and material.invention > 0:
        return roots(material, voice)
    if voice.style == "walking" and material.invention > 0 and material.steps:
        return _walked(material, voice)
    line = _placed(playable(_bass_line(material), voice), voice)
    if voice.rhythm is not None and material.invention > 0 and material.steps:
        line = _in_rhythm(line, material, voice)
    line = _chopped(line, material, voice)
    return [*line, *_doubled(line, voice)] if voice.octave_double else line


def _walked(material: Material, voice: Voice) -> Line:
    return walk(
        material.chords,
        material.heard.beats.tolist(),
        voice.range,
        sounding=material.sounding,
        end_seconds=material.heard.seconds,
        seed=material.seed,
    )


def _doubled(line: Line, voice: Voice) -> Line:
    """Return the strong notes an octave lower, where the range goes that far."""
    strong = (note for note in line if note.velocity > 0.5)
    lower = (replace(note, pitch=note.pitch - 12) for note in strong)
    return [note for note in lower if note.pitch >= voice.range[0]]


def _bass_line(material: Material) -> Line:
    notes = material.heard.notes
    is_solo = average_polyphony(notes) < _SOLO_POLYPHONY
    picked = [min(group, key=lambda note: note.pitch) for group in onset_groups(notes)]
    if is_solo:
        return monophonic([note for note in picked if note.pitch <= 62])
    line = monophonic(_low_notes(picked, notes, material.chords))
    return monophonic([*_ringing(line, material.chords), *_missing_bass(line, material)])


def _low_notes(picked: Sequence[Note], notes: Sequence[Note], chords: Sequence[Chord]) -> Line:
    """Return the notes that are bass: near the low end, no inner notes of an arpeggio."""
    lowest = sorted(note.pitch for note in notes)[: max(3, len(notes) // 6)]
    ceiling = min(55.0, float(np.median(lowest)) + 12)
    kept: Line = []
    for note in picked:
        chord = chord_at(chords, note.start_seconds + _EARLY_SECONDS)
        begun = chord is not None and kept and _begins_in(kept[-1], chord)
        if note.pitch <= ceiling and not (begun and note.pitch - kept[-1].pitch >= 6):
            kept.append(note)
    return kept


def _begins_in(note: Note, chord: Chord) -> bool:
    return (
        chord.start_seconds - _EARLY_SECONDS
        <= note.start_seconds
        < chord.end_seconds - _EARLY_SECONDS
    )


def _ringing(line: Sequence[Note], chords: Sequence[Chord]) -> Line:
    """Let chord tones ring to the end of their chord; the next note will cut them."""
    result = []
    for note in line:
        chord = chord_at(chords, note.start_seconds + _EARLY_SECONDS)
        room = chord.end_seconds - note.start_seconds if chord else note.seconds
        is_tone = chord is not None and note.pitch % 12 in chord.pitch_classes
        ring = max(note.seconds, _BASS_RING_SECONDS) if is_tone else note.seconds
        result.append(replace(note, seconds=max(0.05, min(ring, room))))
    return result


def _missing_bass(line: Sequence[Note], material: Material) -> Line:
    """Return bass notes for the beginnings of chords that have none, where the source sounds."""
    added = []
    for chord in material.chords if material.invention > 0 else ():
        starts = [note.start_seconds for note in line if _begins_in(note, chord)]
        length = chord.end_seconds - chord.start_seconds
        first = min(starts, default=chord.end_seconds)
        if first > chord.start_seconds + 0.45 * length and chord.bass is not None:
            for span in within(Span(chord.start_seconds, first), material.sounding):
                pitch = fit(chord.bass, 28, 39)
                added.append(Note(span.start, span.seconds, pitch, 0.65, 0.4, "fill"))
    return added


def _in_rhythm(line: Sequence[Note], material: Material, voice: Voice) -> Line:
    """Return the line's pitches in the voice's rhythm, the chord's bass where the line rests."""
    low, high = voice.range
    notes = []
    for stroke in _allowed_strokes(material, voice):
        sounding = [n for n in line if n.start_seconds <= stroke.start_seconds + 0.02]
        current = sounding[-1] if sounding else None
        chord = chord_at(material.chords, stroke.start_seconds)
        if current is not None and current.end_seconds > stroke.start_seconds:
            pitch = current.pitch
        elif chord is not None and chord.bass is not None:
            pitch = fit(chord.bass, low, high)
        else:
            continue
        length = stroke.seconds - _GAP_SECONDS
        notes.append(Note(stroke.start_seconds, length, pitch, stroke.velocity, 0.5, "fill"))
    return notes


def _allowed_strokes(material: Material, voice: Voice) -> list[rhythm.Stroke]:
    """Return the strokes of a voice's rhythm where the source sounds, each up to the next one.

    No stroke is longer than two steps: a rhythm is heard by its rests.
    """
    found = rhythm.strokes(material.steps, voice.rhythm or [])
    starts = [stroke.start_seconds for stroke in found]
    step = material.heard.beat_seconds / 4
    return [
        replace(stroke, seconds=min(following - start, 2 * step))
        for stroke, (start, following) in zip(
            found, pairwise([*starts, material.heard.seconds]), strict=True
        )
        if holds(material.sounding, stroke.start_seconds)
    ]


def roots(material: Material, voice: Voice) -> Line:
    """Return the chord's root on every kick and every chord change, each ringing to the next."""
    low, high = voice.range
    starts = _distinct([*material.kicks, *(chord.start_seconds for chord in material.chords)])
    starts = [start for start in starts if holds(material.sounding, start)]
    notes = []
    for start, following in pairwise([*starts, material.heard.seconds]):
        chord = chord_at(material.chords, start + 0.03)
        on_kick = any(abs(start - kick) < 0.02 for kick in material.kicks)
        if chord is not None and chord.root is not None:
            silence = end_of_sound(material.sounding, start)
            length = max(0.12, min(following, silence, start + _ROOT_RING_SECONDS) - start)
            pitch = fit(chord.root, low, high)
            notes.append(Note(start, length, pitch, 0.95 if on_kick else 0.7, 1.0, "fill"))
    return notes


def _distinct(times: Sequence[float]) -> list[float]:
    """Return the times by order, without those that follow another within 60 ms."""
    kept: list[float] = []
    for time in sorted(times):
        if not kept or time - kept[-1] > _EARLY_SECONDS:
            kept.append(time)
    return kept


def chords(material: Material, voice: Voice) -> Line:
    """Return voice-led chords, sustained or in the voice's rhythm."""
    if material.invention == 0:
        return []
    spread = _voiced(material, voice)
    if voice.rhythm is not None and material.steps:
        return _strummed(_rhythmic(spread, material, voice), voice)
    velocity = voice.velocity * material.invention
    held = [
        Note(span.start, max(0.05, _held(span, voice)), pitch, velocity, 0.5, "fill")
        for chord, pitches in spread
        for span in within(Span(chord.start_seconds, chord.end_seconds), material.sounding)
        for pitch in pitches
    ]
    return _strummed(held, voice)


def _strummed(notes: Line, voice: Voice) -> Line:
    """Return chords struck from low to high; what is later is as much shorter."""
    if voice.strum_ms == 0:
        return notes
    strummed = []
    for group in onset_groups(notes):
        for number, note in enumerate(group):
            late = min(number * voice.strum_ms / 1000.0, 0.5 * note.seconds)
            start, length = note.start_seconds + late, note.seconds - late
            strummed.append(replace(note, start_seconds=start, seconds=length))
    return strummed


def _held(span: Span, voice: Voice) -> float:
    return min(span.seconds, 0.25) if voice.style == "stab" else span.seconds - _GAP_SECONDS


def _voiced(material: Material, voice: Voice) -> list[tuple[Chord, tuple[int, ...]]]:
    size = voice.polyphony or 3
    seed = material.seed + 101 * len(voice.name)
    lean = whims.lean(material.seed)
    pitches = voicings(material.chords, size, *voice.range, seed=seed, lean=lean)
    return [
        (chord, tuple(sorted(set(tones))))
        for chord, tones in zip(material.chords, pitches, strict=True)
    ]


def _rhythmic(
    spread: Sequence[tuple[Chord, tuple[int, ...]]], material: Material, voice: Voice
) -> Line:
    by_chord = {id(chord): pitches for chord, pitches in spread}
    notes = []
    for stroke in _allowed_strokes(material, voice):
        chord = chord_at(material.chords, stroke.start_seconds)
        velocity = min(1.0, 1.6 * voice.velocity * stroke.velocity) * material.invention
        for pitch in by_chord.get(id(chord), ()):
            length = stroke.seconds - _GAP_SECONDS
            notes.append(Note(stroke.start_seconds, length, pitch, velocity, 0.5, "fill"))
    return notes


def arpeggio(material: Material, voice: Voice) -> Line:
    """Return the chords broken in the seed's order, in the voice's rhythm or in eighths."""
    if material.invention == 0:
        return []
    by_chord = {id(chord): pitches for chord, pitches in _voiced(material, voice)}
    played = voice if voice.rhythm else voice.model_copy(update={"rhythm": "x.o.x.o.x.o.x.o."})
    notes = []
    for number, stroke in enumerate(_allowed_strokes(material, played)):
        pitches = by_chord.get(id(chord_at(material.chords, stroke.start_seconds)), ())
        if pitches:
            wave = whims.broken(pitches, material.seed)
            velocity = voice.velocity * (0.7 + 0.5 * stroke.velocity) * material.invention
            length = stroke.seconds - _GAP_SECONDS
            pitch = wave[number % len(wave)]
            notes.append(Note(stroke.start_seconds, length, pitch, velocity, 0.5, "fill"))
    return notes


def kick_times(hits: Sequence[DrumHit]) -> tuple[float, ...]:
    """Return the onsets of the bass drum."""
    return tuple(hit.start_seconds for hit in hits if hit.kind == "kick")
