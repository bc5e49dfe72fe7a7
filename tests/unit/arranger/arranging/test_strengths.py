"""How far each layer of a source is replaced."""

from dataclasses import replace

import numpy as np
import pytest

from server.engines.arranger import strengths
from server.engines.arranger.score import DrumHit, Heard, Singing
from server.engines.arranger.strengths import Strengths
from server.engines.protocols import Brief
from tests.unit.arranger.arranging import pieces


def heard() -> Heard:
    """Return a note, a stroke and a voice."""
    return replace(
        pieces.heard([pieces.note(0.0, 1.0, 69)], drums=[DrumHit(0.0, "kick", 1.0)]),
        singing=Singing(0.9, 0.3, np.zeros(8 * 22050, np.float32)),
    )


def brief(**fields: object) -> Brief:
    return Brief(variation=None, prompt="", **fields)  # type: ignore[arg-type]


def test_all_but_a_voice_follows_the_common_strength() -> None:
    assert Strengths(0.4, 0.4, 0.0) == strengths.asked(brief(), 0.4)


def test_a_layer_may_have_a_strength_of_its_own() -> None:
    wish = brief(layers={"pitched": 0.0, "vocals": 0.5})

    assert Strengths(0.0, 0.8, 0.5) == strengths.asked(wish, 0.8)


@pytest.mark.parametrize(("keeps", "drums"), [(True, 0.0), (False, 1.0)])
def test_drums_are_kept_or_replaced_whatever_the_strength(*, keeps: bool, drums: float) -> None:
    wanted = strengths.asked(brief(keep_drums=keeps), 0.3)

    assert Strengths(0.3, drums, strokes_last=False) == wanted


@pytest.mark.parametrize("keeps", [None, True, False])
def test_no_strength_is_identity_whatever_becomes_of_the_drums(*, keeps: bool | None) -> None:
    assert strengths.asked(brief(keep_drums=keeps), 0.0).is_identity
    assert not strengths.asked(brief(layers={"drums": 0.1}), 0.0).is_identity


def test_what_was_not_heard_can_neither_stay_nor_go() -> None:
    nothing = replace(heard(), drums=(), singing=None)
    wish = brief(keep_drums=True, layers={"vocals": 1.0})
    wanted, notices = strengths.settled(wish, 0.6, nothing)

    assert (0.6, 0.6, 0.0) == (wanted.pitched, wanted.drums, wanted.vocals)
    assert {strengths.NO_VOICE, strengths.NO_DRUMS_TO_KEEP} == set(notices)


@pytest.mark.parametrize(
    ("wanted", "notice"), [({}, strengths.VOICE_STAYS), ({"vocals": 1}, strengths.VOICE_IS_PLAYED)]
)
def test_what_becomes_of_a_voice_is_said(wanted: dict[str, float], notice: str) -> None:
    wish = brief(layers=wanted)

    assert (notice,) == strengths.settled(wish, 1.0, heard())[1]


@pytest.mark.parametrize("keeps", [True, False])
def test_without_a_drummer_nothing_becomes_of_the_drums_and_that_is_said(*, keeps: bool) -> None:
    nothing = replace(heard(), drums=(), singing=None)
    wanted, notices = strengths.settled(brief(keep_drums=keeps), 0.6, nothing)

    assert Strengths(0.6, 0.6) == wanted
    assert 1 == len(notices)


class TestForPlayers:
    """A sung A and a played C."""

    def heard(self) -> Heard:
        sung, played = pieces.note(0.0, 1.0, 69), pieces.note(0.0, 1.0, 60)
        both = pieces.heard([played, sung])
        singing = Singing(0.9, 0.5, np.zeros(8 * 22050, np.float32), (sung,))
        return replace(both, singing=singing, sustain=np.ones((690, 88), np.float32))

    def given(self, wanted: Strengths) -> Heard:
        return strengths.for_players(self.heard(), wanted)

    def test_a_voice_that_stays_is_not_played(self) -> None:
        given = self.given(Strengths(1.0, 1.0))

        assert [60] == [note.pitch for note in given.notes]
        assert 0.0 == given.sustain[40, 69 - 21]
        assert 1.0 == given.sustain[40, 60 - 21]
        assert 1.0 == given.sustain[200, 69 - 21]

    def test_a_voice_that_is_replaced_is_played(self) -> None:
        assert [60, 69] == [note.pitch for note in self.given(Strengths(1.0, 1.0, 1.0)).notes]

    def test_a_voice_may_be_all_that_is_replaced(self) -> None:
        assert [69] == [note.pitch for note in self.given(Strengths(0.0, 0.0, 1.0)).notes]


def test_strokes_go_last() -> None:
    kept = Strengths(0.8, 0.8).kept

    assert kept["drums"] > 1.8 * kept["pitched"]
