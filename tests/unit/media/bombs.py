"""Small files that ask for much: they unpack to hours, or their headers lie about what follows.

Written by code, a field at a time, so that each lie is the only thing wrong with its file.
"""

import gzip
import io
import struct
import zipfile
from collections.abc import Callable, Mapping
from functools import lru_cache

import av
import numpy as np
from av.audio.stream import AudioStream

from tests import music
from tests.unit.media import encoded

HOURS = 10
_RATE = 16_000
_BLOCK = 65_535


def _crc(data: bytes, *, polynomial: int, bits: int) -> int:
    """Return a checksum, highest bit first."""
    top, mask, crc = 1 << (bits - 1), (1 << bits) - 1, 0
    for byte in data:
        crc ^= byte << (bits - 8)
        for _ in range(8):
            crc = ((crc << 1) ^ polynomial if crc & top else crc << 1) & mask
    return crc


def flac_frame(number: int, *, channels: int = 1, samples: int = _BLOCK) -> bytes:
    """Return a frame of digital silence: constants, a few bytes whatever its length."""
    counted = chr(number).encode("utf-8", "surrogatepass")
    head = b"\xff\xf8\x70" + bytes([(channels - 1) << 4]) + counted
    head += struct.pack(">H", samples - 1)
    frame = head + bytes([_crc(head, polynomial=0x07, bits=8)]) + b"\0\0\0" * channels
    return frame + struct.pack(">H", _crc(frame, polynomial=0x8005, bits=16))


def flac(
    frames: int,
    *,
    claimed: int,
    rate: int = _RATE,
    channels: int = 1,
    block: tuple[int, int] = (_BLOCK, _BLOCK),
) -> bytes:
    """Return silence of so many frames, whose header claims so many samples and blocks."""
    facts = rate << 44 | (channels - 1) << 41 | 15 << 36 | claimed
    head = struct.pack(">HH", *block) + bytes(6) + facts.to_bytes(8, "big") + bytes(16)
    body = b"".join(flac_frame(number, channels=channels) for number in range(frames))
    return b"fLaC\x80\0\0\x22" + head + body


FRAMES_OF_HOURS = HOURS * 3600 * _RATE // _BLOCK


@lru_cache
def _hours() -> bytes:
    return flac(FRAMES_OF_HOURS, claimed=FRAMES_OF_HOURS * _BLOCK)


def _hours_that_claim(samples: int) -> bytes:
    data = bytearray(_hours())
    data[18:26] = (_RATE << 44 | 15 << 36 | samples).to_bytes(8, "big")
    return bytes(data)


def wav(data: bytes, *, channels: int, rate: int, claimed: int, tag: int = 1) -> bytes:
    """Return a WAV of 16 bits whose data chunk claims so many bytes."""
    facts = struct.pack("<HHIIHH", tag, channels, rate, rate * channels * 2 & 0xFFFFFFFF, 2, 16)
    head = b"WAVEfmt " + struct.pack("<I", 16) + facts + b"data" + struct.pack("<I", claimed)
    return b"RIFF" + struct.pack("<I", min(claimed + 36, 0xFFFFFFFF)) + head + data


def rf64(data: bytes, *, claimed: int) -> bytes:
    """Return an RF64 file, whose sizes have 64 bits."""
    sizes = struct.pack("<QQQI", claimed, claimed, claimed // 4, 0)
    facts = struct.pack("<HHIIHH", 1, 2, 48_000, 192_000, 4, 16)
    chunks = b"ds64" + struct.pack("<I", len(sizes)) + sizes
    chunks += b"fmt " + struct.pack("<I", 16) + facts + b"data\xff\xff\xff\xff" + data
    return b"RF64\xff\xff\xff\xffWAVE" + chunks


@lru_cache
def _tone(name: str) -> bytes:
    return encoded.by_ffmpeg(music.sine(440, 2.0, sample_rate=48_000), name)


def patched(data: bytes, box: bytes, offset: int, value: bytes) -> bytes:
    """Overwrite bytes that lie so far behind a name, wherever the name is."""
    changed, place = bytearray(data), data.index(box)
    while place >= 0:
        changed[place + len(box) + offset : place + len(box) + offset + len(value)] = value
        place = data.find(box, place + 1)
    return bytes(changed)


def mp4_of_years() -> bytes:
    """Return an MP4 whose headers all say that it lasts for years."""
    data = patched(_tone("m4a"), b"mdhd", 16, b"\x7f\xff\xff\xff")
    data = patched(data, b"mvhd", 16, b"\x7f\xff\xff\xff")
    return patched(data, b"tkhd", 20, b"\x7f\xff\xff\xff")


def mp4_of_samples(count: int) -> bytes:
    """Return an MP4 whose tables say that it has so many samples of one byte."""
    wide = struct.pack(">I", count)
    data = patched(_tone("m4a"), b"stsz", 4, struct.pack(">I", 1) + wide)
    data = patched(data, b"stts", 8, wide)
    return patched(data, b"stsc", 12, wide)


@lru_cache
def _alac(seconds: int) -> bytes:
    """Return silence as ALAC, which FFmpeg decodes."""
    file = io.BytesIO()
    with av.open(file, "w", format="ipod") as container:
        stream = container.add_stream("alac", rate=8000)
        assert isinstance(stream, AudioStream)
        stream.layout = "mono"
        for _ in range(seconds):
            frame = av.AudioFrame.from_ndarray(
                np.zeros((1, 8000), np.int16), format="s16p", layout="mono"
            )
            frame.sample_rate = 8000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def mp3_of_frames(count: int) -> bytes:
    """Return an MP3 whose Xing header counts so many frames."""
    data = _tone("mp3")
    name = b"Xing" if b"Xing" in data else b"Info"
    return patched(data, name, 4, struct.pack(">I", count))


def ogg_until(granule: int, name: str) -> bytes:
    """Return an Ogg stream whose last page lies at that granule position, checksum included."""
    data = bytearray(_tone(name))
    place = data.rindex(b"OggS")
    data[place + 6 : place + 14] = struct.pack("<Q", granule)
    data[place + 22 : place + 26] = bytes(4)
    crc = _crc(bytes(data[place:]), polynomial=0x04C11DB7, bits=32)
    data[place + 22 : place + 26] = struct.pack("<I", crc)
    return bytes(data)


def webm_of_years() -> bytes:
    """Return a WebM whose duration is a number of years."""
    return patched(_tone("webm"), b"\x44\x89\x88", 0, struct.pack(">d", 1e15))


def wav_with_chunk(name: bytes, body: bytes, *, claimed: int) -> bytes:
    """Return a WAV with a chunk before the data that claims so many bytes."""
    plain = wav(bytes(4000), channels=1, rate=8000, claimed=4000)
    return plain[:36] + name + struct.pack("<I", claimed) + body + plain[36:]


def mp3_with_tag(claimed: int) -> bytes:
    """Return an MP3 behind an ID3 tag that claims so many bytes."""
    sevens = bytes(claimed >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + sevens + _tone("mp3")


def zipped() -> bytes:
    """Return an archive with a bomb in it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ten-hours.flac", _hours())
    return file.getvalue()


TOO_LONG: Mapping[str, Callable[[], bytes]] = {
    "ten hours of FLAC": _hours,
    "ten hours that claim to be unknown": lambda: _hours_that_claim(0),
    "ten hours that claim to be centuries": lambda: _hours_that_claim(2**36 - 1),
    "ten hours of eight channels at 655 kHz": lambda: flac(
        HOURS * 360, claimed=0, rate=655_350, channels=8
    ),
    "ten hours of FLAC in blocks that the header denies": lambda: flac(
        FRAMES_OF_HOURS // 10, claimed=0, block=(16, 16)
    ),
    "FLAC that claims centuries and holds a second": lambda: flac(1, claimed=2**36 - 1),
    "ten minutes of ALAC": lambda: _alac(600),
    "an MP3 that claims a billion frames": lambda: mp3_of_frames(2**30),
    "Opus that claims years": lambda: ogg_until(2**46, "opus"),
    "a WebM that claims years": webm_of_years,
}
"""Every one of them is refused as too long: by what it says, or by what comes out of it."""

BOUNDED: Mapping[str, Callable[[], bytes]] = {
    "ten hours that claim to be a second": lambda: _hours_that_claim(_RATE),
    "FLAC in blocks of nothing": lambda: flac(20, claimed=0, block=(0, 0)),
    "a WAV that claims 4 GB": lambda: wav(bytes(4000), channels=2, rate=48_000, claimed=0xFFFFFFFF),
    "a WAV of eight channels at 768 kHz that claims 4 GB": lambda: wav(
        bytes(160_000), channels=8, rate=768_000, claimed=0xFFFFFFF0
    ),
    "a WAV of 65535 channels": lambda: wav(bytes(4000), channels=65_535, rate=8000, claimed=4000),
    "a WAV of 1024 channels": lambda: wav(bytes(8192), channels=1024, rate=8000, claimed=8192),
    "an RF64 that claims exabytes": lambda: rf64(bytes(4000), claimed=2**62),
    "a WAV with a list of 4 GB": lambda: wav_with_chunk(b"LIST", b"INFO", claimed=0xFFFFFFF0),
    "a WAV with a billion cue points": lambda: wav_with_chunk(
        b"cue ", struct.pack("<I", 2**30), claimed=4
    ),
    "an MP4 that claims years": mp4_of_years,
    "an MP4 of a hundred million samples": lambda: mp4_of_samples(100_000_000),
    "an MP4 of two billion samples": lambda: mp4_of_samples(2**31 - 1),
    "an MP3 that claims one frame": lambda: mp3_of_frames(1),
    "an MP3 behind a tag of 256 MB": lambda: mp3_with_tag(2**28 - 1),
    "Opus that claims to end before it begins": lambda: ogg_until(0, "opus"),
    "a thousand Ogg streams one behind the other": lambda: _tone("opus") * 1000,
    "a ten-hour FLAC in an archive": zipped,
    "a gzipped FLAC": lambda: gzip.compress(_hours()),
    "WavPack": lambda: b"wvpk" + bytes(1000),
}
"""Refused for another reason, or read for as long as they last: never more than that."""
