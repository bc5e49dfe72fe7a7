"""Pitch that moves is heard as one bent note; pitch that stays or jumps is not."""

from functools import cache

import numpy as np
import pytest

from server.engines.arranger.bending import cents_at
from server.engines.arranger.listen import listen
from server.engines.arranger.listening.bends import with_bends
from server.engines.arranger.listening.transcribe import SpectralTranscriber
from server.engines.arranger.score import Heard, Note
from tests import music
from tests.unit.arranger.listening.gliding import (
    Curve,
    gliding,
    scoop,
    slide,
    straight,
    vibrato,
)
from tests.unit.arranger.listening.scoring import network

CURVES: dict[str, Curve] = {
    "slide": slide(),
    "fast slide": slide(seconds=0.08),
    "slide down": slide(67.0, -1.0),
    "low slide": slide(45.0, 2.0),
    "vibrato": vibrato(),
    "scoop": scoop,
}

needs_network = pytest.mark.skipif(
    not network().is_network, reason="the transcription network is not installed"
)


@cache
def _listened(name: str) -> Heard:
    return listen(gliding(CURVES[name]), transcriber=network())


def _heard(name: str) -> tuple[Note, ...]:
    return _listened(name).notes


def _longest(notes: tuple[Note, ...]) -> Note:
    return max(notes, key=lambda note: note.seconds)


def _cents_off(note: Note, curve: Curve) -> float:
    """Return the median distance between a heard bend and the truth."""
    times = np.arange(0.1, 1.4, 0.01)
    heard = 100 * note.pitch + cents_at(note.bend, times + 0.25 - note.start_seconds)
    return float(np.median(np.abs(heard - 100 * curve(times))))


@needs_network
@pytest.mark.parametrize("name", CURVES)
class TestMovingPitch:
    def test_it_is_one_note_along_the_curve(self, name: str) -> None:
        note = _longest(_heard(name))

        assert pytest.approx(1.5, abs=0.12) == note.seconds
        assert 25.0 > _cents_off(note, CURVES[name])

    def test_points_are_by_time_and_no_further_than_a_whole_tone(self, name: str) -> None:
        times, cents = zip(*_longest(_heard(name)).bend, strict=True)

        assert 0.0 == times[0]
        assert np.diff(times).min() > 0.0
        assert np.abs(cents).max() <= 200.0


@needs_network
def test_the_measure_refuses_a_straight_note_and_a_late_one() -> None:
    note = _longest(_heard("slide"))
    late = tuple((time + 0.3, cents) for time, cents in note.bend)

    assert 25.0 < _cents_off(Note(0.25, 1.5, 69, 0.8), CURVES["slide"])
    assert 5 < np.abs(cents_at(late, np.arange(0.5, 0.9, 0.01))).mean()


@needs_network
@pytest.mark.parametrize("name", ["vibrato", "slide", "scoop"])
def test_a_moving_pitch_does_not_detune_the_piece(name: str) -> None:
    assert 6.0 > abs(_listened(name).tuning_cents)


@needs_network
@pytest.mark.parametrize("curve", [straight, slide(seconds=0.0), slide(semitones=1, seconds=0.0)])
def test_a_pitch_that_stays_or_jumps_is_not_bent(curve: Curve) -> None:
    notes = listen(gliding(curve), transcriber=network()).notes

    assert not any(note.bend for note in notes)
    assert set(np.rint(curve(np.array([0.0, 1.4])))) <= {note.pitch for note in notes}


@needs_network
@pytest.mark.parametrize(
    "piece",
    [music.riff(seconds=8.0, cents=23.0), music.band(103.7, 2, 8.0, 3, timbre="reed", drums=False)],
    ids=["guitar", "reeds"],
)
def test_nobody_bends_in_a_piece_without_bends(piece: music.Piece) -> None:
    assert not any(note.bend for note in listen(piece.clip, transcriber=network()).notes)


def test_without_a_contour_there_are_no_bends() -> None:
    heard = listen(gliding(CURVES["vibrato"]), transcriber=SpectralTranscriber())

    assert heard.notes
    assert not any(note.bend for note in heard.notes)


def _contour(*pitches: float) -> np.ndarray[tuple[int, int], np.dtype[np.float16]]:
    """Return a contour of one second in which each pitch moves up by a semitone."""
    frames, bins = np.arange(86)[:, None], np.arange(264)[None]
    rows = np.zeros((86, 264))
    for pitch in pitches:
        centre = 3 * (pitch - 21 + np.clip((frames - 30) / 20, 0, 1)) + 1
        rows = np.maximum(rows, np.clip(1 - np.abs(bins - centre) / 2, 0, 1))
    return rows.astype(np.float16)


class TestCompany:
    def test_who_plays_alone_in_the_register_is_followed(self) -> None:
        notes = [Note(0.0, 1.0, 45, 0.8), Note(0.0, 1.0, 69, 0.8)]

        bent, _ = with_bends(notes, _contour(45, 69), 0.0)

        assert [True, True] == [bool(note.bend) for note in bent]
        assert [46, 70] == [note.pitch for note in bent]

    def test_who_has_a_neighbour_is_not(self) -> None:
        notes = [Note(0.0, 1.0, 66, 0.8), Note(0.0, 1.0, 69, 0.8)]

        assert (tuple(notes), 0.0) == with_bends(notes, _contour(66, 69), 0.0)

    def test_a_struck_note_is_not_swallowed_by_the_one_before_it(self) -> None:
        notes = [Note(0.0, 0.3, 69, 0.8), Note(0.3, 0.25, 69, 0.8), Note(0.65, 0.3, 70, 0.8)]

        found, _ = with_bends(notes, _contour(69), 0.0)

        assert [0.0, 0.3] == [note.start_seconds for note in found][:2]

    def test_the_tuning_of_the_source_is_no_bend(self) -> None:
        flat = _contour(68.6)[:28]

        assert () == with_bends([Note(0.0, 0.32, 69, 0.8)], flat, -40.0)[0][0].bend
