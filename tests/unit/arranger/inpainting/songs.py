"""Songs with a window in them, whose truth is known, and what an engine makes of the window."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

import variations
from server.engines.arranger.engine import Arranger
from server.engines.protocols import Brief, Inpainting
from server.media.clip import Clip
from server.media.window import Window
from tests import music
from tests.music import Piece

DATA = Path(__file__).parents[4] / "data"
"""Where a sound bank lies if one was fetched; without it the synthesized voices are judged."""

START, END = 8.3, 14.9
"""The window in seconds; neither end lies on a beat of 120 a minute."""


@lru_cache(maxsize=1)
def arranger() -> Arranger:
    """Return one engine for all tests, with whatever assets this machine has."""
    return Arranger(data_dir=DATA)


def window_of(clip: Clip, start: float = START, end: float = END) -> Window:
    """Return a window of a clip, in samples."""
    return Window(round(start * clip.sample_rate), round(end * clip.sample_rate))


def brief(preset: str = "piano_classical", **fields: object) -> Brief:
    """Return a brief for a preset, unless the fields say otherwise."""
    chosen = variations.load()[preset]
    return Brief(**{"variation": chosen, "prompt": chosen.prompt, "seed": 3, **fields})  # type: ignore[arg-type]


def painted(clip: Clip, *windows: Window, takes: int = 1, **fields: object) -> list[Inpainting]:
    """Return takes of what the engine puts into windows of a clip."""
    preset = str(fields.pop("preset", "piano_classical"))
    chosen = windows or (window_of(clip),)
    return arranger().inpaint(
        clip, chosen, brief(preset, **fields), takes=takes, on_step=lambda *_: None
    )


@lru_cache(maxsize=8)
def song(seed: int = 2, seconds: float = 24.0) -> Piece:
    """Return keys and bass at 120 beats a minute over a loop of four bars."""
    return music.band(120.0, seconds=seconds, seed=seed, drums=False)


@lru_cache(maxsize=1)
def drummed() -> Piece:
    """Return the song with a drummer as loud as the band."""
    piece = music.band(120.0, seconds=24.0, seed=2)
    return replace(piece, clip=_mixed(song().clip, struck(piece)))


def struck(piece: Piece) -> Clip:
    """Return the drums of a piece alone."""
    rate = piece.clip.sample_rate
    return Clip(music._play([], list(piece.strokes), "keys", piece.clip.seconds, rate), rate)


def _mixed(one: Clip, other: Clip) -> Clip:
    return one.with_samples(0.5 * (one.samples + other.samples))


def bent(piece: Piece, share: float) -> Piece:
    """Return a piece whose tempo rises evenly by a share; all else is as it was."""
    seconds = piece.clip.seconds
    return warped(piece, lambda time: time - share / seconds * time * time / 2)


def warped(piece: Piece, when: Callable[[float], float]) -> Piece:
    """Return a piece with every note and beat at another time; `when` must rise."""
    notes = [_moved(note, when) for note in piece.notes]
    strokes = [replace(each, start_seconds=when(each.start_seconds)) for each in piece.strokes]
    rate = piece.clip.sample_rate
    played = music._play(notes, strokes, "keys", when(piece.clip.seconds), rate)
    beats = np.array([when(float(beat)) for beat in piece.beats])
    return replace(piece, clip=Clip(played, rate), beats=beats, notes=tuple(notes))


def _moved(note: music.Note, when: Callable[[float], float]) -> music.Note:
    start, end = when(note.start_seconds), when(note.start_seconds + note.seconds)
    return replace(note, start_seconds=start, seconds=end - start)
