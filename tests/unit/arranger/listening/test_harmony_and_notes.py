"""Keys, chords, bars, strokes and snapping, from notes and sounds made by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.engines.arranger.listening import chords, drums, notes
from server.engines.arranger.listening.candidates import Candidates
from server.engines.arranger.score import (
    FRAME_RATE,
    QUALITIES,
    Chord,
    Note,
)
from server.media.key import Key

_SECONDS = 8.0
_BEATS = np.arange(0.0, 8.0, 0.5)
_SHARPEST = ["", "m", "7", "m7", "maj7", "dim", "sus4"]


def _evidence(played: list[Note]) -> chords.Evidence:
    """Return the notes with posteriors and chroma that agree with them."""
    frames = int(_SECONDS * FRAME_RATE) + 2
    frame, chroma = np.zeros((frames, 88), np.float32), np.zeros((12, frames), np.float32)
    for note in played:
        span = slice(int(note.start_seconds * FRAME_RATE), int(note.end_seconds * FRAME_RATE))
        frame[span, note.pitch - 21] = 0.8
        chroma[note.pitch % 12, span] = 1.0
    return chords.Evidence(played, frame, chroma)


def _held(root: int, quality: str, start: float = 0.0, seconds: float = _SECONDS) -> list[Note]:
    tones = [48 + root, *(60 + (root + interval) % 12 for interval in QUALITIES[quality])]
    return [Note(start, seconds, pitch, 0.8) for pitch in tones]


@given(root=st.integers(0, 11), quality=st.sampled_from(_SHARPEST))
def test_a_held_chord_is_named(root: int, quality: str) -> None:
    found = chords.find_chords(_evidence(_held(root, quality)), _BEATS, _SECONDS, None)

    assert {(root, quality, root)} == {(c.root, c.quality, c.bass) for c in found}


def test_a_change_of_chord_is_found_on_its_beat_and_begins_a_bar() -> None:
    played = _held(9, "m", 0.0, 1.5) + _held(5, "", 1.5, 2.0) + _held(0, "", 3.5, 4.5)

    found = chords.find_chords(_evidence(played), _BEATS, _SECONDS, Key(9, "minor"))

    assert ["Am"] * 3 + ["F"] * 4 + ["C"] * 9 == [chord.name for chord in found]
    assert 3 == chords.find_downbeat(found, played)


def test_a_chord_over_its_third_keeps_its_root_and_names_its_bass() -> None:
    played = [*_held(0, "")[1:], Note(0.0, _SECONDS, 40, 0.9)]

    found = chords.find_chords(_evidence(played), _BEATS, _SECONDS, Key(0, "major"))

    assert {(0, 4)} == {(chord.root, chord.bass) for chord in found}


@pytest.mark.parametrize(("lifted", "bass"), [(2.2, 0), (2.4, 5)])
def test_a_bass_lifted_late_does_not_hold_its_chord_over_the_next(lifted: float, bass: int) -> None:
    late = Note(0.0, lifted, 41, 0.9)
    played = [*_held(5, "", 0.0, 2.0)[1:], *_held(0, "", 2.0, 6.0), late]

    found = chords.find_chords(_evidence(played), _BEATS, _SECONDS, None)

    assert bass == chords._lowest(_evidence(played), chords.beat_edges(_BEATS, _SECONDS))[4]
    assert ["F", "C"] == [found[3].name, found[5].name]


def test_next_to_no_sound_has_no_chord() -> None:
    found = chords.find_chords(_evidence([Note(1.0, 0.1, 60, 0.5)]), _BEATS, _SECONDS, None)

    assert {"N"} == {chord.name for chord in found}


@given(tonic=st.integers(0, 11), mode=st.sampled_from(["major", "minor"]))
def test_a_scale_with_its_triad_has_its_key(tonic: int, mode: str) -> None:
    steps = (0, 2, 4, 5, 7, 9, 11) if mode == "major" else (0, 2, 3, 5, 7, 8, 10)
    played = [Note(0, 1, 60 + tonic + step, 0.5) for step in steps]
    played += [Note(1, 3, 60 + tonic + steps[degree], 0.8) for degree in (0, 2, 4)]

    key = chords.find_key(played)

    assert key is not None
    assert (tonic, mode) == (key.tonic, key.mode)


def test_nobody_has_no_key() -> None:
    assert chords.find_key([]) is None


def test_a_minor_scale_holds_its_raised_seventh() -> None:
    assert {9, 11, 0, 2, 4, 5, 7, 8} == chords.scale_of(Key(9, "minor"))
    assert {7, 9, 11, 0, 2, 4, 6} == chords.scale_of(Key(7, "major"))


def test_the_viterbi_path_is_the_best_of_all_paths() -> None:
    scores = np.random.default_rng(0).normal(0, 0.3, (5, 3))
    paths = np.stack(np.meshgrid(*[np.arange(3)] * 5, indexing="ij"), -1).reshape(-1, 5)
    totals = scores[np.arange(5), paths].sum(axis=1)
    totals -= chords._SWITCH_COST * (np.diff(paths, axis=1) != 0).sum(axis=1)

    assert paths[totals.argmax()].tolist() == chords._viterbi(scores).tolist()


def test_beats_near_the_edges_stand_for_the_edges() -> None:
    edges = chords.beat_edges(np.array([-0.2, 0.3, 0.8, 0.97]), 1.0)

    assert [0.0, 0.3, 0.8, 1.0] == edges.tolist()


@pytest.mark.parametrize(
    ("start", "expected"),
    [(1.01, 1.0), (0.99, 1.0), (1.06, 1.0), (0.96, 1.0), (0.9, 0.9), (1.2, 1.2), (1.48, 1.5)],
    ids=["late", "early", "strum", "early, far", "too early", "too late", "before another"],
)
def test_starts_move_to_the_onset_they_belong_to(start: float, expected: float) -> None:
    moved = notes.snapped(np.array([start]), np.array([1.0, 1.5]))

    assert [expected] == moved.tolist()


def test_without_onsets_nothing_moves() -> None:
    assert [0.3] == notes.snapped(np.array([0.3]), np.array([])).tolist()


class TestAcceptance:
    def _accepted(self, *verdicts: tuple[int, int, float, float]) -> list[tuple[int, float]]:
        """Return start and end of the notes made of (start, end, onset, sustained) rows."""
        starts, ends, onsets, sustained = (np.array(part) for part in zip(*verdicts, strict=True))
        ghosts = 1.0 - np.minimum(1.0, onsets + sustained)
        judged = np.stack([ghosts, onsets, sustained], 1).astype(np.float32)
        columns = np.full(len(starts), 40)
        candidates = Candidates(starts, ends, columns, np.ones(len(starts), np.float32))
        drafts = notes.accept(candidates, judged, np.full(len(starts), 0.54))
        return [(draft.start, draft.end) for draft in drafts]

    def test_an_onset_is_a_note_and_a_ghost_is_none(self) -> None:
        assert [(10, 20)] == self._accepted((10, 20, 0.9, 0.0), (50, 60, 0.1, 0.1))

    def test_a_new_onset_ends_the_note_before(self) -> None:
        assert [(10, 25), (25, 60)] == self._accepted((10, 40, 0.9, 0.0), (25, 60, 0.9, 0.0))

    def test_what_goes_on_sounding_lengthens_the_note_before(self) -> None:
        assert [(10, 60)] == self._accepted((10, 40, 0.9, 0.0), (42, 60, 0.1, 0.8))

    def test_what_goes_on_after_a_rest_is_dropped(self) -> None:
        assert [(10, 40)] == self._accepted((10, 40, 0.9, 0.0), (90, 99, 0.1, 0.8))

    def test_what_goes_on_from_before_the_clip_is_a_note(self) -> None:
        assert [(1, 40)] == self._accepted((1, 40, 0.1, 0.8))


class TestFinish:
    _LEVELS = np.ones((1025, 200), np.float32)

    def _finished(self, *spans: tuple[int, float]) -> tuple[Note, ...]:
        drafts = [notes.Draft(start, end, 40, 0.5 + start / 1000) for start, end in spans]
        return notes.finish(drafts, self._LEVELS, np.array([0.5]), 2.0)

    def test_two_starts_at_one_onset_are_one_note_of_the_longer_length(self) -> None:
        (note,) = self._finished((43, 100), (44, 60))

        assert pytest.approx((0.5, 57 / FRAME_RATE)) == (note.start_seconds, note.seconds)
        assert pytest.approx(0.544) == note.confidence

    def test_notes_end_with_the_clip_and_none_starts_at_its_very_end(self) -> None:
        (note,) = self._finished((150, 400), (171, 200))

        assert pytest.approx(2.0) == note.end_seconds

    def test_no_drafts_make_no_notes(self) -> None:
        assert () == self._finished()


class TestDrums:
    def _sound(self) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        """Return kicks on whole seconds and hats on the half seconds, four seconds long."""
        times = np.arange(4410) / 22050
        random = np.random.default_rng(0)
        kick = np.sin(2 * np.pi * 60 * times) * np.exp(-times / 0.05)
        hat = np.diff(random.normal(0, 0.3, 4411)) * np.exp(-times / 0.01)
        sound = np.zeros(4 * 22050 + 4410)
        for second in range(4):
            sound[second * 22050 :][:4410] += kick
            sound[second * 22050 + 11025 :][:4410] += hat
        return sound[: 4 * 22050].astype(np.float32)

    def test_kicks_and_hats_are_told_apart_and_in_time(self) -> None:
        hits = drums.find_strokes(self._sound())
        hats = [hit.start_seconds for hit in hits if hit.kind == "hat"]
        kicks = [hit.start_seconds for hit in hits if hit.kind == "kick"]

        np.testing.assert_allclose(hats, [0.5, 1.5, 2.5, 3.5], atol=0.03)
        np.testing.assert_allclose(kicks[-3:], [1.0, 2.0, 3.0], atol=0.03)
        assert sorted(hits, key=lambda hit: hit.start_seconds) == list(hits)

    def test_silence_has_no_strokes(self) -> None:
        assert () == drums.find_strokes(np.zeros(22050, np.float32))


def test_bass_notes_vote_for_the_bar() -> None:
    same = [Chord(float(i), i + 1.0, 0, "", 0, 1.0) for i in range(8)]
    low = [Note(2.0, 1.0, 40, 0.9), Note(6.0, 1.0, 40, 0.9)]

    assert 2 == chords.find_downbeat(same, low)
    assert 0 == chords.find_downbeat(same, [])
