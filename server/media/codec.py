"""Files to clips and back.

What a file claims is never believed: its format is told from its bytes, its length from what comes
out of the decoder, and limits hold while decoding, so that a small file cannot fill the memory.

A file cut short gives what is there wherever its codec cannot tell (WAV, AIFF, MP3, Ogg); where the
codec says that data is missing (FLAC, AAC, an MP4 without its index) it is unreadable.
Messages are written for musicians: nothing of a library or a path gets into them.
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from server import errors
from server.media import formats, sources
from server.media.clip import Clip, Samples
from server.media.formats import Format

if TYPE_CHECKING:
    import soundfile

Writable = Literal["wav", "flac", "mp3", "ogg"]
Subtype = Literal["PCM_16", "PCM_24", "FLOAT"]

MOST_SAMPLES = 120_000_000
"""Samples of all channels together that are ever decoded; twenty minutes of 48 kHz stereo."""

TAGS = ("title", "artist", "album", "comment", "date", "genre", "license", "copyright", "software")
"""What may be written into a file beside the sound, where its format has a place for it."""

_SLOWEST, _FASTEST = 1_000, 768_000
_LOUDEST = 1_000.0
_CODEC_TAIL = 4_096
_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_WRITTEN_AT_ONCE = 1 << 15
_WHOLE_NUMBERS: tuple[tuple[Subtype, int], ...] = (("PCM_16", 16), ("PCM_24", 24))
_COMPRESSION: dict[str, dict[str, float | str]] = {
    "mp3": {"compression_level": 0.2, "bitrate_mode": "CONSTANT"},
    "ogg": {"compression_level": 0.3},
}
"""libsndfile's scale, 0 the best; about 256 kbit/s of MP3 and quality 7 of Vorbis."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a file says of itself.

    Attributes:
        format: an entry of `formats.FORMATS`.
        channels: how many.
        sample_rate: in Hz.
        length: samples a channel, or None where the header does not tell.
        is_exact: whether `length` counts samples, rather than coming from a rounded duration.
    """

    format: Format
    channels: int
    sample_rate: int
    length: int | None
    is_exact: bool

    @property
    def media_type(self) -> str:
        """For `Content-Type`."""
        return self.format.media_type

    @property
    def seconds(self) -> float | None:
        """Duration, or None where the header does not tell."""
        return None if self.length is None else self.length / self.sample_rate


# Reading


def probe(data: bytes | Path) -> Probe:
    """Read a file's header without decoding it.

    Raises:
        errors.UnsupportedMedia: it is certainly no audio.
        errors.UnreadableAudio: it is nothing known, or damaged.
    """
    with opened(data) as (format_, source):
        return Probe(format_, source.channels, source.sample_rate, source.length, source.is_exact)


def decode(
    data: bytes | Path, *, max_seconds: float | None = None, max_samples: int = MOST_SAMPLES
) -> Clip:
    """Decode a whole file.

    Compressed files come back at their true length where the file tells it: MP3 without the delay
    of its encoder, AAC without the padding of its last frame.

    Raises:
        errors.TooLong: there is more than `max_seconds`, or than `max_samples` in all channels
        together. errors.UnsupportedMedia: it is certainly no audio. errors.UnreadableAudio: it is
        nothing known, damaged, empty, or its samples are not finite.
    """
    with opened(data) as (_, source):
        blocks = sound_blocks(source, max_seconds=max_seconds, max_samples=max_samples)
        return clip_of(blocks, source)


def sound_blocks(
    source: sources.Source, *, max_seconds: float | None = None, max_samples: int = MOST_SAMPLES
) -> Iterator[sources.Block]:
    """Yield the blocks `[n, C]` of an opened file while they are sound and few enough.

    Raises:
        errors.TooLong: there is more than `max_seconds`, or than `max_samples` in all channels
        together. errors.UnreadableAudio: damage, or values that are not finite.
    """
    most = most_samples(source, max_seconds=max_seconds, max_samples=max_samples)
    tail = _CODEC_TAIL if source.length is not None and source.length <= most else 0
    total = 0
    for block in source.blocks:
        total += block.shape[0]
        if total > most + tail:
            raise too_long(most / source.sample_rate)
        if not _is_sound(block):
            raise errors.UnreadableAudio("The audio contains values that are not sound.")
        yield block


def _is_sound(block: sources.Block) -> bool:
    """Whether every value is a number of a size that sound may have; NaN is neither extreme."""
    loudest, quietest = block.max(initial=0.0), block.min(initial=0.0)
    return bool(loudest < _LOUDEST and quietest > -_LOUDEST)


def most_samples(source: sources.Source, *, max_seconds: float | None, max_samples: int) -> int:
    """Return how many samples a channel may have."""
    most = max_samples // source.channels
    return most if max_seconds is None else min(most, round(max_seconds * source.sample_rate))


def too_long(seconds: float) -> errors.TooLong:
    """Return the refusal of what is longer than that."""
    return errors.TooLong(f"The audio is longer than the {seconds:g} seconds allowed here.")


def true_length(total: int, source: sources.Source) -> int:
    """Return the samples a channel that are sound, of `total` that came out of the decoder.

    Raises:
        errors.UnreadableAudio: there are none.
    """
    if not total:
        raise errors.UnreadableAudio("There is no sound in this file.")
    is_padded = source.length is not None and 0 < total - source.length <= _CODEC_TAIL
    return source.length or total if is_padded else total


def clip_of(blocks: Iterable[sources.Block], source: sources.Source) -> Clip:
    """Gather the blocks `[n, C]` of a file; at its peak this takes twice what the clip takes.

    Raises:
        errors.UnreadableAudio: there are none.
    """
    rows = [np.ascontiguousarray(block.T) for block in blocks]
    length = true_length(sum(each.shape[1] for each in rows), source)
    samples = np.concatenate(rows, axis=1)[:, :length]
    return Clip(np.ascontiguousarray(samples), source.sample_rate)


@contextmanager
def opened(data: bytes | Path) -> Iterator[tuple[Format, sources.Source]]:
    """Open a file by what its first bytes say.

    Raises:
        errors.UnsupportedMedia: it is certainly no audio.
        errors.UnreadableAudio: it is nothing known, or damaged; also while its blocks are read.
    """
    with _file(data) as file:
        format_ = formats.sniff(file.read(formats.SNIFFED_BYTES))
        file.seek(0)
        with _reader(file, format_) as source:
            if not _SLOWEST <= source.sample_rate <= _FASTEST or not source.channels:
                raise errors.UnreadableAudio("The audio has no usable sample rate.")
            yield format_, source


@contextmanager
def _file(data: bytes | Path) -> Iterator[io.BufferedIOBase]:
    if isinstance(data, bytes):
        yield io.BytesIO(data)
        return
    try:
        file = data.open("rb")
    except OSError as missing:
        raise errors.UnreadableAudio from missing
    with file:
        yield file


def _reader(file: io.BufferedIOBase, format_: Format) -> AbstractContextManager[sources.Source]:
    """Choose the library: libsndfile, and FFmpeg only for what that does not know."""
    if format_.name not in ("m4a", "webm", "aac"):
        from server.media import sndfile  # noqa: PLC0415 - megabytes that an idle process spares

        return sndfile.opened(file)
    from server.media import containers  # noqa: PLC0415 - a hundred megabytes that few files need

    return containers.opened(file, format_.name)


# Writing


def encode(
    clip: Clip,
    fmt: Writable,
    *,
    subtype: Subtype = "PCM_16",
    tags: Mapping[str, str] | None = None,
    compression: float | None = None,
) -> bytes:
    """Return the clip as a file.

    `compression` is how small an MP3 or Ogg file gets, from 0 (the best) to 1; None is ours.

    WAV and FLAC hold integers of `subtype` (`FLOAT` is for WAV alone): the nearest step, halves to
    even, clipped at full scale, and no dither, so that the same clip gives the same bytes and a
    decoded 16-bit file comes back bit for bit. MP3 has at most two channels and the rates of its
    standard; another rate is resampled to the next higher one, or to 48 kHz.

    Raises:
        ValueError: the samples are not finite, there are none, or FLAC should hold floats.
    """
    if not clip.length or not np.isfinite(clip.samples).all():
        raise ValueError("only finite samples, and at least one, can be written")
    import soundfile  # noqa: PLC0415 - megabytes that an idle process does without

    from server.media import resample  # noqa: PLC0415 - the same

    if fmt == "mp3":
        clip = resample.resample(clip, _mp3_rate(clip.sample_rate))
        clip = clip.as_stereo() if clip.channels > 2 else clip
    file = io.BytesIO()
    with soundfile.SoundFile(
        file, "w", clip.sample_rate, clip.channels, **_container(fmt, subtype, compression)
    ) as sound:
        for name, text in (tags or {}).items():
            if name in TAGS and one_line(text):  # libsndfile refuses empty ones
                setattr(sound, name, one_line(text))
        _write(sound, clip.samples, subtype if fmt in ("wav", "flac") else "FLOAT")
    return file.getvalue()


def exact_subtype(clip: Clip) -> Subtype:
    """Return the shortest coding of a WAV file from which the clip comes back bit for bit."""
    for subtype, bits in _WHOLE_NUMBERS:
        starts = range(0, clip.length, _WRITTEN_AT_ONCE)
        blocks = (clip.samples[:, start : start + _WRITTEN_AT_ONCE] for start in starts)
        if all(_are_steps(block, bits) for block in blocks):
            return subtype
    return "FLOAT"


def _are_steps(samples: Samples, bits: int) -> bool:
    """Whether all samples are whole numbers of that many bits."""
    full = 1 << (bits - 1)
    steps = samples.astype(np.float64) * full
    return bool(((steps >= -full) & (steps < full)).all() and np.array_equal(steps, np.rint(steps)))


def _mp3_rate(sample_rate: int) -> int:
    return next((rate for rate in _MP3_RATES if rate >= sample_rate), _MP3_RATES[-1])


def _container(
    fmt: Writable, subtype: Subtype, compression: float | None
) -> dict[str, float | str]:
    """Return libsndfile's names for what is to be written."""
    chosen = {} if compression is None else {"compression_level": compression}
    subtypes = {"mp3": "MPEG_LAYER_III", "ogg": "VORBIS"}
    return {
        "format": fmt.upper(),
        "subtype": subtypes.get(fmt, subtype),
        **_COMPRESSION.get(fmt, {}),
        **chosen,
    }


def one_line(text: str) -> str:
    """Return printable text of a sensible length: tags end up in other people's players."""
    return "".join(each if each.isprintable() else " " for each in text)[:500].strip()


def _write(sound: "soundfile.SoundFile", samples: Samples, subtype: Subtype) -> None:
    """Write in pieces: libvorbis overruns its stack on a long array."""
    for start in range(0, samples.shape[1], _WRITTEN_AT_ONCE):
        part = samples[:, start : start + _WRITTEN_AT_ONCE].T
        if subtype == "FLOAT":
            sound.write(np.ascontiguousarray(part))
        else:
            sound.write(_integers(part, 16 if subtype == "PCM_16" else 24))


def _integers(samples: Samples, bits: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """Return the nearest integers of `bits`, in the upper bits of 32, clipped at full scale."""
    full = 1 << (bits - 1)
    steps = np.clip(np.rint(samples.astype(np.float64) * full), -full, full - 1)
    return np.asarray(steps.astype(np.int32) << (32 - bits))
