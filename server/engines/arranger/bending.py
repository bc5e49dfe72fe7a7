"""How a note's pitch moves: which instruments follow it, and what the others play instead.

Knows bends as points in seconds and cents, and sounds to be warped along them; nothing of how a
bend was heard.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from server.engines.arranger.filters import CONTROL_SAMPLES, RATE
from server.engines.arranger.interpolation import Recording, read_at
from server.engines.arranger.score import Note
from server.media.clip import Samples
from server.media.sheet import Bend
from variations.schema import Voice

_BENDING_PROGRAMS = frozenset(
    {22, *range(24, 45), *range(48, 55), *range(56, 88), *range(104, 108), 110, 111}
)
"""Guitars, basses, bowed strings, voices, winds, leads, and the plucked and bowed ones of the east.

Not pianos, mallets, organs, harps, pizzicato or pads.
"""

_BENDING_SYNTHS = frozenset(
    {
        *("bowed_string", "brass", "choir_pad", "flute", "reed"),
        *("lead_square", "nes_pulse", "nes_pulse_thin", "nes_pulse_wide", "nes_triangle"),
        *("bass_808", "super_saw", "synth_bass"),
    }
)

_SETTLED_SECONDS = 0.08
"""A pitch held this long is a note of its own to who cannot bend."""

_CALMED_SECONDS = 0.2
_RESTING_SPEED = 200.0
"""Cents a second; what moves faster is on its way."""

_STEP_SECONDS = 0.01


def can_bend(voice: Voice) -> bool:
    """Return whether an instrument's pitch moves while it sounds."""
    if voice.program is not None:
        return voice.program in _BENDING_PROGRAMS
    return voice.synth in _BENDING_SYNTHS


def cents_at(bend: Bend, seconds: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the deviation at times after the note's start; 0 everywhere without a bend."""
    if not bend:
        return np.zeros(len(seconds))
    times, cents = zip(*bend, strict=True)
    return np.asarray(np.interp(seconds, times, cents), dtype=np.float64)


def trimmed(bend: Bend, seconds: float) -> Bend:
    """Return the bend of a note that is cut after so many seconds."""
    if not bend or bend[-1][0] <= seconds:
        return bend
    kept = tuple(point for point in bend if point[0] < seconds)
    return (*kept, (seconds, float(cents_at(bend, np.array([seconds]))[0])))


def playable(notes: Iterable[Note], voice: Voice) -> list[Note]:
    """Return the notes as an instrument can play them: bent, or in semitones, by start."""
    if can_bend(voice):
        return list(notes)
    plain = [part for note in notes for part in stepped(note)]
    return sorted(plain, key=lambda note: (note.start_seconds, note.pitch))


def stepped(note: Note) -> list[Note]:
    """Return a bent note as the semitones it rests on, one after the other; a plain one as it is.

    A vibrato rests nowhere but on its own pitch.
    """
    if not note.bend:
        return [note]
    rests = _rests(note)
    steps = [rests[0]] if rests else [(0.0, 0)]
    steps += [rest for before, rest in pairwise(rests) if rest[1] != before[1]]
    starts = [0.0, *(start for start, _ in steps[1:]), note.seconds]
    return [
        replace(
            note,
            start_seconds=note.start_seconds + start,
            seconds=end - start,
            pitch=note.pitch + step,
            bend=(),
        )
        for (_, step), (start, end) in zip(steps, pairwise(starts), strict=True)
    ]


def _rests(note: Note) -> list[tuple[float, int]]:
    """Return from when on a pitch is nearest to a semitone it rests on, and how far that is away.

    Vibrato is averaged away.
    """
    times = np.arange(0.0, note.seconds, _STEP_SECONDS)
    size = round(_CALMED_SECONDS / _STEP_SECONDS) + 1
    padded = np.pad(cents_at(note.bend, times), size // 2, mode="edge")
    calm = np.convolve(padded, np.full(size, 1.0 / size), mode="valid")
    resting = np.abs(np.diff(calm, append=calm[-1])) < _RESTING_SPEED * _STEP_SECONDS
    semitones = np.rint(calm / 100.0).astype(int).tolist()
    spans = [list(group) for _, group in groupby(range(len(times)), key=semitones.__getitem__)]
    return [
        (float(times[span[0]]), semitones[span[0]])
        for span in spans
        if resting[span].sum() * _STEP_SECONDS >= _SETTLED_SECONDS
    ]


def warped_seconds(note: Note) -> float:
    """Return how long a note must be made so that it lasts as written once it is bent."""
    return float(_walked(note, note.seconds)[-1])


def bent(wave: Samples, note: Note) -> Samples:
    """Return a sound `[N]` or `[C, N]` of `warped_seconds` warped along the note's bend.

    What rings after the note keeps the last pitch.
    """
    if not note.bend or wave.shape[-1] < 2:
        return wave
    channels = np.atleast_2d(wave)
    corners = _walked(note, note.seconds + 2 * channels.shape[1] / RATE) * RATE
    grid = np.arange(len(corners)) * CONTROL_SAMPLES
    length = int(np.interp(channels.shape[1] - 1, corners, grid))
    positions = np.interp(np.arange(length), grid, corners)
    moved = np.stack([read_at(Recording(channel, (0, 0)), positions) for channel in channels])
    return moved if wave.ndim > 1 else np.asarray(moved[0], dtype=np.float32)


def _walked(note: Note, seconds: float) -> NDArray[np.float64]:
    """Return how far into the straight sound the bent one is at each control point, in seconds."""
    count = round(seconds * RATE) // CONTROL_SAMPLES + 2
    step = CONTROL_SAMPLES / RATE
    middles = (np.arange(count - 1) + 0.5) * step
    speeds = np.exp2(cents_at(note.bend, middles) / 1200.0)
    walked = np.concatenate([[0.0], np.cumsum(speeds) * step])
    return np.asarray(walked, dtype=np.float64)
