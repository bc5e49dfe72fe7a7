"""Every file says what it is and that a machine made it, and its sound stays in place."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from server.media import codec, tags
from server.media.clip import Clip, Samples
from server.media.codec import Writable
from tests import music

FORMATS: tuple[Writable, ...] = ("wav", "flac", "mp3", "ogg")

SAID = tags.of(
    title="Café au lait ☕",
    engine="arranger",
    licence="MIT, sounds: CC0",
    model="arranger 1",
    seed=7,
)


def riff(length: int, rate: int) -> Clip:
    """Return a picked guitar of so many samples."""
    played = music.riff(120.0, max(length / rate, 0.5), sample_rate=rate).clip
    return Clip(np.ascontiguousarray(played.samples[:, :length]), rate)


def read_by_others(data: bytes) -> dict[str, str]:
    """Return the tags as FFmpeg's libraries read them, their names in lower case."""
    with av.open(io.BytesIO(data), "r") as container:
        found = {**container.metadata, **container.streams.audio[0].metadata}
    return {name.lower(): text for name, text in found.items()}


def decoded_by_others(data: bytes) -> Samples:
    """Return the samples `[C, N]` as FFmpeg's libraries decode them."""
    with av.open(io.BytesIO(data), "r") as container:
        blocks = [frame.to_ndarray() for frame in container.decode(container.streams.audio[0])]
    return np.concatenate(blocks, axis=1).astype(np.float32)


def lag(source: Samples, result: Samples) -> int:
    """Return by how many samples the result is late."""
    found = np.asarray(
        signal.correlate(result[0].astype(float), source[0].astype(float), method="fft")
    )
    late: int = int(np.argmax(found)) - (source.shape[1] - 1)
    return late


@pytest.mark.parametrize("fmt", FORMATS)
def test_every_format_says_title_engine_licence_and_ai(fmt: Writable) -> None:
    """To a reader that is not ours."""
    found = read_by_others(tags.encode(riff(22050, 44100), fmt, tags=SAID))

    assert "Café au lait ☕" == found["title"]
    assert tags.DISCLOSURE in found["comment"]
    assert "engine: arranger" in found["comment"]
    assert "seed: 7" in found["comment"]
    assert "MIT, sounds: CC0" == found["license"] == found["copyright"]


@pytest.mark.parametrize("fmt", FORMATS)
def test_tags_change_no_sample(fmt: Writable) -> None:
    clip = riff(30001, 44100)

    plain, tagged = codec.encode(clip, fmt), tags.encode(clip, fmt, tags=SAID)

    assert np.array_equal(codec.decode(plain).samples, codec.decode(tagged).samples)


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_same_clip_and_tags_give_the_same_sound_and_size(fmt: Writable) -> None:
    clip = riff(10001, 48000)
    one, other = (tags.encode(clip, fmt, tags=SAID) for _ in range(2))

    assert len(one) == len(other)
    assert np.array_equal(codec.decode(one).samples, codec.decode(other).samples)


def test_the_chunks_of_a_wav_file_fill_it() -> None:
    """A size that lies would stop a DAW."""
    data = tags.encode(riff(10001, 44100), "wav", tags={**SAID, "title": "odd"})
    place, names = 12, []
    while place < len(data):
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        names.append(data[place : place + 4])
        place += 8 + size + size % 2

    assert len(data) == place == 8 + int.from_bytes(data[4:8], "little")
    assert {b"fmt ", b"LIST", b"data", b"id3 "} <= set(names)


@pytest.mark.parametrize("rate", [22050, 32000, 44100, 48000])
@pytest.mark.parametrize("length", [1152, 20000, 33333])
def test_an_mp3_is_as_long_as_its_source_and_not_late(rate: int, length: int) -> None:
    """For our decoder and for FFmpeg's: the encoder's delay stands in the file."""
    clip = riff(length, rate)
    data = tags.encode(clip, "mp3", tags=SAID)

    for samples in (codec.decode(data).samples, decoded_by_others(data)):
        assert length == samples.shape[1]
        assert 0 == lag(clip.samples, samples)


def test_an_mp3_without_its_delay_is_late() -> None:
    """The negative control: the same frames, with the note about the delay overwritten."""
    clip = riff(33333, 44100)
    data = tags.encode(clip, "mp3", tags=SAID)
    place = data.index(b"Info", len(tags.id3(SAID)))
    forgetful = data[:place] + b"\x00" * 160 + data[place + 160 :]

    assert 500 < lag(clip.samples, decoded_by_others(forgetful))


def test_an_mp3_is_one_stream_of_a_constant_rate() -> None:
    """Demuxed frame by frame: no frame is missing, damaged or of another size than the rate's."""
    data = tags.encode(riff(88200, 44100), "mp3", tags=SAID)
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.audio[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        rate = Fraction(stream.codec_context.bit_rate or 0)

    sizes = {packet.size for packet in packets}
    frame = rate * 1152 / 8 / 44100
    assert sizes <= {int(frame), int(frame) + 1}
    assert len(packets) >= 88200 // 1152


@given(title=st.text(max_size=600), licence=st.text(max_size=100))
@settings(max_examples=25)
def test_whatever_is_typed_as_a_title_leaves_a_readable_file(title: str, licence: str) -> None:
    said = tags.of(title=title, engine="arranger", licence=licence)

    for fmt in ("wav", "mp3"):
        data = tags.encode(riff(2000, 44100), fmt, tags=said)
        assert 2000 == codec.decode(data).length
        assert read_by_others(data).get("title", "") == codec.one_line(title)


def test_what_is_no_tag_is_left_out() -> None:
    data = tags.encode(riff(2000, 44100), "flac", tags={"title": "x", "nonsense": "y"})

    with soundfile.SoundFile(io.BytesIO(data)) as sound:
        assert "x" == sound.title
    assert "nonsense" not in read_by_others(data)
