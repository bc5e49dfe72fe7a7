"""Files say who made them under which terms, and of the music what was heard."""

from datetime import date
from typing import Any

import pytest

from server.engines.catalog import ENGINES
from server.kinds import signing
from server.kinds.signing import Maker
from server.media import riff, tags
from server.media.key import Key


def maker(sound_bank: str | None) -> Maker:
    """Return the arranger, playing with some sounds."""
    return Maker(engine="arranger", made_on=date(2026, 1, 1), seed=3, sound_bank=sound_bank)


@pytest.mark.parametrize("bank", [None, "FluidR3Mono"])
def test_the_usual_sounds_stand_under_the_engines_licences(bank: str | None) -> None:
    assert ENGINES["arranger"].licence == maker(bank).licence
    assert "FluidR3Mono MIT" in maker(bank).licence


def test_of_somebodys_own_sounds_nothing_is_claimed() -> None:
    """The rest of the terms stays."""
    licence = maker("General MIDI").licence

    assert "MIT; transcription network Apache-2.0; sound bank under its own licence" == licence


def test_without_a_bank_none_is_named() -> None:
    assert "MIT; transcription network Apache-2.0" == maker("synthesized").licence


def test_tags_say_what_was_played_with() -> None:
    said = maker("General MIDI").tags("riff", riff.Music(bpm=87.5, key=Key(10, "major")))

    assert said["comment"].startswith(tags.DISCLOSURE)
    assert "sound bank: General MIDI; seed: 3" in said["comment"]
    assert maker("General MIDI").licence == said["license"] == said["copyright"]
    assert ("87.5", "A#") == (said["bpm"], said["key"])


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        ({}, riff.Music()),
        ({"bpm": None, "key": None, "meter": None, "chords": []}, riff.Music()),
        (
            {"bpm": 92.0, "steady": False, "meter": "6/8", "key": "F# minor"},
            riff.Music(bpm=92.0, is_steady=False, meter=(6, 8), key=Key(6, "minor")),
        ),
        ({"bpm": 92.0, "meter": 3}, riff.Music(bpm=92.0, meter=(3, 4))),
        (
            {"chords": [{"start_seconds": 0, "name": "N"}, {"start_seconds": 1.5, "name": "Am"}]},
            riff.Music(markers=((0.0, riff.NO_CHORD), (1.5, "Am"))),
        ),
    ],
)
def test_only_what_was_heard_is_said(heard: dict[str, Any], expected: riff.Music) -> None:
    assert expected == signing.music_of(heard)


def test_chords_of_a_part_are_no_markers_of_the_whole() -> None:
    heard = {"bpm": 120.0, "chords": [{"start_seconds": 0, "name": "Am"}]}

    assert riff.Music(bpm=120.0) == signing.music_of(heard, has_chords=False)
