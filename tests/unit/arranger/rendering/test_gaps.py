"""Where the source is silent nothing is played, and where it is struck the strings are bowed."""

from functools import cache

import librosa
import numpy as np
import pytest
from numpy.typing import NDArray

import variations
from server.engines.arranger import orchestrate
from server.engines.arranger.articulation import Bowing, bowing_of
from server.engines.arranger.effects import Setting, vinyl
from server.engines.arranger.filters import RATE
from server.engines.arranger.listen import listen
from server.engines.arranger.render import Orchestra
from server.engines.arranger.score import Heard, Note
from server.media import resample
from server.media.clip import Clip, Samples
from tests.music import Piece, band
from tests.unit.arranger.listening.driving import driving
from tests.unit.arranger.listening.scoring import network
from tests.unit.arranger.rendering.sounds import ignore_steps, real_bank

HOLE = (4.8, 12.8)
"""Eight seconds of silence in seconds, from a bar line to a bar line."""

RING_SECONDS = 0.6
TAIL_SECONDS = 4.0
"""What rooms and echoes of the presets that are rendered here need to fall by 50 dB."""

SPARSE = ("strings_quartet", "lofi_chill", "trap_808", "synth_modern")


@cache
def holed() -> Clip:
    """Return a band that pauses."""
    clip = band(bpm=100.0, seconds=16.0, seed=2).clip
    times = np.arange(clip.length) / clip.sample_rate
    open_ = np.interp(times, [HOLE[0], HOLE[0] + 0.02, HOLE[1] - 0.02, HOLE[1]], [1, 0, 0, 1])
    return clip.with_samples((clip.samples * open_).astype(np.float32))


@cache
def heard() -> Heard:
    """Return what is heard in it."""
    return listen(holed(), transcriber=network())


def level_db(samples: Samples, start: float, end: float) -> float:
    """Return the level of a span in decibels."""
    span = samples[:, round(start * RATE) : round(end * RATE)]
    return float(20 * np.log10(np.sqrt(np.square(span, dtype=np.float64).mean()) + 1e-9))


@pytest.mark.parametrize("preset", variations.load())
def test_no_part_plays_into_the_silence(preset: str) -> None:
    arrangement = variations.load()[preset].arrangement
    score = orchestrate.arrange(heard(), arrangement, strength=1.0, seed=1)
    starts = [note.start_seconds for part in score.parts for note in part.notes]
    starts += [hit.start_seconds for hit in score.hits]
    ends = [n.end_seconds for p in score.parts for n in p.notes if n.start_seconds < HOLE[0]]

    assert len(starts) > 10
    assert not [s for s in starts if HOLE[0] + RING_SECONDS < s < HOLE[1] - 0.1]
    assert max(ends, default=0.0) <= HOLE[0] + RING_SECONDS


@pytest.mark.parametrize("preset", SPARSE)
def test_the_silence_is_fifty_decibels_below_the_music(preset: str) -> None:
    arrangement = variations.load()[preset].arrangement
    score = orchestrate.arrange(heard(), arrangement, strength=1.0, seed=1)
    mix = Orchestra(None).render(score, heard(), seed=1, on_step=ignore_steps).mix
    music = level_db(mix, 1.0, 4.0)

    assert level_db(mix, HOLE[0] + TAIL_SECONDS, HOLE[1] - 0.8) <= music - 50.0
    assert level_db(mix, HOLE[1] + 0.1, 15.5) >= music - 12.0


def test_without_the_silence_the_same_span_is_as_loud_as_the_rest() -> None:
    clip = band(bpm=100.0, seconds=10.0, seed=2).clip
    whole = listen(clip, transcriber=network())
    arrangement = variations.load()["lofi_chill"].arrangement
    score = orchestrate.arrange(whole, arrangement, strength=1.0, seed=1)
    mix = Orchestra(None).render(score, whole, seed=1, on_step=ignore_steps).mix

    assert abs(level_db(mix, 6.0, 9.0) - level_db(mix, 1.0, 4.0)) < 6.0


def test_a_record_crackles_with_the_music_and_not_after_it() -> None:
    times = np.arange(4 * RATE) / RATE
    mix = np.tile(np.where(times < 2.0, 0.2 * np.sin(2000 * times), 0.0), (2, 1))
    mix = mix.astype(np.float32)
    dust = vinyl(mix, Setting(beat_seconds=0.5, seed=1)) - mix

    assert level_db(dust, 0.2, 1.8) > -70.0
    assert level_db(dust, 3.2, 4.0) < -150.0


# Strings


def test_what_was_struck_is_bowed_anew_and_what_was_slurred_is_slurred() -> None:
    before = Note(0.0, 0.5, 60, 0.6)

    assert Bowing.MARCATO is bowing_of(Note(0.5, 0.5, 62, 0.6, confidence=0.95), before)
    assert Bowing.LEGATO is bowing_of(Note(0.5, 0.5, 62, 0.6, confidence=0.6), before)
    assert Bowing.LEGATO is bowing_of(Note(0.5, 0.5, 62, 0.6, 1.0, "fill"), before)


def onsets(clip: Clip) -> NDArray[np.float64]:
    """Return the onsets that librosa hears, in seconds."""
    mono = resample.resample(clip, 22050).mono()
    found = librosa.onset.onset_detect(y=mono, sr=22050, hop_length=256, units="time")
    return np.asarray(found, np.float64)


def recall(source: Clip, result: Clip, *, late: float = 0.0) -> float:
    """Return the share of a source's onsets that a result has within 50 ms."""
    found = onsets(result) + late
    return float(np.mean([np.abs(found - onset).min() < 0.05 for onset in onsets(source)]))


def quartet(piece: Piece) -> Clip:
    """Return a piece played by strings from the sound bank."""
    known = listen(piece.clip, transcriber=network())
    arrangement = variations.load()["strings_quartet"].arrangement
    score = orchestrate.arrange(known, arrangement, strength=1.0, seed=1)
    mix = Orchestra(real_bank()).render(score, known, seed=1, on_step=ignore_steps).mix
    return Clip(mix[:, : piece.clip.length], RATE)


@pytest.mark.skipif(not network().is_network, reason="the transcription network is not installed")
def test_a_quartet_keeps_three_of_four_onsets_of_a_dense_piece() -> None:
    piece = driving(130.0, seconds=8.0)
    played = quartet(piece)

    assert recall(piece.clip, played) >= 0.75
    assert recall(piece.clip, played, late=0.13) < 0.5
