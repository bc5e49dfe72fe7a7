"""MIDI files as sheets: what was written, back in seconds.

Reads any standard file; of those that `midi.encode` wrote nothing is lost but what a file cannot
hold: the last bits of times, velocities and gains. Knows nothing of engines.
"""

import io
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import mido

from server import errors
from server.media import general_midi
from server.media.general_midi import Signature
from server.media.key import Key
from server.media.sheet import Sheet, SheetNote, Track

_DEFAULT_TEMPO = 500_000
_COMMON_TIME: Signature = (4, 4)
_KEYS = {name: key for key, name in general_midi.KEYS.items()}
_SHORTEST_SECONDS = 1e-3
_BROKEN = (
    mido.KeySignatureError,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    ArithmeticError,
    TypeError,
)
"""What the library raises at files that are not as they should be."""

Event = tuple[int, mido.Message | mido.MetaMessage]
"""A tick and what is there."""


def decode(data: bytes) -> Sheet:
    """Return the parts, beats and chords of a MIDI file.

    There are beats only where a tempo is written.

    Raises:
        errors.InvalidInput: it is no MIDI file, or a broken one.
    """
    try:
        file = mido.MidiFile(file=io.BytesIO(data), charset="utf-8")
        return _sheet([list(_absolute(track)) for track in file.tracks], file.ticks_per_beat)
    except _BROKEN as broken:
        raise errors.InvalidInput("The notes could not be read: this is no MIDI file.") from broken


def _sheet(tracks: list[list[Event]], per_quarter: int) -> Sheet:
    clock = _clock(tracks, per_quarter)
    signatures = _signatures(tracks)
    end = max((track[-1][0] for track in tracks if track), default=0)
    beats, downbeat = _beats(clock, signatures, end) if clock.has_tempo else ((), 0)
    meter = signatures[-1][1]
    return Sheet(
        seconds=clock.seconds_of(end),
        beats=beats,
        downbeat=downbeat,
        meter=meter,
        beats_per_bar=_beats_per_bar(meter),
        key=_key(tracks),
        chords=_chords(tracks, clock),
        tracks=tuple(part for track in tracks if (part := _part(track, clock)) is not None),
    )


def _absolute(track: mido.MidiTrack) -> Iterator[Event]:
    tick = 0
    for message in track:
        tick += message.time
        yield tick, message


def _all(tracks: Sequence[Sequence[Event]], kind: str) -> list[Event]:
    """Return the events of a kind in all tracks, by time."""
    found = [event for track in tracks for event in track if event[1].type == kind]
    return sorted(found, key=lambda event: event[0])


@dataclass(frozen=True, slots=True)
class _Clock:
    """Ticks as seconds: where tempos begin, in both, and microseconds a quarter."""

    ticks: tuple[int, ...]
    seconds: tuple[float, ...]
    tempos: tuple[int, ...]
    per_quarter: int
    has_tempo: bool

    def seconds_of(self, tick: float) -> float:
        at = max(0, bisect_right(self.ticks, tick) - 1)
        passed = (tick - self.ticks[at]) * self.tempos[at] / 1e6 / self.per_quarter
        return self.seconds[at] + passed


def _clock(tracks: Sequence[Sequence[Event]], per_quarter: int) -> _Clock:
    changes = _all(tracks, "set_tempo")
    ticks, tempos, seconds = [0], [_DEFAULT_TEMPO], [0.0]
    for tick, message in changes:
        passed = (tick - ticks[-1]) * tempos[-1] / 1e6 / per_quarter
        ticks.append(tick)
        tempos.append(message.tempo)
        seconds.append(seconds[-1] + passed)
    return _Clock(tuple(ticks), tuple(seconds), tuple(tempos), per_quarter, bool(changes))


def _signatures(tracks: Sequence[Sequence[Event]]) -> list[tuple[int, Signature]]:
    found = _all(tracks, "time_signature")
    written = [(tick, (each.numerator, each.denominator)) for tick, each in found]
    return written or [(0, _COMMON_TIME)]


def _beats_per_bar(meter: Signature) -> int:
    return meter[0] // 3 if general_midi.is_compound(meter) else meter[0]


def _key(tracks: Sequence[Sequence[Event]]) -> Key | None:
    names = [message.key for _, message in _all(tracks, "key_signature")]
    return _KEYS.get(names[0]) if names else None


def _chords(tracks: Sequence[Sequence[Event]], clock: _Clock) -> tuple[tuple[float, str], ...]:
    return tuple(
        (clock.seconds_of(tick), "N" if each.text == general_midi.NO_CHORD else each.text)
        for tick, each in _all(tracks, "marker")
    )


def _beats(
    clock: _Clock, signatures: Sequence[tuple[int, Signature]], end: int
) -> tuple[tuple[float, ...], int]:
    """Return the beats in the piece, and how many are before the first whole bar."""
    first, meter = signatures[-1]
    beat = clock.per_quarter * 4 * meter[0] / meter[1] / _beats_per_bar(meter)
    before = int(first / beat)
    after = int((end - first) / beat)
    beats = [clock.seconds_of(first + number * beat) for number in range(-before, after + 1)]
    return tuple(beats), before


# One part


@dataclass(slots=True)
class _Player:
    """What a channel is set to, and what it has played, while a track is read."""

    program: int = 0
    volume: int = general_midi.ORDINARY_VOLUME
    pan: int = 64
    semitones: int = 2
    held: dict[int, list[tuple[int, float]]] = field(default_factory=dict)
    notes: list[tuple[int, int, int, float]] = field(default_factory=list)
    wheel: list[tuple[int, float]] = field(default_factory=list)

    def take(self, tick: int, message: mido.Message) -> None:
        match message.type:
            case "program_change":
                self.program = message.program
            case "control_change":
                self._control(message.control, message.value)
            case "pitchwheel":
                cents = 100.0 * self.semitones * message.pitch / general_midi.BEND_CENTRE
                self.wheel.append((tick, cents))
            case "note_on" if message.velocity > 0:
                self.held.setdefault(message.note, []).append((tick, message.velocity / 127))
            case "note_on" | "note_off":
                for start, velocity in self.held.pop(message.note, []):
                    self.notes.append((start, tick, message.note, velocity))

    def _control(self, number: int, value: int) -> None:
        if number == general_midi.VOLUME:
            self.volume = value
        elif number == general_midi.PAN:
            self.pan = value
        elif number == general_midi.DATA_ENTRY:
            self.semitones = max(1, value)


def _part(track: Sequence[Event], clock: _Clock) -> Track | None:
    """Return what a track plays; None where it is no part at all."""
    player, name, channels = _Player(), "", set()
    for tick, message in track:
        if message.type == "track_name":
            name = message.name
        elif not message.is_meta and hasattr(message, "channel"):
            channels.add(message.channel)
            player.take(tick, message)
    if not channels:
        return None
    return Track(
        name=name,
        program=player.program,
        notes=tuple(_note(each, player.wheel, clock) for each in sorted(player.notes)),
        is_drums=general_midi.DRUM_CHANNEL in channels,
        pan=(player.pan - 64) / 63,
        gain_db=40.0 * math.log10(max(player.volume, 1) / general_midi.ORDINARY_VOLUME),
    )


def _note(
    played: tuple[int, int, int, float], wheel: Sequence[tuple[int, float]], clock: _Clock
) -> SheetNote:
    start, end, pitch, velocity = played
    begins = clock.seconds_of(start)
    at = bisect_right(wheel, start, key=lambda move: move[0])
    inside = [(start, wheel[at - 1][1])] if at else []
    inside += [move for move in wheel[at:] if move[0] < end]
    bend = tuple((clock.seconds_of(tick) - begins, cents) for tick, cents in inside)
    return SheetNote(
        start_seconds=begins,
        seconds=max(clock.seconds_of(end) - begins, _SHORTEST_SECONDS),
        pitch=pitch,
        velocity=velocity,
        bend=bend if any(cents for _, cents in bend) else (),
    )
