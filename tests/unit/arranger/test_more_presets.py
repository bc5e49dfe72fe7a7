"""The presets that came after the first: the same music still, whoever plays it.

Here with a whole band before them; the riff they play in `test_musical_gates`, as all presets do.
"""

from functools import lru_cache

import numpy as np
import pytest

import variations
from server.engines.arranger.orchestrate import arrange
from server.engines.arranger.score import Chord, Note
from server.engines.arranger.spans import Span
from server.engines.arranger.walking import walk
from server.engines.protocols import Brief
from server.media import harmony, loudness
from server.media.clip import Clip
from tests.music import Piece, band, riff
from tests.unit.arranger.arranging.pieces import chord, heard, note
from tests.unit.arranger.test_musical_gates import (
    DRIVEN,
    DRIVEN_CHROMA,
    FIRST,
    TONAL_CHROMA,
    arranger,
    beat_chroma,
    beat_shuffled,
    cens,
    known,
    mellow,
    piece,
    played,
)
from variations.schema import Arrangement, Voice

NEW = [name for name in variations.built_in() if name not in FIRST]
RIFF_SECONDS = 4.0
BAND_SECONDS = 3.0


@lru_cache(maxsize=2)
def loop(*, drums: bool) -> Piece:
    """Return a bar and a half of a whole band, or of the same band without its drummer."""
    return band(bpm=120.0, seconds=BAND_SECONDS, seed=1, drums=drums)


@lru_cache(maxsize=32)
def by_band(preset: str) -> Clip:
    """Return the band played by a preset."""
    variation = variations.load()[preset]
    brief = Brief(variation=variation, prompt=variation.prompt, strength=1.0, seed=1)
    return arranger().transform(loop(drums=True).clip, [brief], on_step=lambda *_: None)[0].clip


def floor_of(preset: str) -> float:
    """Return the least cosine of chromas that counts as the same music."""
    return DRIVEN_CHROMA if preset in DRIVEN else TONAL_CHROMA


def is_sound(result: Clip, source: Clip) -> bool:
    """Whether a result is as long as its source, audible, finite and not too loud."""
    return (
        result.length == source.length
        and bool(np.isfinite(result.samples).all())
        and (loudness.integrated_loudness(result) or -99.0) > -40.0
        and loudness.true_peak_db(result) <= -1.0 + 1e-2
    )


def alike(source: Piece, result: Clip) -> float:
    """Return the cosine of the two chromas."""
    return harmony.similarity(known(source)[0], cens(result)) or 0.0


@pytest.mark.parametrize("preset", NEW)
def test_a_new_preset_plays_a_whole_band(preset: str) -> None:
    """Its chords are those of the band's pitched players; drums have none."""
    result = by_band(preset)
    rotation = harmony.best_rotation(
        known(loop(drums=False))[1], beat_chroma(result, loop(drums=False))
    )

    assert is_sound(result, loop(drums=True).clip)
    assert alike(loop(drums=False), result) >= floor_of(preset)
    assert 0 == rotation


# Damage that must be refused


def test_other_chords_are_refused() -> None:
    """Four chords, of which the first two would share too much."""
    result, source = played("riff", "nylon_guitar", 1.0, 8.0), piece("riff", 8.0)

    assert alike(source, result) >= 0.85
    assert alike(source, beat_shuffled(result, source)) < 0.8
    for semitones in (1, 7):
        moved = mellow(riff(120.0, 8.0, transpose=semitones))
        assert alike(moved, result) < 0.8


def test_silence_clipping_and_another_length_are_refused() -> None:
    source = piece("riff", RIFF_SECONDS).clip
    result = played("riff", "nylon_guitar", 1.0, RIFF_SECONDS)
    loudest = np.float32(1.0 / np.abs(result.samples).max())

    assert not is_sound(result.with_samples(0 * result.samples), source)
    assert not is_sound(result.with_samples(loudest * result.samples), source)
    assert not is_sound(result.with_samples(result.samples[:, :-1]), source)


# Chords that are strummed


@pytest.mark.parametrize("rhythm", [None, "x.......x......."])
def test_a_strummed_chord_is_struck_from_low_to_high(rhythm: str | None) -> None:
    """It ends with the one that is not; its first tone is on time."""
    voice = Voice(
        name="guitar", role="chords", program=24, range=(48, 71), polyphony=4, rhythm=rhythm
    )
    plain, strummed = (
        score_of(voice.model_copy(update={"strum_ms": each})) for each in (0.0, 20.0)
    )
    first = strummed[:4]

    assert [n.pitch for n in plain] == [n.pitch for n in strummed]
    assert [n.end_seconds for n in plain] == pytest.approx([n.end_seconds for n in strummed])
    assert sorted(n.pitch for n in first) == [n.pitch for n in first]
    assert [0.0, 0.02, 0.04, 0.06] == pytest.approx([n.start_seconds for n in first])


def score_of(voice: Voice) -> list[Note]:
    """Return what a voice plays of two chords."""
    source = heard([note(0, 4, 57), note(4, 4, 53)], [chord(0, 4, "Am"), chord(4, 8, "F")])
    return list(arrange(source, Arrangement(voices=[voice]), strength=1.0, seed=0).parts[0].notes)


# A bass that walks

CHORDS = tuple(
    Chord(2.0 * bar, 2.0 * bar + 2.0, root, quality, root, 1.0)
    for bar, (root, quality) in enumerate([(9, "m7"), (2, "m7"), (7, "7"), (0, "maj7")])
)


def walked(*, seed: int = 0, sounding: tuple[Span, ...] = (Span(0.0, 8.0),)) -> list[int | None]:
    """Return the pitch of each of sixteen beats of II-V-I in C, None for a rest."""
    beats = np.arange(16) * 0.5
    line = walk(CHORDS, beats.tolist(), (28, 50), sounding=sounding, end_seconds=8.0, seed=seed)
    pitches = {round(note.start_seconds / 0.5): note.pitch for note in line}
    return [pitches.get(number) for number in range(16)]


@pytest.mark.parametrize("seed", range(8))
def test_a_walking_bass_stands_on_each_chord_and_steps_into_the_next(seed: int) -> None:
    line = [pitch for pitch in walked(seed=seed) if pitch is not None]

    assert 16 == len(line)
    assert all(28 <= pitch <= 50 for pitch in line)
    assert [9, 2, 7, 0] == [pitch % 12 for pitch in line[::4]]
    assert all(abs(line[at] - line[at - 1]) <= 2 for at in (4, 8, 12))
    assert all(line[at] != line[at - 1] for at in range(1, 16) if at % 4)


def test_a_walking_bass_rests_where_the_source_does() -> None:
    line = walked(sounding=(Span(0.0, 3.0), Span(6.0, 8.0)))

    assert [None] * 6 == line[6:12]
    assert None not in line[:6] + line[12:]


def test_another_seed_walks_another_way() -> None:
    assert walked(seed=1) == walked(seed=1)
    assert walked(seed=1) != walked(seed=2)
