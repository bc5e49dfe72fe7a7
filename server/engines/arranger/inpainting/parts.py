"""Who plays what is written: the new music given to a prompt's ensemble as if it had been heard.

Knows sections and arrangements; the roles themselves are `orchestrate`'s. A drummer who plays
around the window goes on playing in it, unless the musician wants none.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from server.engines.arranger import lexicon, orchestrate
from server.engines.arranger.inpainting import compose
from server.engines.arranger.inpainting.sections import Section
from server.engines.arranger.prompt import Reading
from server.engines.arranger.score import (
    ANALYSIS_RATE,
    FOUR_FOUR,
    FRAME_RATE,
    LOWEST_PITCH,
    Chord,
    DrumHit,
    Heard,
    Note,
    Score,
)
from server.media.key import Key
from variations.schema import Arrangement

_SEMITONES = 88
_AUDIBLE = 0.2
_FIFTH = (9, "5")
"""A and E: what a pad stands on where neither key nor chord was heard."""


def score(section: Section, reading: Reading, seed: int) -> tuple[Heard, Score]:
    """Return the score of a section and the music it was made from, from the section's start.

    Without a beat the chords are held; without pitches only the drums play; without either an open
    fifth is held, which claims nothing of the music.
    """
    arrangement, context = reading.arrangement, section.context
    strokes: tuple[DrumHit, ...] = ()
    notes: tuple[Note, ...] = ()
    if context.has_pulse:
        arrangement = drummed(reading, section)
        strokes = compose.strokes(section, seed)
    if context.is_pitched:
        notes = (compose.write if context.has_pulse else compose.held)(section, seed)
    elif not strokes:
        section = _on_a_fifth(section)
        notes = compose.held(section, seed)
    if not context.has_pulse or not (context.is_pitched or strokes):
        arrangement = _free(arrangement)
    heard = as_heard(section, notes, strokes)
    return heard, orchestrate.arrange(heard, arrangement, strength=1.0, seed=seed)


def _on_a_fifth(section: Section) -> Section:
    root, quality = _FIFTH
    chord = Chord(section.span.start, section.span.end, root, quality, root, 0.0)
    return replace(section, chords=(chord,))


def _free(arrangement: Arrangement) -> Arrangement:
    """Return the ensemble without anything that needs a beat: patterns, stabs, drums."""
    voices = [
        voice.model_copy(update={"rhythm": None, "style": "sustain", "stutter": 0.0})
        for voice in arrangement.voices
        if voice.role != "arpeggio"
    ]
    kept = voices or [
        voice.model_copy(update={"role": "riff", "rhythm": None}) for voice in arrangement.voices
    ]
    return arrangement.model_copy(update={"voices": kept, "drums": None, "strokes": {}})


def drummed(reading: Reading, section: Section) -> Arrangement:
    """Return the ensemble with a drummer where the music has one and nobody sent him away."""
    arrangement = reading.arrangement
    struck = section.kept.strokes if section.kept is not None else section.groove.strokes
    if arrangement.drums is not None or arrangement.strokes or not struck:
        return arrangement
    if reading.is_drumless:
        return arrangement
    return arrangement.model_copy(update={"drums": lexicon.load().kit})


# As if it had been heard


def as_heard(section: Section, notes: tuple[Note, ...], strokes: tuple[DrumHit, ...]) -> Heard:
    """Return the written music as what a listener would have heard, from the section's start."""
    start, seconds = section.span.start, section.span.seconds
    context = section.context
    moved = tuple(replace(note, start_seconds=note.start_seconds - start) for note in notes)
    beats, downbeat = _beats(section)
    return replace(
        context.heard,
        seconds=seconds,
        beats=beats,
        downbeat=downbeat,
        notes=moved,
        chords=tuple(
            replace(
                chord,
                start_seconds=chord.start_seconds - start,
                end_seconds=chord.end_seconds - start,
            )
            for chord in section.chords
        ),
        key=_key(section),
        drums=tuple(replace(hit, start_seconds=hit.start_seconds - start) for hit in strokes),
        pitchedness=sum(note.seconds * note.velocity for note in notes) / max(seconds, 0.1),
        sustain=_sustain(moved, seconds),
        percussive=np.zeros(round(seconds * ANALYSIS_RATE), np.float32),
        percussive_gain=0.0,
        meter=FOUR_FOUR,
        hinted_bpm=context.heard.bpm if context.has_pulse else None,
        follows_hint=True,
    )


def _key(section: Section) -> Key | None:
    return section.context.heard.key


def _beats(section: Section) -> tuple[NDArray[np.float64], int]:
    """Return the section's beats from its start, and which of the first four starts a bar."""
    times = section.context.beats.times
    first = int(np.searchsorted(times, section.span.start - 1e-6))
    last = int(np.searchsorted(times, section.span.end))
    downbeat = (section.context.downbeat - first) % 4
    return times[first : max(last, first + 1)] - section.span.start, downbeat


def _sustain(notes: tuple[Note, ...], seconds: float) -> NDArray[np.float32]:
    """Return how loud each semitone sounds, `[T, 88]`, as the notes say."""
    sustain = np.zeros((int(np.ceil(seconds * FRAME_RATE)) + 1, _SEMITONES), np.float32)
    for note in notes:
        first, last = (int(at * FRAME_RATE) for at in (note.start_seconds, note.end_seconds))
        column = note.pitch - LOWEST_PITCH
        if 0 <= column < _SEMITONES:
            sustain[first : last + 1, column] = max(note.velocity, _AUDIBLE)
    return sustain
