"""What a WAV file says to sequencers and samplers: tempo, key, loop, markers, loudness.

`acid` is what loop browsers read, `smpl` what samplers read, `cue ` and its labels are markers, and
`bext` is the broadcast wave extension of EBU Tech 3285, version 2. No chunk touches the samples.
Knows bytes and musical facts; where the facts come from it does not know.
"""

import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from server.media.key import Key

LOOP_TOLERANCE_SECONDS = 0.020
"""A clip this near to a whole number of beats is cut as a loop."""

LARGEST_BYTES = 2**32 - 1
"""Sizes in a WAV file have 32 bits; what is larger has to be RF64, which is not written here."""

NO_CHORD = "N.C."

_MOST_MARKERS = 999
_SIZE_OF_HEADER = 12
_MIDDLE_C = 60

_ONE_SHOT, _HAS_ROOT, _STRETCHES = 0x01, 0x02, 0x04
_ACID = struct.Struct("<IHHfIHHf")
_SMPL = struct.Struct("<9I")
_SMPL_LOOP = struct.Struct("<6I")
_CUE_POINT = struct.Struct("<II4sIII")
_BEXT = struct.Struct("<256s32s32s10s8sIIH64s5h180s")
_UNKNOWN_LOUDNESS = 0x7FFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Music:
    """What is known of the music in a file; nothing that was not heard.

    Attributes:
        bpm: beats a minute, None where no tempo was heard.
        is_steady: whether that tempo holds throughout; only then can a file be a loop.
        meter: beats a bar and the note value of one, as it is printed.
        key: None where none was heard.
        markers: seconds and names, by time.
    """

    bpm: float | None = None
    is_steady: bool = True
    meter: tuple[int, int] = (4, 4)
    key: Key | None = None
    markers: tuple[tuple[float, str], ...] = ()

    def loop_beats(self, seconds: float) -> int | None:
        """Return of how many beats so long a clip is a loop, None where it is none."""
        if self.bpm is None or not self.is_steady:
            return None
        beats = round(seconds * self.bpm / 60)
        is_whole = abs(beats * 60 / self.bpm - seconds) <= LOOP_TOLERANCE_SECONDS
        return beats if beats and is_whole else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Broadcast:
    """Who made a file, when and how, and how loud it is.

    Attributes:
        description: what it is; 256 ASCII characters are kept.
        originator: who made it; 32 are kept.
        made_on: the day; None leaves it open.
        loudness_lufs: integrated loudness, None where it is not known.
        true_peak_db: in dBTP, None where it is not known.
        coding_history: how the sound came to be, one line a step.
    """

    description: str = ""
    originator: str = ""
    made_on: date | None = None
    loudness_lufs: float | None = None
    true_peak_db: float | None = None
    coding_history: str = ""


# Files


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each chunk of a WAV file, where its content begins and its size."""
    place = _SIZE_OF_HEADER
    while place + 8 <= len(data):
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        yield data[place : place + 4], place + 8, size
        place += 8 + size + size % 2


def with_chunks(data: bytes, added: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return a WAV file with more chunks, by name and content, in front of its samples.

    Raises:
        ValueError: it is no WAV file with samples, or would be larger than its sizes can say.
    """
    if data[:4] != b"RIFF" or data[8:_SIZE_OF_HEADER] != b"WAVE":
        raise ValueError("only RIFF WAVE files can be given chunks")
    samples_at = next((start - 8 for name, start, _ in chunks(data) if name == b"data"), None)
    if samples_at is None:
        raise ValueError("there are no samples in this file")
    more = b"".join(chunk(name, content) for name, content in added)
    tail = data[samples_at:]
    size = checked_size(samples_at + len(more) + len(tail) + len(tail) % 2)
    head = data[:4] + (size - 8).to_bytes(4, "little") + data[8:samples_at]
    return b"".join((head, more, tail, b"\x00" * (len(tail) % 2)))


def checked_size(size: int) -> int:
    """Return the size of a file. Raises `ValueError` where a WAV file cannot be so large."""
    if size - 8 > LARGEST_BYTES:
        raise ValueError("a WAV file cannot be larger than 4 GiB")
    return size


def chunk(name: bytes, content: bytes) -> bytes:
    """Return a chunk, padded to an even length as all of them."""
    return name + len(content).to_bytes(4, "little") + content + b"\x00" * (len(content) % 2)


def described(
    data: bytes, music: Music, broadcast: Broadcast, *, length: int, sample_rate: int
) -> bytes:
    """Return a WAV file of `length` samples a channel that says all this.

    Raises:
        ValueError: as `with_chunks`.
    """
    seconds = length / sample_rate
    added = [(b"bext", bext(broadcast))]
    if music.bpm is not None:
        added.append((b"acid", acid(music, seconds)))
    if music.loop_beats(seconds) is not None:
        added.append((b"smpl", smpl(music.key, length=length, sample_rate=sample_rate)))
    if places := _places(music.markers, length, sample_rate):
        added += [(b"cue ", cue([place for place, _ in places]))]
        added += [(b"LIST", labels([name for _, name in places]))]
    return with_chunks(data, added)


def _places(
    markers: Iterable[tuple[float, str]], length: int, sample_rate: int
) -> list[tuple[int, str]]:
    """Return the markers within a file, in samples."""
    placed = [(round(seconds * sample_rate), name) for seconds, name in markers]
    return [(place, name) for place, name in placed if 0 <= place < length][:_MOST_MARKERS]


# Chunks


def acid(music: Music, seconds: float) -> bytes:
    """Return tempo, beats, meter, root note and whether a clip is a loop.

    A loop is stretched to a song's tempo, a one-shot is not.

    Raises:
        ValueError: no tempo is known.
    """
    if music.bpm is None:
        raise ValueError("an acid chunk needs a tempo")
    loop_beats = music.loop_beats(seconds)
    flags = _ONE_SHOT if loop_beats is None else _STRETCHES
    flags |= _HAS_ROOT if music.key is not None else 0
    beats = loop_beats or round(seconds * music.bpm / 60)
    numerator, denominator = music.meter
    root = root_note(music.key)
    return _ACID.pack(flags, root, 0x8000, 0.0, beats, denominator, numerator, music.bpm)


def root_note(key: Key | None) -> int:
    """Return a key's tonic in the octave of middle C, and middle C itself where none is known."""
    return _MIDDLE_C + (key.tonic if key is not None else 0)


def smpl(key: Key | None, *, length: int, sample_rate: int) -> bytes:
    """Return a loop over the whole file; the last sample of a loop is played."""
    period_nanoseconds = round(1e9 / sample_rate)
    head = _SMPL.pack(0, 0, period_nanoseconds, root_note(key), 0, 0, 0, 1, 0)
    return head + _SMPL_LOOP.pack(0, 0, 0, length - 1, 0, 0)


def cue(places: Sequence[int]) -> bytes:
    """Return markers at these samples; they are numbered from 1."""
    points = (
        _CUE_POINT.pack(number, place, b"data", 0, 0, place)
        for number, place in enumerate(places, start=1)
    )
    return len(places).to_bytes(4, "little") + b"".join(points)


def labels(names: Sequence[str]) -> bytes:
    """Return what the markers of `cue` are called."""
    texts = (
        chunk(b"labl", number.to_bytes(4, "little") + _ascii(name) + b"\x00")
        for number, name in enumerate(names, start=1)
    )
    return b"adtl" + b"".join(texts)


def bext(broadcast: Broadcast) -> bytes:
    """Return a broadcast extension; its time reference is 0: a file begins where its song does."""
    day = broadcast.made_on.isoformat() if broadcast.made_on else ""
    fixed = _BEXT.pack(
        _ascii(broadcast.description),
        _ascii(broadcast.originator),
        b"",
        day.encode("ascii"),
        b"",  # the time of day is left open, so that the same sound is the same file all day
        0,
        0,
        2,
        b"",
        _hundredths(broadcast.loudness_lufs),
        _UNKNOWN_LOUDNESS,
        _hundredths(broadcast.true_peak_db),
        _UNKNOWN_LOUDNESS,
        _UNKNOWN_LOUDNESS,
        b"",
    )
    history = "".join(f"{line}\r\n" for line in broadcast.coding_history.splitlines())
    return fixed + _ascii(history)


def _hundredths(decibels: float | None) -> int:
    if decibels is None or not math.isfinite(decibels):
        return _UNKNOWN_LOUDNESS
    return round(max(-9999.0, min(100 * decibels, 9999.0)))


def _ascii(text: str) -> bytes:
    return text.encode("ascii", "replace")
