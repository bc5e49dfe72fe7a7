"""Notes as MIDI files: what an independent reader finds in them."""

import io
import math
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server import errors
from server.media import barlines, midi
from server.media.key import Key
from server.media.sheet import Sheet, SheetNote, Track

MILLISECOND = 0.001


def sheet(**fields: object) -> Sheet:
    """Return four bars of common time at 120, with one part, unless the fields say otherwise."""
    notes = tuple(SheetNote(0.5 * number, 0.4, 60 + number, 0.7) for number in range(8))
    plain = Sheet(
        seconds=8.0,
        beats=tuple(0.5 * number for number in range(16)),
        downbeat=0,
        meter=(4, 4),
        beats_per_bar=4,
        key=Key(9, "minor"),
        chords=((0.0, "Am"), (2.0, "F"), (4.0, "N")),
        tracks=(Track("piano", 0, notes),),
    )
    return replace(plain, **fields)  # type: ignore[arg-type]


def opened(written: Sheet) -> mido.MidiFile:
    """Return a sheet's file as the library reads it."""
    data = midi.encode(written, title="A piece")
    return mido.MidiFile(file=io.BytesIO(data), charset="utf-8")


def onsets(file: mido.MidiFile) -> list[tuple[int, int, float]]:
    """Return channel, key and seconds of every note in playing order, by the reader's clock."""
    found, now = [], 0.0
    for message in file:
        now += message.time
        if message.type == "note_on" and message.velocity > 0:
            found.append((message.channel, message.note, now))
    return found


def most_late(written: Sheet, file: mido.MidiFile) -> float:
    """Return the largest distance between an onset of the sheet and the one in the file."""
    wanted = sorted((n.pitch, n.start_seconds) for track in written.tracks for n in track.notes)
    got = sorted((key, seconds) for _, key, seconds in onsets(file))
    assert [key for key, _ in wanted] == [key for key, _ in got]
    return max(abs(one[1] - other[1]) for one, other in zip(wanted, got, strict=True))


def metas(file: mido.MidiFile, kind: str) -> list[mido.MetaMessage]:
    """Return the meta messages of a kind in the first track, with absolute ticks as time."""
    tick, found = 0, []
    for message in file.tracks[0]:
        tick += message.time
        if message.type == kind:
            found.append(message.copy(time=tick))
    return found


@st.composite
def pieces(draw: st.DrawFn) -> Sheet:
    """Draw pieces of any tempo, drift, meter and pickup, with notes off the grid."""
    meter, beats_per_bar = draw(
        st.sampled_from([((4, 4), 4), ((3, 4), 3), ((6, 8), 2), ((5, 4), 5), ((12, 8), 4)])
    )
    period = 60.0 / draw(st.floats(30.0, 280.0))
    wander = draw(st.sampled_from([0.0, 0.02, 0.2]))
    steps = draw(st.lists(st.floats(-1.0, 1.0), min_size=3, max_size=40))
    first = period * draw(st.one_of(st.just(0.0), st.floats(0.0, 0.999)))
    lengths = [period * (1.0 + wander * step) for step in steps]
    beats = tuple(np.cumsum([first, *lengths]).tolist())
    starts = draw(st.lists(st.floats(0.0, beats[-1]), min_size=1, max_size=30))
    notes = tuple(
        SheetNote(start, 0.3, 30 + number, 0.5) for number, start in enumerate(sorted(starts))
    )
    return sheet(
        seconds=beats[-1] + max(period, 0.4),
        chords=((0.0, "Am"), (beats[1], "N")),
        beats=beats,
        downbeat=draw(st.integers(0, beats_per_bar - 1)),
        meter=meter,
        beats_per_bar=beats_per_bar,
        tracks=(Track("lead", 80, notes),),
    )


@settings(max_examples=60, deadline=None)
@given(piece=pieces())
def test_every_onset_is_within_a_millisecond_whatever_the_tempo_does(piece: Sheet) -> None:
    assert most_late(piece, opened(piece)) <= MILLISECOND


def test_a_wrong_tempo_map_fails() -> None:
    """Negative control: one tempo of the file is 1 % off."""
    beats = tuple(np.cumsum([0.0, *(0.5 + 0.02 * math.sin(n) for n in range(15))]).tolist())
    piece = sheet(beats=beats)
    right, wrong = opened(piece), opened(piece)
    changed = next(message for message in wrong.tracks[0] if message.type == "set_tempo")
    changed.tempo = round(1.01 * changed.tempo)

    assert most_late(piece, right) <= MILLISECOND
    assert most_late(piece, wrong) > MILLISECOND


@settings(max_examples=60, deadline=None)
@given(piece=pieces())
def test_bars_of_the_file_begin_with_the_bars_of_the_music(piece: Sheet) -> None:
    """From the second one on: a first beat just after the start is counted from the start."""
    file = opened(piece)
    start = metas(file, "time_signature")[-1]
    ticks = 4 * file.ticks_per_beat * piece.meter[0] // piece.meter[1]
    bars = barlines.of(piece)
    first = piece.beats[piece.downbeat + piece.beats_per_bar :: piece.beats_per_bar]
    early = piece.beats[0] >= (piece.beats[1] - piece.beats[0])
    shift = round(1 + start.time / ticks) if early else 1
    places = [(bars.tick_of(beat) - start.time) / ticks for beat in first]

    assert all(abs(place - round(place)) < 0.01 for place in places)
    assert list(range(shift, shift + len(places))) == [round(place) for place in places]


def test_a_steady_pulse_has_one_tempo_and_one_signature() -> None:
    file = opened(sheet())

    assert [500_000] == [message.tempo for message in metas(file, "set_tempo")]
    assert [(4, 4)] == [(m.numerator, m.denominator) for m in metas(file, "time_signature")]


@pytest.mark.parametrize(
    ("first", "downbeat", "signatures"),
    [
        (0.0, 1, [(0, 1, 4), (1, 4, 4)]),
        (0.25, 0, [(0, 1, 8), (0.5, 4, 4)]),
        (0.25, 2, [(0, 5, 8), (2.5, 4, 4)]),
        (0.03, 0, [(0, 4, 4)]),
        (0.03, 3, [(0, 3, 4), (3, 4, 4)]),
    ],
)
def test_a_pickup_is_a_shorter_bar(
    first: float, downbeat: int, signatures: list[tuple[float, int, int]]
) -> None:
    """Given the quarters before it, its numerator and its denominator."""
    beats = tuple(first + 0.5 * number for number in range(12))
    file = opened(sheet(beats=beats, downbeat=downbeat))
    quarter = file.ticks_per_beat

    assert signatures == [
        (m.time / quarter, m.numerator, m.denominator) for m in metas(file, "time_signature")
    ]


def test_a_drifting_pulse_has_a_tempo_for_every_beat() -> None:
    beats = tuple(np.cumsum([0.0, *(0.5 + 0.002 * number for number in range(12))]).tolist())
    file = opened(sheet(beats=beats))
    tempos = [message.tempo for message in metas(file, "set_tempo")]

    assert 12 == len(tempos)
    assert all(slower > faster for faster, slower in pairwise(tempos))


def test_without_a_pulse_no_tempo_is_invented() -> None:
    piece = sheet(beats=(), key=None)
    file = opened(piece)

    assert [] == metas(file, "set_tempo") + metas(file, "time_signature")
    assert [] == metas(file, "key_signature")
    assert most_late(piece, file) <= MILLISECOND
    assert () == midi.decode(midi.encode(piece, title="")).beats


def test_chords_key_and_names_are_written() -> None:
    file = opened(sheet(tracks=(Track("Brummbaß", 33, ()),)))

    assert ["Am", "F", "N.C."] == [message.text for message in metas(file, "marker")]
    assert ["Am"] == [message.key for message in metas(file, "key_signature")]
    assert ["A piece", "Brummbaß"] == [track.name for track in file.tracks]


def test_programs_pan_and_volume_are_set_before_the_first_note() -> None:
    note = (SheetNote(0.0, 1.0, 60, 1.0),)
    file = opened(sheet(tracks=(Track("left", 40, note, pan=-1.0, gain_db=-12.0),)))
    messages = [message for message in file.tracks[1] if not message.is_meta]

    assert 40 == messages[0].program
    assert {7: 50, 10: 1} == {m.control: m.value for m in messages if m.type == "control_change"}
    assert "note_on" == messages[3].type


def test_kits_are_on_channel_ten_and_parts_on_others() -> None:
    note = (SheetNote(0.0, 1.0, 60, 1.0),)
    parts = [Track(f"part {number}", number, note) for number in range(15)]
    file = opened(sheet(tracks=(*parts, Track("drums", 0, note, is_drums=True))))
    channels = [channel for channel, _, _ in onsets(file)]

    assert 16 == len(set(channels))
    assert [9] == [next(m.channel for m in file.tracks[-1] if not m.is_meta)]


def test_more_than_fifteen_parts_share_channels_by_program() -> None:
    note = (SheetNote(0.0, 1.0, 60, 1.0),)
    file = opened(sheet(tracks=[Track(str(number), number // 4, note) for number in range(24)]))
    channels = [next(m.channel for m in track if not m.is_meta) for track in file.tracks[1:]]

    assert [number // 4 for number in range(24)] == channels


def bent(*notes: SheetNote) -> list[mido.Message]:
    """Return the settings and notes of a part of these notes."""
    file = opened(sheet(tracks=(Track("lead", 80, notes),)))
    return [message for message in file.tracks[1] if not message.is_meta]


def test_a_bend_is_the_pitch_wheel_in_a_range_that_holds_it() -> None:
    messages = bent(SheetNote(0.0, 1.0, 60, 0.8, ((0.0, -300.0), (0.5, 0.0))))
    wheel = [message.pitch for message in messages if message.type == "pitchwheel"]
    controls = [(m.control, m.value) for m in messages if m.type == "control_change"]

    assert (6, 3) in controls
    assert -8192 == wheel[0]
    assert 0 == wheel[-1]
    assert 50 == pytest.approx(len(wheel), abs=2)
    assert all(lower < higher for lower, higher in pairwise(wheel))


def test_the_wheel_is_set_before_its_note_and_back_before_the_next() -> None:
    messages = bent(
        SheetNote(0.0, 1.0, 60, 0.8, ((0.0, 0.0), (0.9, 100.0))),
        SheetNote(1.0, 1.0, 62, 0.8),
    )
    kinds = [m.type for m in messages if m.type not in ("control_change", "program_change")]
    last = max(number for number, kind in enumerate(kinds) if kind == "pitchwheel")

    assert "note_on" == kinds[0]
    assert ["note_off", "pitchwheel", "note_on", "note_off"] == kinds[last - 1 :]


def test_notes_that_sound_together_are_not_bent() -> None:
    """A wheel bends a whole channel."""
    bend = ((0.0, 0.0), (0.5, 100.0))
    messages = bent(SheetNote(0.0, 1.0, 60, 0.8, bend), SheetNote(0.5, 1.0, 64, 0.8))

    assert not any(message.type == "pitchwheel" for message in messages)


def test_a_key_that_is_struck_again_while_it_sounds_ends_first() -> None:
    file = opened(
        sheet(
            tracks=(
                Track("x", 0, tuple(SheetNote(start, 2.0, 60, 0.5) for start in (0.0, 1.0, 1.0))),
            )
        )
    )
    kinds = [message.type for message in file.tracks[1] if message.type.startswith("note")]

    assert ["note_on", "note_off", "note_on", "note_off"] == kinds


# Reading


@settings(max_examples=40, deadline=None)
@given(piece=pieces())
def test_what_was_written_is_read_back(piece: Sheet) -> None:
    read = midi.decode(midi.encode(piece, title="x"))

    assert (piece.meter, piece.beats_per_bar, piece.key) == (
        read.meter,
        read.beats_per_bar,
        read.key,
    )
    assert piece.seconds == pytest.approx(read.seconds, abs=MILLISECOND)
    assert [name for _, name in piece.chords] == [name for _, name in read.chords]
    written = sorted(piece.tracks[0].notes, key=lambda note: note.pitch)
    again = sorted(read.tracks[0].notes, key=lambda note: note.pitch)
    assert [note.pitch for note in written] == [note.pitch for note in again]
    for one, other in zip(written, again, strict=True):
        assert one.start_seconds == pytest.approx(other.start_seconds, abs=MILLISECOND)
        assert one.seconds == pytest.approx(other.seconds, abs=2 * MILLISECOND)
        assert one.velocity == pytest.approx(other.velocity, abs=0.005)
    ends = [beat for beat in read.beats if beat >= piece.beats[1] - MILLISECOND]
    assert list(piece.beats[1:]) == pytest.approx(ends[: len(piece.beats) - 1], abs=MILLISECOND)


def test_settings_and_bends_are_read_back() -> None:
    notes = (SheetNote(0.0, 1.0, 60, 0.5, ((0.0, -150.0), (0.4, 0.0))),)
    tracks = (
        Track("lead", 80, notes, pan=-0.5, gain_db=-6.0),
        Track("drums", 25, (SheetNote(0.5, 0.1, 36, 1.0),), is_drums=True),
    )
    lead, drums = midi.decode(midi.encode(sheet(tracks=tracks), title="x")).tracks
    way = lead.notes[0].bend
    seconds, cents = zip(*way, strict=True)

    assert ("lead", 80, False) == (lead.name, lead.program, lead.is_drums)
    assert -0.5 == pytest.approx(lead.pan, abs=0.01)
    assert -6.0 == pytest.approx(lead.gain_db, abs=0.2)
    assert -75.0 == pytest.approx(np.interp(0.2, seconds, cents), abs=5)
    assert ("drums", 25, True) == (drums.name, drums.program, drums.is_drums)
    assert [36] == [note.pitch for note in drums.notes]


@given(data=st.binary(max_size=200))
def test_what_is_no_midi_file_is_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(errors.InvalidInput, match="no MIDI file"):
        midi.decode(data)


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, 400), byte=st.integers(0, 255), cut=st.integers(0, 500))
def test_a_damaged_file_is_read_or_refused(at: int, byte: int, cut: int) -> None:
    """Nothing else is raised."""
    data = bytearray(midi.encode(sheet(), title="x"))
    data[min(at, len(data) - 1)] = byte

    with suppress(errors.InvalidInput):
        midi.decode(bytes(data[: len(data) - cut]))
