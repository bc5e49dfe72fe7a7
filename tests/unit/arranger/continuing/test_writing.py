"""What is written beyond a clip's end, before it is played: grid, drums, motifs."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from server.engines.arranger.continuing import drumming, horizon, motifs
from server.engines.arranger.continuing.horizon import Horizon
from server.engines.arranger.inpainting import compose, sections
from server.engines.arranger.inpainting.groove import STEPS
from server.engines.arranger.inpainting.sections import Section
from server.engines.arranger.listening.transcribe import open_transcriber
from server.engines.arranger.score import Note
from server.engines.arranger.spans import Span
from server.media.window import Window, cut
from tests.unit.arranger.inpainting import songs

STOPS, ASKED = 16.0, 32.0


@lru_cache(maxsize=1)
def ahead() -> Horizon:
    """Return what is heard of eight bars of a song with a drummer, sixteen bars ahead."""
    clip = cut(songs.drummed().clip, Window(0, round(STOPS * 44100)))
    return horizon.listen(
        clip,
        seconds=ASKED,
        transcriber=open_transcriber(None),
        bpm=None,
        on_step=lambda *_: None,
    )


def section() -> Section:
    """Return the sixteen bars that follow."""
    return sections.section_of(
        ahead().context, ahead().groove, Span(STOPS, STOPS + ASKED - 0.005), None
    )


def filled(seed: int, *, first_bar: int = 0) -> list[int]:
    """Return the new bars whose last beat has two strokes or more that are not the pattern's."""
    usual = set(compose.strokes(section(), seed))
    added = [
        hit
        for hit in drumming.strokes(section(), seed, first_bar=first_bar)
        if hit not in usual and (hit.start_seconds - STOPS) % 2.0 > 1.45
    ]
    bars = [int((hit.start_seconds - STOPS) / 2.0) for hit in added]
    return sorted({bar for bar in bars if bars.count(bar) >= 2})


# The grid


def test_beats_go_on_at_the_tempo_of_the_clip() -> None:
    times = ahead().context.beats.times
    late = times[times >= STOPS]

    assert 120.0 == ahead().context.beats.bpm
    assert np.abs(late / 0.5 - np.round(late / 0.5)).max() * 0.5 < 0.010
    assert late[-1] >= STOPS + ASKED


@pytest.mark.parametrize(("hint", "bpm"), [(120.02, 120.02), (121.5, 120.0), (None, 120.0)])
def test_a_hint_counts_where_it_fits_what_is_heard(hint: float | None, bpm: float) -> None:
    measured = replace(ahead().context.beats, bpm=120.01)
    context = replace(ahead().context, pulse=replace(ahead().context.pulse, beats=measured))

    assert bpm == horizon.settled(context, hint).beats.bpm


def test_a_tempo_between_whole_numbers_is_kept() -> None:
    measured = replace(ahead().context.beats, bpm=120.4)
    context = replace(ahead().context, pulse=replace(ahead().context.pulse, beats=measured))

    assert 120.4 == horizon.settled(context, None).beats.bpm


# Drums


@pytest.mark.parametrize("seed", range(4))
def test_fills_lead_into_every_fourth_bar_and_nowhere_else(seed: int) -> None:
    assert len(filled(seed)) >= 2
    assert set(filled(seed)) <= {3, 7, 11, 15}


def test_phrases_are_counted_from_the_first_bar() -> None:
    assert set(filled(0, first_bar=1)) <= {0, 4, 8, 12}
    assert filled(0, first_bar=1)


def test_where_no_drum_is_heard_none_is_played() -> None:
    silent = replace(section(), groove=replace(section().groove, strokes={}))

    assert () == drumming.strokes(silent, 0, first_bar=0)


def test_other_seeds_drum_otherwise() -> None:
    first, again, other = (drumming.strokes(section(), seed, first_bar=0) for seed in (1, 1, 2))

    assert first == again
    assert first != other


# Motifs


def told() -> tuple[motifs.Motif, ...]:
    """Return what is heard of the song's tune."""
    return motifs.heard(ahead().context)


def of_the_chord(notes: list[Note]) -> float:
    """Return what share of the notes is of the chord they are played over."""
    chords = [sections.chord_at(section(), note.start_seconds) for note in notes]
    pairs = zip(notes, chords, strict=True)
    return float(np.mean([note.pitch % 12 in chord.pitch_classes for note, chord in pairs]))


def test_a_tune_of_heard_motifs_fits_the_chords_it_is_played_over() -> None:
    notes = motifs.write(section(), np.random.default_rng(1), told=told())
    higher = [replace(note, pitch=note.pitch + 1) for note in notes]

    assert of_the_chord(notes) >= 0.85
    assert of_the_chord(higher) < 0.5


def test_its_rhythm_is_one_that_was_heard() -> None:
    heard = {tone.index for motif in told() for tone in motif}
    notes = motifs.write(section(), np.random.default_rng(1), told=told())
    steps = {round((note.start_seconds - STOPS) / 0.125) % STEPS for note in notes}

    assert steps <= heard
    assert len(notes) > 40


def test_without_motifs_it_is_a_tune_of_its_own() -> None:
    assert motifs.write(section(), np.random.default_rng(1), told=())


def test_over_no_chord_there_is_no_tune() -> None:
    chords = tuple(replace(chord, root=None) for chord in section().chords)
    bare = replace(section(), chords=chords)

    assert [] == motifs.write(bare, np.random.default_rng(1), told=told())
