"""Dense pieces with a bass that strikes quickly, and how much of it was heard."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from server.media.clip import Clip
from tests import music
from tests.music import Note, Piece, Stroke

_BASS = 52
"""Bass notes lie below this pitch."""


class _Timed(Protocol):
    @property
    def start_seconds(self) -> float: ...

    @property
    def pitch(self) -> int: ...


def driving(
    bpm: float = 130.0,
    key: int = 9,
    seconds: float = 8.0,
    seed: int = 0,
    *,
    strikes: int = 2,
    kick_on: Sequence[float] | None = None,
    timbre: music.Timbre = "keys",
) -> Piece:
    """Return a band whose bass strikes its root `strikes` times a beat; 0 holds it for a bar.

    Kicks fall on the beats `kick_on` of every bar instead of where the band has them.
    """
    band = music.band(bpm, key, seconds, seed, timbre=timbre)
    beat = 60.0 / bpm
    notes = [
        struck
        for note in band.notes
        for struck in (_struck(note, beat, strikes) if note.pitch < _BASS else [note])
    ]
    notes.sort(key=lambda note: (note.start_seconds, note.pitch))
    strokes = [stroke for stroke in band.strokes if kick_on is None or stroke.kind != "kick"]
    bars = int(np.ceil(seconds / (4 * beat)))
    strokes += [
        Stroke((4 * bar + place) * beat, "kick") for bar in range(bars) for place in kick_on or ()
    ]
    mix = music._play(notes, strokes, timbre, seconds, 44100)
    kept = tuple(note for note in notes if note.start_seconds < seconds - 0.05)
    return replace(band, clip=Clip(mix, 44100), notes=kept, strokes=tuple(strokes))


def _struck(note: Note, beat: float, strikes: int) -> list[Note]:
    """Return a note of half a bar as quick strikes, or held for the whole bar."""
    if strikes == 0:
        is_first = round(note.start_seconds / beat) % 4 == 0
        return [replace(note, seconds=3.9 * beat)] if is_first else []
    length = beat / strikes
    return [
        replace(
            note,
            start_seconds=note.start_seconds + number * length,
            seconds=0.9 * length,
            velocity=note.velocity * (1.0 if number % strikes == 0 else 0.85),
        )
        for number in range(2 * strikes)
    ]


def bass_scores(heard: Sequence[_Timed], piece: Piece) -> tuple[float, float]:
    """Return recall and precision of the bass notes: the pitch, and the onset within 50 ms."""
    truth = [(note.start_seconds, note.pitch) for note in piece.notes if note.pitch < _BASS]
    found = [(note.start_seconds, note.pitch) for note in heard if note.pitch < _BASS]
    left, hits = list(found), 0
    for start, pitch in truth:
        near = [one for one in left if one[1] == pitch and abs(one[0] - start) <= 0.05]
        if near:
            hits += 1
            left.remove(min(near, key=lambda one: abs(one[0] - start)))
    return hits / max(len(truth), 1), hits / max(len(found), 1)


def power_chords(
    roots: Sequence[int] = (40, 43, 45, 38), bpm: float = 120.0, *, is_driven: bool = True
) -> Piece:
    """Return eighths on bare fifths, a bar each, through an amplifier where it `is_driven`."""
    beat, seconds = 60.0 / bpm, len(roots) * 240.0 / bpm
    notes = [
        Note((4 * bar + number / 2) * beat, 0.47 * beat, pitch, 0.8)
        for bar, root in enumerate(roots)
        for number in range(8)
        for pitch in (root, root + 7)
    ]
    mix = music._play(notes, [], "reed", seconds, 44100)
    if is_driven:
        mix = (0.7 * np.tanh(4.0 * mix)).astype(np.float32)
    names = [music.NAMES[root % 12] for root in roots]
    return music._piece(Clip(mix, 44100), bpm, names, notes, [])
