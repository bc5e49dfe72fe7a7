"""A key that the musician names decides what the music leaves open, and nothing that it says."""

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.engines.arranger.ear import Ear
from server.engines.arranger.listen import listen
from server.engines.arranger.listening import chords
from server.engines.arranger.score import Heard, Note
from server.engines.protocols import tell_nobody
from server.media.key import Key, Mode
from tests import music
from tests.unit.arranger.listening.driving import power_chords
from tests.unit.arranger.listening.scoring import network, root_share

WRONG: dict[str, tuple[int, Mode]] = {
    "a semitone up": (1, "minor"),
    "a tritone away": (6, "major"),
    "its parallel": (0, "major"),
}

_PIECE = music.band(103.0, 9, 8.0, 1)


@cache
def _heard(hint: Key | None) -> Heard:
    return listen(_PIECE.clip, transcriber=network(), key=hint)


def _scale(tonic: int) -> list[Note]:
    """Return a major scale of equal notes."""
    return [Note(0.5 * n, 0.5, 60 + tonic + s, 0.8) for n, s in enumerate((0, 2, 4, 5, 7, 9, 11))]


@given(st.integers(0, 11))
def test_between_relative_keys_the_hint_decides(tonic: int) -> None:
    for hint in (Key(tonic, "major"), Key((tonic + 9) % 12, "minor")):
        assert hint == chords.find_key(_scale(tonic), hint=hint)


@given(st.integers(0, 11), st.integers(0, 11))
def test_a_hint_out_of_the_scale_is_not_followed(tonic: int, away: int) -> None:
    hint = Key((tonic + away) % 12, "major")
    found = chords.find_key(_scale(tonic), hint=hint)

    assert (found == hint) == (away == 0)


def test_a_hint_is_no_key_where_nothing_sounds() -> None:
    assert chords.find_key([], hint=Key(2, "minor")) is None


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_hint_changes_neither_key_nor_chords(name: str) -> None:
    away, mode = WRONG[name]
    tonic = _heard(None).key
    assert tonic is not None
    wrong = _heard(Key((tonic.tonic + away) % 12, mode))

    assert tonic == wrong.key
    assert root_share(wrong, _PIECE) >= 0.9
    assert _heard(None).notes == wrong.notes


def test_the_relative_key_is_taken_from_the_hint_and_the_chords_stay() -> None:
    heard = _heard(None).key
    assert heard is not None
    hinted = _heard(heard.relative)

    assert heard.relative == hinted.key
    assert root_share(hinted, _PIECE) >= 0.9


def test_the_ear_hears_a_clip_anew_for_another_hint() -> None:
    ear, clip = Ear(network()), music.riff(seconds=1.0).clip
    ear.listen(clip, bpm=None, key=Key(0, "major"), on_step=tell_nobody)

    assert ear.remembers(clip, bpm=None, key=Key(0, "major"))
    assert not ear.remembers(clip, bpm=None, key=Key(9, "minor"))
    assert not ear.remembers(clip, bpm=None)


@pytest.mark.skipif(not network().is_network, reason="the transcription network is not installed")
@pytest.mark.parametrize("is_driven", [False, True], ids=["clean", "driven"])
def test_a_power_chord_is_named_by_its_root(*, is_driven: bool) -> None:
    piece = power_chords(is_driven=is_driven)
    heard = listen(piece.clip, transcriber=network())
    fifths = replace(piece, chords=tuple(_fifth(name) for name in piece.chords))

    assert root_share(heard, piece) >= 0.9
    assert root_share(heard, fifths) < 0.1


def _fifth(name: str) -> str:
    return music.NAMES[(music.NAMES.index(name) + 7) % 12]
