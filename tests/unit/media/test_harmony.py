"""Chroma hears the written chords, whatever plays them."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from server.media import harmony
from server.media.clip import Clip, Samples
from server.media.key import PITCH_NAMES
from tests import music

PIECES = [
    (music.band(104, 4, 16, 1), 0.95),
    (music.band(126, 10, 16, 2, mode="major", timbre="reed"), 0.95),
    (music.riff(100, 9.6), 0.7),
]

chromas = arrays.arrays(
    np.float32, st.tuples(st.just(12), st.integers(1, 6)), elements=st.floats(0, 1, width=32)
)


def per_beat(piece: music.Piece) -> Samples:
    """Return the chroma of each beat."""
    edges = np.append(piece.beats, piece.clip.seconds)
    return harmony.over_beats(harmony.chroma(piece.clip), edges)


@pytest.mark.parametrize(("piece", "share"), PIECES)
def test_the_roots_of_written_chords_are_heard(piece: music.Piece, share: float) -> None:
    """On nearly every beat of a band with drums, on most of a guitar whose strings ring over."""
    written = [PITCH_NAMES.index(chord.removesuffix("m")) for chord in piece.chords]

    heard = harmony.chord_roots(per_beat(piece))

    assert share <= np.mean(np.array(written) == heard)


@pytest.mark.parametrize("semitones", range(-5, 7))
def test_every_transposition_is_found(semitones: int) -> None:
    """From the mean chroma alone, across timbres."""
    piece = music.band(104, 4, 8, 1)
    moved = music.band(104, 4 + semitones, 8, 1, timbre="reed")

    one, other = harmony.chroma(piece.clip), harmony.chroma(moved.clip)

    assert semitones == harmony.best_rotation(one, other)


def test_chroma_without_a_shape_is_not_called_transposed() -> None:
    """Two noises fit at every rotation."""
    one, other = (harmony.chroma(music.noise(3, seed=seed)) for seed in (0, 1))

    assert 0 == harmony.best_rotation(one, other)


def test_a_detuned_instrument_is_heard_at_its_own_tuning() -> None:
    """Forty cents off, the semitones would blur without it."""
    true = harmony.chroma(music.riff(seconds=4).clip)
    detuned = music.riff(seconds=4, cents=40).clip

    blurred, sharp = (harmony.chroma(detuned, tuning_cents=cents) for cents in (0.0, 40.0))

    at_tuning, at_440 = harmony.similarity(true, sharp), harmony.similarity(true, blurred)
    assert at_tuning is not None
    assert at_440 is not None
    assert 0.92 < at_tuning
    assert at_440 < at_tuning - 0.03


def test_harmony_is_clear_in_music_and_not_in_noise_or_drums() -> None:
    """The threshold lies between."""
    drums = music.band(seconds=8).strokes
    beat = Clip(music._play([], list(drums), "keys", 8.0, 44100), 44100)
    edges = np.arange(0, 8.01, 0.5)

    def clarity(clip: Clip) -> float:
        return harmony.clarity(harmony.over_beats(harmony.chroma(clip), edges))

    assert harmony.AUDIBLE_CLARITY < clarity(music.riff(seconds=8).clip)
    assert harmony.AUDIBLE_CLARITY < clarity(music.band(seconds=8).clip)
    assert harmony.AUDIBLE_CLARITY > max(clarity(beat), clarity(music.noise(8)))


def test_clarity_has_its_ends_where_it_says() -> None:
    """One pitch class is 1, all alike 0, silence 0."""
    assert pytest.approx(1.0) == harmony.clarity(np.eye(12, 3, dtype=np.float32))
    assert pytest.approx(0.0, abs=1e-6) == harmony.clarity(np.ones((12, 3), np.float32))
    assert 0.0 == harmony.clarity(np.zeros((12, 3), np.float32))


@given(chromas, st.floats(0.25, 4))
def test_a_chroma_resembles_itself_at_any_level(levels: Samples, gain: float) -> None:
    """Or there is nothing to compare."""
    levels = np.where(levels < 1e-3, 0, levels).astype(np.float32)

    similarity = harmony.similarity(levels, levels * np.float32(gain))

    assert (pytest.approx(1.0) if levels.any() else None) == similarity


def test_silence_on_one_side_alone_resembles_nothing() -> None:
    """A result that stops half-way loses half of its marks."""
    full, half = np.ones((12, 10), np.float32), np.ones((12, 10), np.float32)
    half[:, 5:] = 0.0

    assert pytest.approx(0.5) == harmony.similarity(full, half)


def test_quiet_frames_are_silent() -> None:
    """70 dB below the loudest there is nothing but noise."""
    clip = music.band(seconds=4).clip
    samples = clip.samples.copy()
    samples[:, 2 * 44100 :] *= np.float32(10 ** (-70 / 20))

    levels = harmony.chroma(clip.with_samples(samples))

    assert not levels[:, int(2.8 * harmony.FRAME_RATE) :].any()
    assert levels[:, : int(1.8 * harmony.FRAME_RATE)].any(axis=0).all()


@given(chromas, st.lists(st.floats(0, 0.2), min_size=2, max_size=6))
def test_means_over_beats_equal_the_slow_way(levels: Samples, beats: list[float]) -> None:
    """Including beats that hold no frame or lie behind the end."""
    edges = np.sort(np.array(beats))

    found = harmony.over_beats(levels, edges)

    frames = np.clip(np.round(edges * harmony.FRAME_RATE).astype(int), 0, levels.shape[1])
    for beat, (start, end) in enumerate(itertools.pairwise(frames)):
        expected = levels[:, start:end].mean(axis=1) if end > start else np.zeros(12)
        np.testing.assert_allclose(expected, found[:, beat], atol=1e-5)


@pytest.mark.parametrize(
    ("scale", "name"),
    [([0, 2, 4, 5, 7, 9, 11], "C major"), ([9, 11, 0, 2, 4, 5, 8], "A minor")],
)
def test_a_scale_with_a_stressed_triad_has_its_key(scale: list[int], name: str) -> None:
    """Harmonic minor for the minor one."""
    levels = np.zeros((12, 1), np.float32)
    levels[scale] = 0.3
    levels[[scale[0], scale[2], scale[4]]] = 1.0

    key = harmony.estimate_key(levels)

    assert key is not None
    assert name == key.name


def test_silence_has_neither_key_nor_chords() -> None:
    """Nothing is guessed from nothing."""
    silent = np.zeros((12, 4), np.float32)

    assert harmony.estimate_key(silent) is None
    assert harmony.estimate_key(silent[:, :0]) is None
    assert [-1] * 4 == harmony.chord_roots(silent).tolist()
    assert harmony.similarity(silent, silent) is None
