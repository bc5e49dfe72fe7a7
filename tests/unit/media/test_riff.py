"""A WAV file tells sequencers and samplers its tempo, key and loop, and sounds as without that."""

import io
import struct
import wave
from datetime import date

import av
import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st

from server.media import codec, riff, tags
from server.media.clip import Clip
from server.media.codec import Subtype
from server.media.key import Key

MADE = riff.Broadcast(
    description="lofi_chill",
    originator="melodyflow",
    made_on=date(2026, 3, 1),
    loudness_lufs=-14.25,
    true_peak_db=-1.0,
    coding_history="A=PCM,F=44100,W=16,M=stereo,T=arranger",
)
LOOP = riff.Music(
    bpm=120.0,
    meter=(3, 4),
    key=Key(9, "minor"),
    markers=((0.0, "Am"), (1.0, "F#m7"), (1.5, riff.NO_CHORD), (99.0, "C")),
)


def noise(length: int, *, channels: int = 2, rate: int = 44100) -> Clip:
    """Return noise within full scale."""
    samples = np.random.default_rng(length).uniform(-0.9, 0.9, (channels, length))
    return Clip(samples.astype(np.float32), rate)


def written(
    clip: Clip, music: riff.Music = LOOP, *, subtype: Subtype = "PCM_16", title: str = "riff"
) -> bytes:
    """Return a WAV file that says everything."""
    said = tags.of(title=title, engine="arranger", licence="MIT", bpm=music.bpm, key=music.key)
    return tags.encode(clip, "wav", subtype=subtype, tags=said, music=music, broadcast=MADE)


def content(data: bytes, name: bytes) -> bytes:
    """Return what is in the first chunk of a name."""
    return next(data[at : at + size] for found, at, size in riff.chunks(data) if found == name)


def names(data: bytes) -> list[bytes]:
    """Return the names of the chunks in order."""
    return [name for name, _, _ in riff.chunks(data)]


def others_samples(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the samples `[C, N]` as FFmpeg's libraries decode them."""
    with av.open(io.BytesIO(data), "r") as container:
        blocks = [frame.to_ndarray() for frame in container.decode(container.streams.audio[0])]
        channels = container.streams.audio[0].codec_context.channels
    packed = np.concatenate([block.reshape(-1) for block in blocks])
    full = 1.0 if packed.dtype.kind == "f" else float(-np.iinfo(packed.dtype).min)
    return packed.reshape(-1, channels).T.astype(np.float64) / full


# Every reader still reads the sound


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@given(
    length=st.integers(1, 3000),
    channels=st.integers(1, 3),
    title=st.text(max_size=30),
    bpm=st.none() | st.floats(20, 400),
)
@settings(max_examples=12, deadline=None)
def test_no_chunk_changes_a_sample_for_any_reader(
    subtype: Subtype, length: int, channels: int, title: str, bpm: float | None
) -> None:
    """Odd sizes and all: ours, libsndfile, FFmpeg and the standard library's."""
    clip = noise(length, channels=channels)
    music = riff.Music(bpm=bpm, key=Key(3, "major"), markers=((0.0, title), (0.01, "x")))
    plain = codec.encode(clip, "wav", subtype=subtype)
    data = written(clip, music, subtype=subtype, title=title)
    expected = codec.decode(plain).samples

    assert np.array_equal(expected, codec.decode(data).samples)
    assert np.array_equal(
        expected, soundfile.read(io.BytesIO(data), dtype="float32")[0].T.reshape(expected.shape)
    )
    assert np.array_equal(expected, others_samples(data))
    assert content(plain, b"data") == content(data, b"data")
    if subtype != "FLOAT":  # the standard library reads integers alone
        with wave.open(io.BytesIO(data)) as file:
            assert length == file.getnframes()
            assert content(plain, b"data") == file.readframes(length)


@given(length=st.integers(1, 999), channels=st.integers(1, 2))
@settings(max_examples=12, deadline=None)
def test_the_chunks_fill_the_file(length: int, channels: int) -> None:
    """A size that lies would stop a DAW; 24 bit in mono has odd sizes."""
    data = written(noise(length, channels=channels), subtype="PCM_24")
    found = list(riff.chunks(data))
    _, at, size = found[-1]

    assert len(data) == at + size + size % 2 == 8 + int.from_bytes(data[4:8], "little")
    assert 1 == names(data).count(b"data")
    assert b"fmt " == names(data)[0]


def test_what_samplers_need_stands_before_the_samples() -> None:
    """Some programs stop reading at the samples."""
    order = names(written(noise(88200)))

    before = order[: order.index(b"data")]
    assert {b"bext", b"acid", b"smpl", b"cue "} <= set(before)
    assert b"id3 " == order[-1]


def test_a_file_that_is_too_large_for_its_sizes_is_refused() -> None:
    """RF64 would be needed; nothing here writes it."""
    assert 2**32 + 7 == riff.checked_size(2**32 + 7)
    with pytest.raises(ValueError, match="4 GiB"):
        riff.checked_size(2**32 + 8)


@pytest.mark.parametrize(
    "data",
    [b"", b"RIFF", b"RF64" + b"\x00" * 40, codec.encode(noise(10), "flac")],
    ids=["nothing", "cut short", "RF64", "FLAC"],
)
def test_what_is_no_wav_file_is_given_no_chunks(data: bytes) -> None:
    with pytest.raises(ValueError, match="only RIFF"):
        riff.with_chunks(data, [(b"acid", b"")])


def test_a_file_without_samples_is_given_no_chunks() -> None:
    with pytest.raises(ValueError, match="no samples"):
        riff.with_chunks(b"RIFF\x04\x00\x00\x00WAVE", [(b"acid", b"")])


# What they say


def test_a_loop_says_tempo_beats_meter_and_root() -> None:
    """Two seconds at 120 BPM are four beats; A is note 69."""
    flags, root, _, _, beats, denominator, numerator, bpm = struct.unpack(
        "<IHHfIHHf", content(written(noise(88200)), b"acid")
    )

    assert (69, 4, 120.0) == (root, beats, bpm)
    assert (3, 4) == (numerator, denominator)
    assert 0x06 == flags  # the root counts, and it stretches


@pytest.mark.parametrize("off_seconds", [-0.019, 0.0, 0.019])
def test_a_clip_within_20_ms_of_whole_beats_is_a_loop(off_seconds: float) -> None:
    data = written(noise(88200 + round(off_seconds * 44100)))

    assert b"smpl" in names(data)
    assert 0x04 & content(data, b"acid")[0]


@pytest.mark.parametrize(
    "music",
    [
        riff.Music(bpm=120.0, is_steady=False),
        riff.Music(bpm=121.5),
        riff.Music(bpm=20.0),
    ],
    ids=["a tempo that drifts", "40 ms off", "less than a beat"],
)
def test_what_is_no_loop_is_a_one_shot(music: riff.Music) -> None:
    """The negative control: no loop points, and nobody stretches it."""
    data = written(noise(88200), music)

    assert b"smpl" not in names(data)
    assert 0x01 == content(data, b"acid")[0]


def test_without_a_tempo_none_is_invented() -> None:
    """Nor a loop; the rest is said."""
    found = names(written(noise(88200), riff.Music(key=Key(0, "major"))))

    assert {b"acid", b"smpl"}.isdisjoint(found)
    assert b"bext" in found


def test_libsndfile_reads_the_loop() -> None:
    """From the first sample to the last, over a tuned middle octave."""
    data = written(noise(88200))
    body = content(data, b"smpl")
    unity, loops = struct.unpack_from("<I", body, 12)[0], struct.unpack_from("<I", body, 28)[0]
    start, end = struct.unpack_from("<2I", body, 36 + 8)

    assert (69, 1) == (unity, loops)
    assert (0, 88199) == (start, end)
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        said = file.extra_info
    assert "(Loop,RootNoteValid,StretchOn,RAMBased" in said
    assert "Tempo     : 120.0" in said
    assert "Start :     0  End : 88199" in said


def test_chords_are_markers_at_their_samples() -> None:
    """What lies beyond the end is left out."""
    data = written(noise(88200))
    body = content(data, b"cue ")
    count = int.from_bytes(body[:4], "little")
    places = [struct.unpack_from("<II4sIII", body, 4 + 24 * each)[5] for each in range(count)]
    labels = next(
        data[at : at + size] for _, at, size in riff.chunks(data) if data[at : at + 4] == b"adtl"
    )

    assert [0, 44100, 66150] == places
    for name in (b"Am\x00", b"F#m7\x00", b"N.C.\x00"):
        assert name in labels


def test_ffmpeg_reads_the_broadcast_extension() -> None:
    with av.open(io.BytesIO(written(noise(88200))), "r") as container:
        found = {name.lower(): text for name, text in container.metadata.items()}

    assert "2026-03-01" == found["date"]
    assert "0" == found["time_reference"]
    assert "T=arranger" in found["coding_history"]


def test_loudness_stands_in_the_broadcast_extension() -> None:
    """Version 2 has hundredths; what is not known is marked as such."""
    body = content(written(noise(88200)), b"bext")
    version = int.from_bytes(body[346:348], "little")
    integrated, spread, peak, momentary, short = struct.unpack_from("<5h", body, 412)

    assert b"lofi_chill" == body[:256].rstrip(b"\x00")
    assert (2, -1425, -100) == (version, integrated, peak)
    assert {0x7FFF} == {spread, momentary, short}
    assert len(body) == 602 + len(MADE.coding_history) + 2


@given(text=st.text(max_size=400), loudness=st.none() | st.floats(allow_nan=True))
@example(text="", loudness=1.7e308)
@settings(max_examples=40, deadline=None)
def test_any_text_and_loudness_make_a_broadcast_extension(
    text: str, loudness: float | None
) -> None:
    body = riff.bext(riff.Broadcast(description=text, originator=text, loudness_lufs=loudness))

    assert 602 == len(body)
