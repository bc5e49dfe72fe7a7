"""Sheets as MIDI files, and MIDI files as sheets.

Standard MIDI file, format 1: the first track has tempos, signatures and chords, every other one a
part. Sample 0 of the sound is tick 0, and every onset is within a millisecond of where it sounds.
Knows nothing of engines.
"""

import io
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

import mido
import numpy as np

from server.media import barlines, general_midi
from server.media.barlines import QUARTER, Barlines
from server.media.general_midi import CHANNELS, DRUM_CHANNEL
from server.media.midi_reading import decode
from server.media.sheet import Sheet, SheetNote, Track

__all__ = ["decode", "encode"]

_BEND_SECONDS = 0.01
_SMALLEST_RANGE, _LARGEST_RANGE = 2, 24
_OVERLAP_SECONDS = 0.05
"""A note that ends this late still leaves the next one to bend alone, as in a slur."""

# When several messages have one tick: notes end, then settings change, then notes begin.
_ENDS, _SETS, _BEGINS = range(3)

Event = tuple[int, int, mido.Message | mido.MetaMessage]
"""A tick, its turn among others of that tick, and the message."""


def encode(sheet: Sheet, *, title: str) -> bytes:
    """Return a sheet as a MIDI file.

    Two notes of one key that begin on the same tick are one; where they overlap, the first one ends
    as the second begins. Bends are written for parts that play one note at a time.
    """
    bars = barlines.of(sheet)
    file = mido.MidiFile(type=1, ticks_per_beat=QUARTER, charset="utf-8")
    file.tracks.append(_track(_conductor(sheet, bars, title), bars.tick_of(sheet.seconds)))
    channels = _channels(sheet.tracks)
    shared = Counter(channels)
    for part, channel in zip(sheet.tracks, channels, strict=True):
        events = _part(part, channel, bars, bends=shared[channel] == 1)
        file.tracks.append(_track(events, 0))
    written = io.BytesIO()
    file.save(file=written)
    return written.getvalue()


def _track(events: Iterable[Event], end: int) -> mido.MidiTrack:
    """Return events by time, each so many ticks after the one before, up to `end` at least."""
    track, before = mido.MidiTrack(), 0
    for tick, _, message in sorted(events, key=lambda event: event[:2]):
        track.append(message.copy(time=tick - before))
        before = tick
    track.append(mido.MetaMessage("end_of_track", time=max(0, end - before)))
    return track


def _conductor(sheet: Sheet, bars: Barlines, title: str) -> Iterator[Event]:
    yield 0, _ENDS, mido.MetaMessage("track_name", name=title)
    for tick, (number, value) in bars.signatures:
        click = 36 if general_midi.is_compound((number, value)) else 96 // value
        signature = mido.MetaMessage(
            "time_signature", numerator=number, denominator=value, clocks_per_click=click
        )
        yield tick, _SETS, signature
    for tempo in bars.tempos if bars.has_pulse else ():
        yield tempo.tick, _SETS, mido.MetaMessage("set_tempo", tempo=tempo.quarter)
    if sheet.key is not None:
        yield 0, _SETS, mido.MetaMessage("key_signature", key=general_midi.KEYS[sheet.key])
    for seconds, name in sheet.chords:
        text = general_midi.NO_CHORD if name == "N" else name
        yield bars.tick_of(seconds), _BEGINS, mido.MetaMessage("marker", text=text)


def _channels(tracks: Sequence[Track]) -> list[int]:
    """Return the channel of each track: its own while there are enough, else its program's."""
    pitched = [number for number, track in enumerate(tracks) if not track.is_drums]
    names = {
        number: tracks[number].program if len(pitched) > len(CHANNELS) else number
        for number in pitched
    }
    order = {name: place for place, name in enumerate(dict.fromkeys(names.values()))}
    return [
        DRUM_CHANNEL if track.is_drums else CHANNELS[order[names[number]] % len(CHANNELS)]
        for number, track in enumerate(tracks)
    ]


# One part


def _part(part: Track, channel: int, bars: Barlines, *, bends: bool) -> Iterator[Event]:
    yield 0, _ENDS, mido.MetaMessage("track_name", name=part.name)
    for message in _setup(part, channel):
        yield 0, _SETS, message
    yield from _notes(part, channel, bars)
    if bends and any(note.bend for note in part.notes):
        yield from _bends(part, channel, bars)


def _setup(part: Track, channel: int) -> Iterator[mido.Message]:
    volume = round(general_midi.ORDINARY_VOLUME * 10.0 ** (part.gain_db / 40.0))
    yield mido.Message("program_change", channel=channel, program=part.program)
    yield _control(channel, general_midi.VOLUME, volume)
    yield _control(channel, general_midi.PAN, round(64 + 63 * part.pan))


def _control(channel: int, number: int, value: int) -> mido.Message:
    bounded = min(max(value, 0), 127)
    return mido.Message("control_change", channel=channel, control=number, value=bounded)


def _notes(part: Track, channel: int, bars: Barlines) -> Iterator[Event]:
    by_key: dict[int, dict[int, SheetNote]] = {}
    for note in sorted(part.notes, key=lambda note: (note.start_seconds, -note.velocity)):
        by_key.setdefault(note.pitch, {}).setdefault(bars.tick_of(note.start_seconds), note)
    for pitch, by_tick in by_key.items():
        starts = sorted(by_tick)
        for start, following in zip(starts, [*starts[1:], None], strict=True):
            note = by_tick[start]
            end = max(bars.tick_of(note.start_seconds + note.seconds), start + 1)
            end = end if following is None else min(end, following)
            velocity = min(max(round(127 * note.velocity), 1), 127)
            on = mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)
            yield start, _BEGINS, on
            yield end, _ENDS, mido.Message("note_off", channel=channel, note=pitch, velocity=64)


def _bends(part: Track, channel: int, bars: Barlines) -> Iterator[Event]:
    """Yield the range of the pitch wheel and its way; it is back in the middle for other notes."""
    notes = sorted(part.notes, key=lambda note: note.start_seconds)
    alone = _alone(notes)
    most = max(abs(cents) for note in notes for _, cents in note.bend)
    semitones = min(max(math.ceil(most / 100), _SMALLEST_RANGE), _LARGEST_RANGE)
    for message in _range(channel, semitones):
        yield 0, _SETS, message
    wheel = 0
    for note, is_alone in zip(notes, alone, strict=True):
        for seconds, cents in _way(note) if is_alone else [(0.0, 0.0)]:
            wanted = _wheel(cents, semitones)
            if wanted != wheel:
                tick = bars.tick_of(note.start_seconds + seconds)
                yield tick, _SETS, mido.Message("pitchwheel", channel=channel, pitch=wanted)
                wheel = wanted


def _alone(notes: Sequence[SheetNote]) -> list[bool]:
    """Return of each note whether no other sounds with it but for a slur."""
    starts = [note.start_seconds for note in notes]
    ends = [note.start_seconds + note.seconds for note in notes]
    before = [-math.inf, *accumulate(ends[:-1], max)]
    after = [*starts[1:], math.inf]
    return [
        earlier <= start + _OVERLAP_SECONDS and end <= later + _OVERLAP_SECONDS
        for start, end, earlier, later in zip(starts, ends, before, after, strict=True)
    ]


def _range(channel: int, semitones: int) -> Iterator[mido.Message]:
    """Yield what sets the range of the pitch wheel, and what leaves that setting alone after."""
    numbers = (
        (101, 0),
        (100, 0),
        (general_midi.DATA_ENTRY, semitones),
        (38, 0),
        (101, 127),
        (100, 127),
    )
    for number, value in numbers:
        yield _control(channel, number, value)


def _way(note: SheetNote) -> list[tuple[float, float]]:
    """Return where a note's bend is every hundredth of a second: seconds after its start, cents."""
    if not note.bend:
        return [(0.0, 0.0)]
    times, cents = zip(*note.bend, strict=True)
    last = min(max(times), note.seconds)
    steps = np.linspace(0.0, last, max(2, round(last / _BEND_SECONDS) + 1))
    return list(zip(steps.tolist(), np.interp(steps, times, cents).tolist(), strict=True))


def _wheel(cents: float, semitones: int) -> int:
    wanted = round(cents / (100 * semitones) * general_midi.BEND_CENTRE)
    return min(max(wanted, -general_midi.BEND_CENTRE), general_midi.BEND_CENTRE - 1)
