"""A score as a sheet: what was played, in the words of General MIDI.

Knows scores and what its voices and kits are called in General MIDI; nothing of files.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from server.engines.arranger import drumkits, harmony
from server.engines.arranger.bending import can_bend
from server.engines.arranger.score import DrumKind, Heard, Note, Part, Score
from server.media.sheet import Sheet, SheetNote, Track
from variations.parts import DRUMS

PROGRAMS: Mapping[str, int] = {
    "acid_bass": 38,
    "arp_pluck": 45,
    "bass_808": 39,
    "bowed_string": 48,
    "brass": 61,
    "choir_pad": 91,
    "cowbell": 113,
    "flute": 73,
    "fm_epiano": 5,
    "glitch_blip": 80,
    "lead_square": 80,
    "metallophone": 11,
    "music_bell": 10,
    "nes_pulse": 80,
    "nes_pulse_thin": 80,
    "nes_pulse_wide": 80,
    "nes_triangle": 38,
    "noise_drone": 95,
    "organ": 16,
    "pad_saw": 90,
    "plucked_string": 24,
    "reed": 71,
    "reese_bass": 39,
    "steel_pan": 114,
    "struck_string": 0,
    "super_saw": 81,
    "synth_bass": 38,
    "wobble_bass": 87,
}
"""The program nearest to each synthesized voice."""

KEYS: Mapping[DrumKind, int] = {
    "kick": 36,
    "snare": 38,
    "clap": 39,
    "hat": 42,
    "open_hat": 46,
    "perc": 47,
}
"""Percussion keys of kits that no sound bank plays."""

PERCUSSION: Mapping[str, int] = {
    "808": 75,
    "909": 37,
    "cajon": 54,
    "glitch": 76,
    "industrial": 53,
    "linn": 45,
    "lofi": 70,
    "nes": 76,
    "phonk": 56,
}
"""What "perc" is in them: claves, rim, tambourine, block, bell, tom, maracas or cowbell."""

KITS: Mapping[str, int] = {"808": 25, "909": 24, "glitch": 24, "linn": 24, "nes": 24, "phonk": 25}
"""The kit nearest to each where it is not the standard one."""

_GLIDING = frozenset({"bass_808"})
_GLIDE_SECONDS = 0.05
_GLIDE = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2)
"""When a glide's way is written down; it falls by a factor of e every `_GLIDE_SECONDS`."""

_STROKE_SECONDS = 0.1
_SHORTEST_SECONDS = 0.02


def of(score: Score, heard: Heard) -> Sheet:
    """Return what is played of a score, over the beats and chords that were heard.

    Parts that are mute are left out.
    """
    parts = [part for part in score.parts if not score.choices.of(part.voice.name).mute]
    kit = [] if score.choices.of(DRUMS).mute else _kit(score)
    return Sheet(
        seconds=score.seconds,
        beats=tuple(float(beat) for beat in heard.beats) if heard.has_pulse else (),
        downbeat=heard.downbeat,
        meter=heard.meter.signature,
        beats_per_bar=heard.meter.beats,
        key=heard.key if heard.is_pitched else None,
        chords=tuple((chord.start_seconds, chord.name) for chord in harmony.progression(heard)),
        tracks=(*(_track(part, score) for part in parts), *kit),
    )


def _track(part: Part, score: Score) -> Track:
    voice = part.voice
    return Track(
        name=voice.name,
        program=voice.program if voice.program is not None else PROGRAMS[voice.synth or ""],
        notes=_notes(_bent(part), score.seconds),
        pan=voice.pan,
        gain_db=voice.gain_db + score.choices.of(voice.name).gain_db,
    )


def _bent(part: Part) -> list[Note]:
    """Return the notes with the bends that are heard: the player's, or how it glides."""
    voice = part.voice
    notes = list(part.notes)
    if voice.glide and voice.synth in _GLIDING:
        return notes[:1] + [_glided(*pair) for pair in pairwise(notes)]
    return notes if can_bend(voice) else [replace(note, bend=()) for note in notes]


def _glided(before: Note, note: Note) -> Note:
    """Return a note that slides from the pitch of the one before."""
    if before.pitch == note.pitch:
        return note
    cents = 100.0 * (before.pitch - note.pitch)
    slide = tuple((seconds, cents * math.exp(-seconds / _GLIDE_SECONDS)) for seconds in _GLIDE)
    return replace(note, bend=(*slide, (_GLIDE[-1] + _GLIDE_SECONDS, 0.0)))


def _notes(notes: Sequence[Note], end: float) -> tuple[SheetNote, ...]:
    """Return the notes that begin in the piece, up to its end."""
    return tuple(
        SheetNote(
            start_seconds=max(note.start_seconds, 0.0),
            seconds=max(min(note.end_seconds, end) - max(note.start_seconds, 0.0), 0.0)
            or _SHORTEST_SECONDS,
            pitch=min(max(note.pitch, 0), 127),
            velocity=min(max(note.velocity, 0.01), 1.0),
            bend=note.bend,
        )
        for note in notes
        if note.start_seconds < end
    )


def _kit(score: Score) -> list[Track]:
    """Return the kit's track, if it plays."""
    if score.drums is None or not score.hits:
        return []
    keys = keys_of(score.drums.kit)
    notes = tuple(
        SheetNote(
            start_seconds=max(hit.start_seconds, 0.0),
            seconds=min(_STROKE_SECONDS, max(score.seconds - hit.start_seconds, _SHORTEST_SECONDS)),
            pitch=keys[hit.kind],
            velocity=min(max(hit.velocity, 0.01), 1.0),
        )
        for hit in score.hits
        if hit.start_seconds < score.seconds
    )
    gain_db = score.drums.gain_db + score.choices.of(DRUMS).gain_db
    program = KITS.get(score.drums.kit, _bank_program(score.drums.kit))
    return [Track(DRUMS, program, notes, is_drums=True, gain_db=gain_db)]


def keys_of(kit: str) -> Mapping[DrumKind, int]:
    """Return the percussion key of each drum: as a sound bank plays the kit, if one does."""
    in_bank = drumkits.BANK_STROKES.get(kit)
    if in_bank is not None:
        return {kind: key for kind, (_, key) in in_bank.items()}
    return {**KEYS, "perc": PERCUSSION.get(kit, KEYS["perc"])}


def _bank_program(kit: str) -> int:
    """Return the percussion program of a kit's snare in a sound bank; 0 is the standard kit."""
    in_bank = drumkits.BANK_STROKES.get(kit)
    return in_bank["snare"][0] if in_bank is not None else 0
