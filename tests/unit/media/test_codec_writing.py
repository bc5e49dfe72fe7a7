"""What is written can be read again, and says exactly what the clip says."""

import io

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from server.media import codec, formats
from server.media.clip import Clip
from tests import music
from tests.unit.media import encoded

WRITABLE = [each.name for each in formats.FORMATS.values() if each.writable]

sixteen_bits = arrays.arrays(
    np.int16, st.tuples(st.integers(1, 3), st.integers(1, 300)), elements=st.integers(-32768, 32767)
)
any_floats = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 2), st.integers(1, 100)),
    elements=st.floats(-2, 2, width=32),
)


@given(sixteen_bits)
def test_a_decoded_16_bit_file_is_written_back_bit_for_bit(integers: np.ndarray) -> None:
    """Passing through the server costs nothing."""
    clip = Clip((integers / 32768).astype(np.float32), 44100)

    for fmt in ("wav", "flac"):
        back = soundfile.read(io.BytesIO(codec.encode(clip, fmt)), dtype="int16", always_2d=True)[0]
        np.testing.assert_array_equal(integers, back.T)


@given(any_floats)
def test_samples_are_rounded_to_the_nearest_step_and_clipped(samples: np.ndarray) -> None:
    """The slow way: one sample at a time, halves to even."""
    expected = [[max(-32768, min(32767, round(float(x) * 32768))) for x in row] for row in samples]

    wav = codec.encode(Clip(samples, 48000), "wav")

    back = soundfile.read(io.BytesIO(wav), dtype="int16", always_2d=True)[0]
    np.testing.assert_array_equal(expected, back.T)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("level", [0.1, 3.0])
def test_the_coding_that_loses_nothing_is_found(subtype: codec.Subtype, level: float) -> None:
    """What a file of some coding holds comes back from another one of it, full scale included."""
    noise = music.noise(0.05, level=level)
    clip = codec.decode(codec.encode(noise, "wav", subtype=subtype))
    found = codec.exact_subtype(clip)
    back = codec.decode(codec.encode(clip, "wav", subtype=found))

    assert subtype == found
    np.testing.assert_array_equal(clip.samples, back.samples)


@given(any_floats)
def test_any_clip_comes_back_bit_for_bit(samples: np.ndarray) -> None:
    """Beyond full scale as well."""
    clip = Clip(samples, 44100)
    wav = codec.encode(clip, "wav", subtype=codec.exact_subtype(clip))

    np.testing.assert_array_equal(samples, codec.decode(wav).samples)


@pytest.mark.parametrize(
    ("subtype", "error"), [("PCM_16", 2**-16), ("PCM_24", 2**-23), ("FLOAT", 0.0)]
)
def test_each_subtype_is_as_exact_as_its_bits(subtype: codec.Subtype, error: float) -> None:
    """Half a step at most."""
    clip = music.noise(0.5)

    back = codec.decode(codec.encode(clip, "wav", subtype=subtype))

    assert error >= np.abs(clip.samples - back.samples).max()


@pytest.mark.parametrize("fmt", WRITABLE)
@pytest.mark.parametrize("length", [1, 1151, 1152, 1153, 44100])
def test_every_format_gives_back_the_length(fmt: codec.Writable, length: int) -> None:
    """MP3 and Vorbis frames do not show."""
    clip = Clip(music.noise(1.0).samples[:, :length], 44100)

    back = codec.decode(codec.encode(clip, fmt))

    assert (2, length) == back.samples.shape


def test_mp3_comes_back_without_the_delay_of_its_encoder() -> None:
    """A click stays where it was."""
    samples = np.zeros((1, 44100), np.float32)
    samples[0, 20000] = 0.9

    back = codec.decode(codec.encode(Clip(samples, 44100), "mp3"))

    assert 20000 == np.abs(back.samples).argmax()


@pytest.mark.parametrize(
    ("rate", "written"), [(44100, 44100), (96000, 48000), (40000, 44100), (7000, 8000)]
)
def test_mp3_gets_a_rate_that_it_has(rate: int, written: int) -> None:
    """The next higher one, or the highest."""
    back = codec.decode(codec.encode(music.sine(440, 0.5, sample_rate=rate), "mp3"))

    assert (written, written // 2) == (back.sample_rate, back.length)


def test_mp3_of_many_channels_keeps_the_first_two() -> None:
    """The format has no more."""
    assert 2 == codec.decode(codec.encode(music.noise(0.2, channels=6), "mp3")).channels


@pytest.mark.parametrize("fmt", ["wav", "flac"])
def test_the_same_clip_gives_the_same_bytes(fmt: codec.Writable) -> None:
    """Results can be compared by their hash."""
    clip = music.noise(0.3)
    tags = {"title": "Riff", "software": "arranger"}

    assert codec.encode(clip, fmt, tags=tags) == codec.encode(clip, fmt, tags=tags)


@pytest.mark.parametrize("fmt", WRITABLE)
def test_tags_are_written_where_the_format_has_them(fmt: codec.Writable) -> None:
    """Control characters go, unknown tags are left out, umlauts stay."""
    tags = {"title": "Grüße\r\n", "comment": "seed 7", "no such tag": "x"}

    data = codec.encode(music.silence(0.1), fmt, tags=tags)

    with av.open(io.BytesIO(data)) as container:
        found = container.metadata | container.streams.audio[0].metadata
    found = {name.lower(): text for name, text in found.items()}
    assert ("Grüße", "seed 7") == (found["title"], found["comment"])


@pytest.mark.parametrize("fmt", WRITABLE)
def test_the_table_of_formats_tells_what_was_written(fmt: codec.Writable) -> None:
    """The media type of an answer follows from its bytes."""
    assert fmt == formats.sniff(codec.encode(music.silence(0.1), fmt)).name
    assert f".{fmt}" == formats.FORMATS[fmt].extension


@pytest.mark.parametrize("length", [0, 10])
def test_what_is_not_sound_is_not_written(length: int) -> None:
    """An engine that makes NaN must not be able to hide it in a file."""
    samples = np.full((1, length), np.nan, np.float32)

    with pytest.raises(ValueError, match="finite"):
        codec.encode(Clip(samples, 44100), "wav")


def test_a_minute_of_vorbis_is_written_in_pieces() -> None:
    """One long array would overrun libvorbis' stack."""
    clip = music.silence(60.0)

    assert clip.length == codec.probe(codec.encode(clip, "ogg")).length


def test_our_wav_is_what_others_write() -> None:
    """Header and samples equal libsndfile's own for a 16-bit file."""
    clip = Clip(np.zeros((2, 100), np.float32), 44100)

    assert encoded.by_libsndfile(clip, "WAV", "PCM_16") == codec.encode(clip, "wav")
