"""A bass that repeats its note quickly is heard under drums and chords; a kick is not a bass."""

from functools import cache

import numpy as np
import pytest

from server.engines.arranger.listen import listen
from server.engines.arranger.listening import bass
from server.engines.arranger.listening.notes import Draft
from server.engines.arranger.score import Note
from tests.music import Piece
from tests.unit.arranger.listening.driving import bass_scores, driving
from tests.unit.arranger.listening.scoring import network

PIECES = {
    "eighths at 140": lambda: driving(140.0, 4, seed=1),
    "sixteenths at 120": lambda: driving(120.0, strikes=4),
    "reeds in sixteenths": lambda: driving(126.0, 2, seed=1, strikes=4, timbre="reed"),
}
KICKS = (0.0, 0.75, 1.5, 2.5, 3.0)

needs_network = pytest.mark.skipif(
    not network().is_network, reason="the transcription network is not installed"
)


@cache
def _piece(name: str) -> Piece:
    return PIECES[name]()


@cache
def _notes(name: str) -> tuple[Note, ...]:
    return listen(_piece(name).clip, transcriber=network()).notes


@needs_network
@pytest.mark.parametrize("name", PIECES)
def test_four_of_five_strikes_of_a_quick_bass_are_heard_and_few_invented(name: str) -> None:
    recall, precision = bass_scores(_notes(name), _piece(name))

    assert 0.8 <= recall
    assert 0.8 <= precision


@needs_network
def test_the_measure_refuses_every_second_strike_and_a_bass_too_high() -> None:
    piece = _piece("reeds in sixteenths")
    notes = [note for note in _notes("reeds in sixteenths") if note.pitch < 52]
    higher = [Note(n.start_seconds, n.seconds, n.pitch + 1, n.velocity) for n in notes]

    assert bass_scores(notes[::2], piece)[0] < 0.6
    assert bass_scores(higher, piece) < (0.3, 0.3)


@needs_network
def test_kicks_under_a_held_bass_strike_no_bass() -> None:
    piece = driving(130.0, 4, seed=1, strikes=0, kick_on=KICKS)
    starts = np.array([n.start_seconds for n in piece.notes if n.pitch < 52])
    kicks = [s.start_seconds for s in piece.strokes if s.kind == "kick"]
    kicks = [kick for kick in kicks if np.abs(starts - kick).min() > 0.1]

    heard = listen(piece.clip, transcriber=network()).notes
    low = np.array([note.start_seconds for note in heard if note.pitch < 52])
    invented = [kick for kick in kicks if np.abs(low - kick).min() < 0.05]

    assert len(kicks) >= 12
    assert len(invented) <= len(kicks) // 4


class TestStrikes:
    """Drafts on one column, and posteriors made by hand: a frame is 12 ms."""

    COLUMN = 20

    def _struck(self, drafts: list[Draft], peaks: dict[int, float]) -> list[tuple[int, float]]:
        onset = np.zeros((200, 88), np.float32)
        for frame, strength in peaks.items():
            onset[frame, self.COLUMN] = strength
        strengths = onset[:, : bass._COLUMNS]
        levels = np.ones((1025, 200), np.float32)
        found = bass.restruck(drafts, onset, strengths, levels)
        return [(draft.start, draft.end) for draft in found]

    def test_a_sure_onset_strikes_a_held_note_again(self) -> None:
        found = self._struck([Draft(10, 90, self.COLUMN, 0.8)], {10: 0.9, 40: 0.9})

        assert [(10, 40), (40, 90)] == found

    def test_a_doubtful_onset_does_not(self) -> None:
        found = self._struck([Draft(10, 90, self.COLUMN, 0.8)], {10: 0.9, 40: 0.55})

        assert [(10, 90)] == found

    def test_a_doubtful_onset_in_step_with_sure_ones_does(self) -> None:
        sure = {10: 0.9, 30: 0.9, 50: 0.55, 70: 0.9, 90: 0.9}

        found = self._struck([Draft(10, 110, self.COLUMN, 0.8)], sure)

        assert [10, 30, 50, 70, 90] == [start for start, _ in found]

    def test_a_heard_strike_without_an_onset_is_one_note_with_the_last(self) -> None:
        drafts = [Draft(10, 50, self.COLUMN, 0.8), Draft(50, 90, self.COLUMN, 0.6)]

        assert [(10, 90)] == self._struck(drafts, {10: 0.9, 50: 0.45})

    def test_a_strike_after_a_long_rest_is_a_note_of_its_own(self) -> None:
        drafts = [Draft(10, 30, self.COLUMN, 0.8), Draft(150, 190, self.COLUMN, 0.6)]

        assert [(10, 30), (150, 190)] == self._struck(drafts, {})

    def test_what_lies_above_the_bass_is_left_alone(self) -> None:
        draft = Draft(10, 90, 50, 0.8)

        assert [(10, 90)] == self._struck([draft], {40: 0.9})

    def test_a_doubtful_note_without_partials_under_a_held_one_is_a_drum(self) -> None:
        held, drum = Draft(10, 150, self.COLUMN, 0.9), Draft(60, 80, 12, 0.55)

        assert [(10, 150)] == self._struck([held, drum], {10: 0.9})
        assert (60, 80) in self._struck([held, Draft(60, 80, 12, 0.9)], {10: 0.9})
