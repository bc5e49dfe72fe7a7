"""What is said and what is played where no tempo was heard, or another one than was told."""

from dataclasses import replace

import pytest

from server.engines.arranger import orchestrate
from server.engines.arranger.score import Heard
from tests.unit.arranger.arranging.pieces import chord, heard, note
from variations.schema import Arrangement, Drums, Voice

SOURCE = heard(
    [note(0.1 + 0.9 * number, 1.0, 57 + number % 5) for number in range(8)],
    [chord(0.5 * beat, 0.5 * beat + 0.5, "Am") for beat in range(16)],
)
FREE = replace(SOURCE, tempo_confidence=1.3)


def voice(role: str, **changes: object) -> Voice:
    """Return a player of a role."""
    given = {"name": role, "role": role, "program": 0, "range": (30, 90), **changes}
    return Voice.model_validate(given)


BAND = Arrangement(
    voices=[
        voice("riff"),
        voice("chords", rhythm="x...x...x...x..."),
        voice("bass", rhythm="x.x.x.x.x.x.x.x."),
        voice("arpeggio"),
    ],
    drums=Drums(kit="808", pattern={"kick": "x...x...x...x..."}),
)


def starts(source: Heard) -> dict[str, list[float]]:
    """Return when each player of the band begins its notes."""
    score = orchestrate.arrange(source, BAND, strength=1.0, seed=0)
    return {part.voice.name: [n.start_seconds for n in part.notes] for part in score.parts}


def test_a_clip_without_a_tempo_gets_no_pattern_and_is_told_so() -> None:
    score = orchestrate.arrange(FREE, BAND, strength=1.0, seed=0)

    assert score.hits == ()
    assert orchestrate.NO_PULSE in score.notices


def test_a_clip_with_a_tempo_gets_its_pattern() -> None:
    score = orchestrate.arrange(SOURCE, BAND, strength=1.0, seed=0)

    assert [0.5 + 0.5 * number for number in range(15)] == [h.start_seconds for h in score.hits]
    assert orchestrate.NO_PULSE not in score.notices


def test_what_was_heard_is_played_without_a_tempo_and_chords_are_held() -> None:
    free, steady = starts(FREE), starts(SOURCE)

    assert free["riff"] == steady["riff"]
    assert len(set(free["chords"])) < len(set(steady["chords"]))
    assert "arpeggio" not in free


@pytest.mark.parametrize(("follows", "said"), [(True, False), (False, True)])
def test_a_hint_that_was_not_followed_is_said(*, follows: bool, said: bool) -> None:
    source = replace(SOURCE, bpm=97.04, hinted_bpm=120.0, follows_hint=follows)
    score = orchestrate.arrange(source, BAND, strength=1.0, seed=0)

    sentence = "The music is at 97.04 BPM, not at 120: the hint was not followed."
    assert said is (sentence in score.notices)
