"""What was played, as notes that other programs understand."""

from dataclasses import replace

import numpy as np
import pytest

import variations
from server.engines.arranger import drumkits, orchestrate, sheets
from server.engines.arranger.choices import Choices
from server.engines.arranger.score import DrumHit, Meter, Note, Part, Score
from server.engines.protocols import PartChoice
from server.media.sheet import Sheet
from tests.music import band
from tests.unit.arranger.arranging.pieces import heard, note, of_piece, voice
from variations.schema import Drums
from variations.sounds import KITS, SYNTHS

HEARD = heard([note(0.0, 1.0, 60)])


def score(*notes: Note, **fields: object) -> Score:
    """Return four seconds of one part."""
    return replace(Score(4.0, (Part(voice("riff", name="lead"), notes),)), **fields)  # type: ignore[arg-type]


def arranged(preset: str, **parts: PartChoice) -> tuple[Score, Sheet]:
    """Return a preset's score of the band, and its sheet."""
    music = of_piece(band(seconds=8.0))
    arrangement = variations.load()[preset].arrangement
    choices = Choices(parts)
    written = orchestrate.arrange(music, arrangement, strength=1.0, seed=0, choices=choices)
    return written, sheets.of(written, music)


@pytest.mark.parametrize("preset", ["strings_quartet", "synth_retro", "chiptune"])
def test_every_note_and_stroke_is_there(preset: str) -> None:
    written, sheet = arranged(preset)
    starts = [note.start_seconds for part in written.parts for note in part.notes]
    if written.drums is not None:
        starts += [hit.start_seconds for hit in written.hits]

    assert sorted(starts) == sorted(
        note.start_seconds for track in sheet.tracks for note in track.notes
    )


def test_tracks_are_called_what_parts_are_called() -> None:
    written, sheet = arranged("synth_retro")

    assert [part.voice.name for part in written.parts] == [t.name for t in sheet.tracks[:-1]]
    assert ("drums", True) == (sheet.tracks[-1].name, sheet.tracks[-1].is_drums)


def test_a_mute_part_is_left_out() -> None:
    _, sheet = arranged("synth_retro", lead=PartChoice(mute=True), drums=PartChoice(mute=True))

    assert not {"lead", "drums"} & {track.name for track in sheet.tracks}
    assert len(sheet.tracks) > 1


def test_a_wanted_gain_is_in_the_volume() -> None:
    written, sheet = arranged("synth_retro", lead=PartChoice(gain_db=-3.0))
    lead = next(part.voice for part in written.parts if part.voice.name == "lead")
    track = next(track for track in sheet.tracks if track.name == "lead")

    assert lead.gain_db - 3.0 == pytest.approx(track.gain_db)


def test_every_synthesized_voice_has_a_program() -> None:
    assert set(sheets.PROGRAMS) == SYNTHS
    assert all(0 <= program < 128 for program in sheets.PROGRAMS.values())


@pytest.mark.parametrize("kit", sorted(KITS))
def test_every_drum_of_every_kit_has_a_percussion_key(kit: str) -> None:
    keys = sheets.keys_of(kit)

    assert set(drumkits.KITS[kit]) == set(keys)
    assert all(35 <= key <= 82 for key in keys.values())
    assert 4 == len({keys[kind] for kind in ("kick", "snare", "hat", "open_hat")})


def test_kick_and_snare_are_where_general_midi_has_them() -> None:
    written = score(drums=Drums(kit="808"), hits=(DrumHit(0.5, "kick", 1.0),))
    kit = sheets.of(written, HEARD).tracks[-1]

    assert ("drums", 25, 36, 0.5) == (
        kit.name,
        kit.program,
        kit.notes[0].pitch,
        kit.notes[0].start_seconds,
    )


def test_bends_are_kept_and_notes_end_with_the_piece() -> None:
    bend = ((0.0, -100.0), (0.2, 0.0))
    flute = Part(
        voice("melody", synth="flute"),
        (Note(3.0, 5.0, 60, 0.8, bend=bend), Note(4.5, 1.0, 62, 0.8)),
    )
    (kept,) = sheets.of(Score(4.0, (flute,)), HEARD).tracks[0].notes

    assert bend == kept.bend
    assert 4.0 == pytest.approx(kept.start_seconds + kept.seconds)


def test_who_cannot_bend_is_written_straight() -> None:
    piano = Part(voice("melody", program=0), (Note(0.0, 1.0, 60, 0.8, bend=((0.0, 50.0),)),))

    assert () == sheets.of(Score(4.0, (piano,)), HEARD).tracks[0].notes[0].bend


def test_a_gliding_bass_slides_from_note_to_note() -> None:
    sub = voice("bass", synth="bass_808", glide=True)
    notes = (Note(0.0, 1.0, 33, 0.8), Note(1.0, 1.0, 36, 0.8), Note(2.0, 1.0, 36, 0.8))
    first, slid, level = sheets.of(Score(4.0, (Part(sub, notes),)), HEARD).tracks[0].notes

    assert () == first.bend == level.bend
    assert (0.0, -300.0) == slid.bend[0]
    assert 0.0 == slid.bend[-1][1]


def test_the_beats_the_meter_and_the_chords_are_those_that_were_heard() -> None:
    waltz = replace(of_piece(band(seconds=6.0)), meter=Meter(2, 3), downbeat=1)
    sheet = sheets.of(score(note(0.0, 1.0, 60)), waltz)

    assert waltz.beats.tolist() == list(sheet.beats)
    assert ((6, 8), 2, 1) == (sheet.meter, sheet.beats_per_bar, sheet.downbeat)
    assert waltz.chords[0].name == sheet.chords[0][1]
    assert waltz.key == sheet.key


def test_of_what_has_no_pitch_there_is_no_key() -> None:
    silent = replace(HEARD, pitchedness=0.0, beats=np.zeros(0))
    sheet = sheets.of(score(), silent)

    assert (None, (), ()) == (sheet.key, sheet.chords, sheet.beats)
