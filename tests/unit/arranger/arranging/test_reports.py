"""The report tells what was heard, and nothing else: what is missing is null, and is said."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import variations
from server.engines.arranger import orchestrate, reports
from server.engines.arranger.score import Heard, Meter, Singing
from server.engines.protocols import Brief
from server.media.key import Key
from tests import music
from tests.unit.arranger.arranging import pieces

PRESET = variations.load()["synth_retro"]


def told(heard: Heard, preset: str = "synth_retro") -> dict[str, Any]:
    """Return what is told of a piece that a preset plays; it is valid JSON."""
    score = orchestrate.arrange(heard, variations.load()[preset].arrangement, strength=1.0, seed=1)
    facts = reports.facts(heard, score)
    json.dumps(facts, allow_nan=False)
    return facts


def brief(**wanted: Any) -> Brief:
    """Return an order."""
    return Brief(variation=PRESET, prompt=PRESET.prompt, **wanted)


SONG = pieces.of_piece(music.band(120.0, 9, 8.0, 0))


def test_old_fields_keep_their_names_and_kinds() -> None:
    """Clients that read the first reports read these."""
    facts = told(SONG)

    assert (120.0, 5.0, True) == (facts["bpm"], facts["tempo_confidence"], facts["steady"])
    assert "A minor" == facts["key"]
    assert {"start_seconds": 0.0, "name": "Am"} == facts["chords"][0]
    assert len(SONG.notes) == facts["notes"]
    assert len(SONG.drums) == facts["drums"]
    assert set(facts["notes_per_part"]) == {part["name"] for part in facts["parts"]}


def test_every_beat_has_a_chord_and_every_bar_a_start() -> None:
    """Sixteen beats of four bars."""
    facts = told(SONG)

    assert ("4/4", 4) == (facts["meter"], facts["beats_per_bar"])
    assert facts["beats"][::4] == facts["downbeats"]
    assert ["Am"] * 4 + ["F"] * 4 == facts["chords_per_beat"][:8]
    assert len(facts["beats"]) == len(facts["chords_per_beat"])


def test_beats_keep_the_chord_that_was_heard_in_them() -> None:
    """A lone stranger is not played, so not in the progression; but it was heard."""
    chords = list(SONG.chords)
    chords[1] = pieces.chord(0.5, 1.0, "B")
    facts = told(replace(SONG, chords=tuple(chords)))

    assert ["Am", "B", "Am"] == facts["chords_per_beat"][:3]
    assert "B" not in {chord["name"] for chord in facts["chords"]}


def test_meter_and_downbeat_are_told_as_they_were_heard() -> None:
    """Two beats of three in a bar, after a beat of pickup."""
    facts = told(replace(SONG, meter=Meter(2, 3), downbeat=1, swing=0.1))

    assert ("6/8", 2, 0.1) == (facts["meter"], facts["beats_per_bar"], facts["swing"])
    assert facts["beats"][1::2] == facts["downbeats"]


def test_a_tempo_that_moves_has_a_range() -> None:
    """From 100 to 130; a steady one has none."""
    gaps = 60.0 / np.linspace(100.0, 130.0, 40)
    moving = replace(SONG, beats=np.cumsum(gaps), is_steady=False, seconds=25.0)
    low, high = told(moving)["bpm_range"]

    assert 100 < low < 105
    assert 125 < high < 130
    assert told(SONG)["bpm_range"] is None


def test_without_a_pulse_no_grid_is_told() -> None:
    """No tempo, meter, beats, bars or chords by beats; the chords that were heard stay."""
    facts = told(replace(SONG, tempo_confidence=1.2))

    assert {None} == {facts[name] for name in ("bpm", "bpm_range", "meter", "swing")}
    assert [] == facts["beats"] == facts["downbeats"] == facts["chords_per_beat"]
    assert "Am" == facts["chords"][0]["name"]


def test_without_pitch_no_harmony_is_told() -> None:
    """A drum loop has no key, no chords and no tuning, and the strokes are counted by kind."""
    drums = pieces.heard([], drums=SONG.drums, pitchedness=0.0)
    facts = told(drums, "trap_808")

    assert facts["key"] is facts["tuning_cents"] is None
    assert [] == facts["chords"] == facts["chords_per_beat"]
    assert {"hat", "kick", "snare"} == set(facts["drum_strokes"])
    assert len(SONG.drums) == sum(facts["drum_strokes"].values())


def test_parts_say_who_plays_what() -> None:
    """Role, sound, number of notes and range; together they are the notes per part."""
    facts = told(SONG, "strings_quartet")
    cello = next(part for part in facts["parts"] if part["name"] == "cello")

    assert ("line", 42, False, None) == tuple(
        cello[name] for name in ("role", "program", "muted", "seed")
    )
    assert cello["pitches"][0] < cello["pitches"][1] <= 62
    assert 0 < cello["heard_notes"] <= cello["notes"] == facts["notes_per_part"]["cello"]


def test_a_voice_is_told_only_where_one_was_heard() -> None:
    """With how sure that is."""
    sung = replace(SONG, singing=Singing(0.876, 0.4, np.zeros(0, np.float32)))

    assert {"confidence": 0.88, "share": 0.4} == told(sung)["voice"]
    assert told(SONG)["voice"] is None


def test_layers_say_what_stayed() -> None:
    """A voice stays unless it was asked for; what is not in the source is null."""
    sung = replace(SONG, singing=Singing(0.9, 0.4, np.zeros(0, np.float32)))
    stayed = reports.layers(brief(keep_drums=True), 1.0, sung)["layers"]
    gone = reports.layers(brief(layers={"vocals": 1.0}), 1.0, sung)["layers"]
    bare = reports.layers(brief(), 0.5, replace(SONG, drums=()))["layers"]

    assert {"pitched": 1.0, "drums": 0.0, "vocals": 0.0} == stayed
    assert 1.0 == gone["vocals"]
    assert (0.5, None, None) == (bare["pitched"], bare["drums"], bare["vocals"])


@pytest.mark.parametrize("followed", [True, False])
def test_a_tempo_hint_is_told_with_what_became_of_it(*, followed: bool) -> None:
    """The tempo that was heard stands beside it."""
    told_of = replace(SONG, hinted_bpm=97.0, follows_hint=followed)
    said = reports.hints(brief(bpm=97.0), told_of)["hints"]

    assert {"bpm": {"given": 97.0, "heard": 120.0, "followed": followed}} == said


def test_a_tempo_that_is_merely_told_was_not_heard() -> None:
    """The grid is that of the hint, and the report says whose it is."""
    told_of = replace(SONG, tempo_confidence=1.2, hinted_bpm=120.0)

    assert 120.0 == told(told_of)["bpm"]
    assert {"given": 120.0, "heard": None, "followed": True} == reports.hints(
        brief(bpm=120.0), told_of
    )["hints"]["bpm"]


def test_a_key_hint_is_told_with_what_became_of_it() -> None:
    """Another key than was heard was not followed."""
    keys = (Key(9, "minor"), Key(2, "major"))
    said = [reports.hints(brief(key=key), SONG)["hints"]["key"] for key in keys]

    assert {"given": "A minor", "heard": "A minor", "followed": True} == said[0]
    assert {"given": "D major", "heard": "A minor", "followed": False} == said[1]
    assert {} == reports.hints(brief(), SONG)


def test_strokes_that_are_added_are_counted_apart() -> None:
    """What the kit plays is not what the drummer played."""
    facts = told(pieces.heard(SONG.notes, SONG.chords), "trap_808")

    assert {} == facts["drum_strokes"]
    assert facts["added_strokes"]["kick"] > 0
