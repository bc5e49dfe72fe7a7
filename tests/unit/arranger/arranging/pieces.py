"""What the arranger hears, written by hand: `Heard` values without any listening."""

from collections.abc import Sequence

import numpy as np

from server.engines.arranger.score import (
    Chord,
    DrumHit,
    Heard,
    Note,
)
from server.media.key import PITCH_NAMES, Key
from tests.music import Piece
from variations.schema import Voice

QUALITY_OF = {True: "m", False: ""}


def note(
    start: float, seconds: float, pitch: int, *, velocity: float = 0.8, confidence: float = 1.0
) -> Note:
    """Return a heard note."""
    return Note(start, seconds, pitch, velocity, confidence)


def chord(start: float, end: float, name: str) -> Chord:
    """Return a chord by its name: `Am`, `G`, or `N`."""
    if name == "N":
        return Chord(start, end, None, "", None, 0.5)
    letter = name[:2] if name[1:2] == "#" else name[:1]
    root = PITCH_NAMES.index(letter)
    return Chord(start, end, root, name[len(letter) :], root, 0.9)


def heard(
    notes: Sequence[Note],
    chords: Sequence[Chord] = (),
    drums: Sequence[DrumHit] = (),
    *,
    seconds: float = 8.0,
    bpm: float = 120.0,
    pitchedness: float = 2.0,
) -> Heard:
    """Return a clip of these notes, with beats from 0 and no sustained levels."""
    return Heard(
        seconds=seconds,
        bpm=bpm,
        tempo_confidence=5.0,
        is_steady=True,
        beats=np.arange(0.0, seconds, 60.0 / bpm),
        downbeat=0,
        notes=tuple(notes),
        chords=tuple(chords),
        key=Key(9, "minor"),
        tuning_cents=0.0,
        drums=tuple(drums),
        pitchedness=pitchedness,
        sustain=np.zeros((0, 88), np.float32),
        percussive=np.zeros(round(seconds * 22050), np.float32),
        percussive_gain=1.0,
    )


def of_piece(piece: Piece) -> Heard:
    """Return a piece heard without a single mistake."""
    seconds, beat = piece.clip.seconds, 60.0 / piece.bpm
    notes = [
        Note(n.start_seconds, min(n.seconds, seconds - n.start_seconds), n.pitch, n.velocity)
        for n in piece.notes
    ]
    chords = [
        chord(number * beat, min((number + 1) * beat, seconds), name)
        for number, name in enumerate(piece.chords)
    ]
    drums = [DrumHit(stroke.start_seconds, stroke.kind, 0.8) for stroke in piece.strokes]
    return heard(notes, chords, drums, seconds=seconds, bpm=piece.bpm)


def voice(role: str = "riff", low: int = 36, high: int = 96, **fields: object) -> Voice:
    """Return a player on the piano's program unless the fields say otherwise."""
    sound = {} if "synth" in fields else {"program": 0}
    return Voice.model_validate(
        {"name": role, "role": role, "range": (low, high), **sound, **fields}
    )


QUARTET = (
    voice("line", 62, 93, name="violin 1"),
    voice("line", 57, 84, name="violin 2"),
    voice("line", 48, 76, name="viola"),
    voice("line", 36, 62, name="cello"),
)
