"""Who plays a part: a voice of the score made into a function from notes to sounds.

Chooses between the sound bank and a synthesized voice, the touch of each note, and what passes from
note to note: slurs, glides, chip arpeggios. Knows nothing of mixing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from server.engines.arranger.articulation import bowed, bowing_of, natural, plucked
from server.engines.arranger.bending import bent, can_bend, warped_seconds
from server.engines.arranger.oscillators import hertz_of_pitch
from server.engines.arranger.sampler import Sampler
from server.engines.arranger.score import Note, Score
from server.engines.arranger.synths import SYNTHS, fallback_synth
from server.engines.arranger.tones import Tone
from server.media.clip import Samples
from variations.schema import Voice

Played = tuple[float, Samples]
"""When a sound begins, in seconds, and the sound, `[N]` or `[2, N]`."""

Player = Callable[[Sequence[Note]], Iterator[Played]]

_SHORTEST_SECONDS = 0.02
_LONGEST_SECONDS = 30.0
_BOW_LATENCY_SECONDS = {"marcato": 0.003, "legato": 0.008, "spiccato": 0.002}
_HUMAN_CENTS = 1.5
"""By how much a player is off, up or down or not at all: three readings of a key are enough."""
_SAMPLED_LEVEL = np.float32(2.2)
"""Brings a bank's notes, written for many at once, to the level of the synthesized voices."""


def player_of(
    voice: Voice, sampler: Sampler | None, random: np.random.Generator, score: Score
) -> Player:
    """Return the function that plays a voice's notes one after the other.

    Instruments that cannot bend play every note straight.
    """
    if voice.program is not None and sampler is not None:
        play = _bowed if voice.articulation == "bowed" else _struck
        return lambda notes: play(notes, voice, sampler, random, score.tuning_cents)
    name = voice.synth if voice.synth is not None else fallback_synth(voice.program or 0)
    return lambda notes: _synthesized(notes, voice, name, random, score)


def _sane(note: Note, voice: Voice) -> Note:
    """Return a note that can be played: audible, of some length, on the keyboard."""
    return replace(
        note,
        bend=note.bend if can_bend(voice) else (),
        seconds=min(max(note.seconds, _SHORTEST_SECONDS), _LONGEST_SECONDS),
        velocity=min(max(note.velocity, 0.02), 1.0),
        pitch=min(max(note.pitch, 12), 120),
    )


def _straight(note: Note) -> Note:
    """Return the note that is played before it is bent: as long as it then becomes right."""
    return replace(note, seconds=warped_seconds(note), bend=()) if note.bend else note


def _cents(voice: Voice, random: np.random.Generator, tuning_cents: float) -> float:
    swerve = _HUMAN_CENTS * float(random.integers(-1, 2))
    return tuning_cents + voice.detune_cents + swerve


def _bowed(
    notes: Sequence[Note],
    voice: Voice,
    sampler: Sampler,
    random: np.random.Generator,
    tuning_cents: float,
) -> Iterator[Played]:
    """Yield notes by start: how one is bowed depends on the note before."""
    before: Note | None = None
    for written in notes:
        note = _sane(written, voice)
        bowing = bowing_of(note, before)
        wave = bowed(
            sampler,
            voice.program or 0,
            _straight(note),
            bowing,
            cents=_cents(voice, random, tuning_cents),
            random=random,
            is_still=bool(note.bend),
        )
        start = note.start_seconds - _BOW_LATENCY_SECONDS[bowing.name.lower()]
        yield start, bent(wave, note) * _SAMPLED_LEVEL
        before = note


def _struck(
    notes: Sequence[Note],
    voice: Voice,
    sampler: Sampler,
    random: np.random.Generator,
    tuning_cents: float,
) -> Iterator[Played]:
    """Yield notes key by key, the longest of each first.

    They do not depend on each other, and the sampler reads the recording of a key once for notes
    that come one after the other.
    """
    touch = plucked if voice.articulation == "plucked" else natural
    tuned = [(_sane(note, voice), _cents(voice, random, tuning_cents)) for note in notes]
    for note, cents in sorted(tuned, key=lambda each: (each[0].pitch, each[1], -each[0].seconds)):
        wave = touch(sampler, voice.program or 0, _straight(note), cents=cents)
        yield note.start_seconds, bent(wave, note) * _SAMPLED_LEVEL


def _synthesized(
    notes: Sequence[Note], voice: Voice, name: str, random: np.random.Generator, score: Score
) -> Iterator[Played]:
    synth = SYNTHS[name]
    before: Note | None = None
    for group in _strikes([_sane(note, voice) for note in notes], voice):
        note = group[0]
        cents = _cents(voice, random, score.tuning_cents)
        glides = voice.glide and before is not None and before.pitch != note.pitch
        tone = Tone(
            hertz_of_pitch(note.pitch, cents=cents),
            _straight(note).seconds,
            note.velocity,
            random,
            glide_from=hertz_of_pitch(before.pitch, cents=cents)
            if glides and before is not None
            else None,
            others=tuple(hertz_of_pitch(n.pitch, cents=cents) for n in group[1:]),
            beat_seconds=score.beat_seconds,
        )
        yield note.start_seconds, bent(synth(tone), note)
        before = note


def _strikes(notes: list[Note], voice: Voice) -> Iterator[list[Note]]:
    """Yield what one oscillator plays: the chords of a chip arpeggio, else each note alone."""
    if voice.style != "chip_arpeggio":
        yield from ([note] for note in notes)
        return
    for _, chord in groupby(notes, key=lambda note: note.start_seconds):
        yield list(chord)
