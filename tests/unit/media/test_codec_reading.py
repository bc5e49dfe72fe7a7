"""Whatever a musician sends is read right, or refused in words that a musician understands."""

import io
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from server import errors
from server.media import codec, formats
from server.media.clip import Clip
from tests import music
from tests.unit.media import encoded

TONE = music.sine(440, 1.0, channels=2)


def close(expected: Clip, actual: Clip, *, below_db: float) -> bool:
    """Tell whether two clips differ by noise `below_db` under the first."""
    noise = float(np.mean((expected.samples - actual.samples) ** 2)) + 1e-30
    return bool(10 * np.log10(noise / np.mean(expected.samples**2)) < -below_db)


@pytest.mark.parametrize(
    ("format_", "subtype", "quiet"),
    [
        ("WAV", "PCM_U8", 35),
        ("WAV", "PCM_16", 80),
        ("WAV", "PCM_24", 120),
        ("WAV", "PCM_32", 120),
        ("WAV", "FLOAT", 200),
        ("WAV", "DOUBLE", 140),
        ("AIFF", "PCM_16", 80),
        ("FLAC", "PCM_24", 120),
        ("OGG", "VORBIS", 20),
        ("MP3", "MPEG_LAYER_III", 40),
    ],
)
def test_every_sample_format_is_read(format_: str, subtype: str, quiet: float) -> None:
    """Length, rate and channels are exact, and the sound is as near as the codec allows."""
    clip = codec.decode(encoded.by_libsndfile(TONE, format_, subtype))

    assert (TONE.samples.shape, 44100) == (clip.samples.shape, clip.sample_rate)
    assert close(TONE, clip, below_db=quiet)


@pytest.mark.parametrize(
    ("format_", "subtype"), [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("FLAC", "PCM_16")]
)
def test_reading_in_blocks_equals_reading_at_once(format_: str, subtype: str) -> None:
    """The slow way is one read; MP3s of variable bit rate were once garbled where blocks meet."""
    data = encoded.by_libsndfile(music.band(seconds=4).clip, format_, subtype)

    at_once = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0]

    np.testing.assert_array_equal(at_once.T, codec.decode(data).samples)


@pytest.mark.parametrize("name", ["m4a", "mp4", "webm", "mp3", "opus", "flac"])
def test_files_made_by_ffmpeg_come_back_at_their_true_length(name: str) -> None:
    """Neither an encoder's delay nor the padding of the last frame is left in the clip."""
    tone = music.sine(440, 1.0, channels=2, sample_rate=48000)

    clip = codec.decode(encoded.by_ffmpeg(tone, name))

    assert tone.samples.shape == clip.samples.shape
    assert close(tone, clip, below_db=15)


def test_raw_aac_keeps_the_padding_that_nothing_tells_from_sound() -> None:
    """ADTS has no header that could tell the true length."""
    clip = codec.decode(encoded.by_ffmpeg(TONE, "aac"))

    assert 44100 <= clip.length <= 44100 + 3 * 1024


@pytest.mark.parametrize("name", ["m4a", "webm", "mp3", "opus", "flac", "aac"])
def test_a_probe_tells_what_decoding_will_find(name: str) -> None:
    """Format and rate exactly; the length within what the container can say."""
    data = encoded.by_ffmpeg(music.sine(440, 1.0, sample_rate=48000), name)

    probe = codec.probe(data)

    assert name == probe.format.name
    assert probe.media_type == formats.FORMATS[name].media_type
    assert (1, 48000) == (probe.channels, probe.sample_rate)
    assert pytest.approx(1.0, abs=0.1) == probe.seconds


def test_a_probe_says_when_it_does_not_know_the_length() -> None:
    """A streaming writer leaves the size at zero."""
    wav = encoded.by_libsndfile(TONE, "WAV", "PCM_16")

    probe = codec.probe(encoded.with_claimed_size(wav, 0))

    assert (None, None, False) == (probe.length, probe.seconds, probe.is_exact)


def test_a_path_is_read_like_bytes(tmp_path: Path) -> None:
    """Both ways give the same samples, whatever the file is called."""
    wav = encoded.by_libsndfile(TONE, "WAV", "PCM_16")
    (tmp_path / "tone.mp3").write_bytes(wav)

    clip = codec.decode(tmp_path / "tone.mp3")

    np.testing.assert_array_equal(codec.decode(wav).samples, clip.samples)


def test_the_path_of_a_missing_file_is_not_told(tmp_path: Path) -> None:
    """Messages go to strangers."""
    with pytest.raises(errors.UnreadableAudio) as refusal:
        codec.decode(tmp_path / "secret.wav")

    assert "secret" not in refusal.value.message


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"\xff\xd8\xff\xe0" + bytes(100),
        b"MThd\x00\x00\x00\x06" + bytes(50),
        b"%PDF-1.7" + bytes(50),
        b"PK\x03\x04" + bytes(50),
        b"RIFF\x00\x00\x00\x00AVI " + bytes(50),
        b"this is a text file and not music\n" * 30,
    ],
)
def test_what_is_certainly_not_audio_is_unsupported(data: bytes) -> None:
    """The refusal lists what can be sent instead."""
    with pytest.raises(errors.UnsupportedMedia, match="WAV, FLAC, MP3"):
        codec.probe(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 1000,
        np.random.default_rng(0).bytes(5000),
        b"RIFF\x24\x00\x00\x00WAVEfmt ",
        b"fLaC" + bytes(100),
        b"OggS" + bytes(200),
        b"ID3\x04\x00" + bytes(300),
        b"\x00\x00\x00\x1cftypM4A " + bytes(500),
        b"\x1aE\xdf\xa3" + bytes(100),
        b"\xff\xf1P\x80" + bytes(10),
    ],
)
def test_damaged_headers_are_unreadable(data: bytes) -> None:
    """Never an internal error, and nothing of a library's own words."""
    with pytest.raises(errors.UnreadableAudio) as refusal:
        codec.decode(data)

    assert not any(word in refusal.value.message for word in ("BytesIO", "libsnd", "Errno", "av."))


def test_a_wav_cut_short_gives_what_is_there() -> None:
    """Half of an upload is still sound."""
    wav = encoded.by_libsndfile(TONE, "WAV", "PCM_16")

    clip = codec.decode(wav[: len(wav) // 2])

    assert 22000 < clip.length < 22100


@pytest.mark.parametrize("size", [0x7FFFFF00, 0xFFFFFFFF])
def test_a_header_that_claims_too_much_is_not_believed(size: int) -> None:
    """What is there counts."""
    wav = encoded.by_libsndfile(TONE, "WAV", "PCM_16")

    assert 44100 == codec.decode(encoded.with_claimed_size(wav, size)).length


@pytest.mark.parametrize(("name", "share"), [("mp3", 2), ("opus", 2)])
def test_streams_cut_short_give_what_is_there(name: str, share: int) -> None:
    """Codecs without a promise of length end where they end."""
    data = encoded.by_ffmpeg(music.noise(4.0, sample_rate=48000), name)

    clip = codec.decode(data[: len(data) // share])

    assert 48000 < clip.length < 144000


@pytest.mark.parametrize("name", ["flac", "m4a"])
def test_files_that_miss_promised_data_are_unreadable(name: str) -> None:
    """FLAC sees the break, an MP4 has lost its index."""
    data = encoded.by_ffmpeg(music.noise(4.0), name)

    with pytest.raises(errors.UnreadableAudio, match="damaged or incomplete"):
        codec.decode(data[: len(data) // 2])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e20])
def test_samples_that_are_not_sound_are_refused(value: float) -> None:
    """One such sample would spoil every filter after it."""
    samples = TONE.samples.copy()
    samples[1, 30000] = value

    with pytest.raises(errors.UnreadableAudio, match="not sound"):
        codec.decode(encoded.by_libsndfile(TONE.with_samples(samples), "WAV", "FLOAT"))


def test_a_file_without_samples_is_refused() -> None:
    """A header alone is no sound."""
    empty = Clip(np.zeros((2, 0), np.float32), 44100)

    with pytest.raises(errors.UnreadableAudio, match="no sound"):
        codec.decode(encoded.by_libsndfile(empty, "WAV", "PCM_16"))


def test_a_film_without_a_sound_track_is_refused() -> None:
    """An MP4 may hold pictures alone."""
    with pytest.raises(errors.UnreadableAudio, match="no sound"):
        codec.decode(encoded.silent_film())


@pytest.mark.parametrize("rate", [100, 2_000_000])
def test_impossible_sample_rates_are_refused(rate: int) -> None:
    """They are legal in a header and useless in a studio."""
    with pytest.raises(errors.UnreadableAudio, match="sample rate"):
        codec.probe(encoded.by_libsndfile(Clip(TONE.samples, rate), "WAV", "PCM_16"))


@pytest.mark.parametrize(
    "clip",
    [
        music.sine(440, 0.02),
        music.silence(1.0),
        music.noise(0.2, sample_rate=192000, channels=8),
        Clip(np.full((1, 1), 0.5, np.float32), 8000),
    ],
)
def test_odd_but_honest_clips_are_read(clip: Clip) -> None:
    """20 ms, silence, eight channels at 192 kHz, a single sample."""
    decoded = codec.decode(encoded.by_libsndfile(clip, "WAV", "FLOAT"))

    assert clip.sample_rate == decoded.sample_rate
    np.testing.assert_array_equal(clip.samples, decoded.samples)


@pytest.mark.parametrize("name", ["flac", "m4a", "mp3"])
def test_the_limit_in_seconds_is_exact(name: str) -> None:
    """A clip of the longest length passes, one sample's worth less does not."""
    data = encoded.by_ffmpeg(TONE, name)

    assert 44100 == codec.decode(data, max_seconds=1.0).length
    with pytest.raises(errors.TooLong, match=r"0\.99 seconds"):
        codec.decode(data, max_seconds=0.99)


def test_all_channels_together_have_a_limit() -> None:
    """Eight channels fill the memory eight times as fast."""
    data = encoded.by_libsndfile(music.silence(1.0, channels=8), "WAV", "PCM_16")

    with pytest.raises(errors.TooLong):
        codec.decode(data, max_samples=8 * 40000)


def test_hours_of_packed_silence_are_refused_in_bounded_memory() -> None:
    """The limit holds while decoding: only the first minute of a bomb is ever unpacked."""
    hour = Clip(np.zeros((1, 3600 * 8000), np.float32), 8000)
    bomb = encoded.by_libsndfile(hour, "FLAC", "PCM_16")

    tracemalloc.start()
    with pytest.raises(errors.TooLong):
        codec.decode(bomb, max_seconds=60)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(bomb) < 1_000_000
    assert peak < 8_000_000


def test_a_sound_track_of_an_unknown_coding_is_refused() -> None:
    """The container is fine and names a codec that nobody has."""
    tone = music.sine(440, 1.0, sample_rate=48000)
    film = encoded.by_ffmpeg(tone, "webm").replace(b"A_OPUS", b"A_NOPE")

    with pytest.raises(errors.UnreadableAudio, match="coding"):
        codec.probe(film)


SMALL = {
    name: encoded.by_ffmpeg(music.noise(0.2, sample_rate=48000), name)
    for name in ("m4a", "aac", "webm", "mp3", "opus", "flac")
}


@given(st.sampled_from(sorted(SMALL)), st.data())
def test_damage_anywhere_is_read_or_refused_and_never_an_accident(
    name: str, data: st.DataObject
) -> None:
    """Bytes are overwritten, the end is cut off: a finite clip comes back, or a refusal."""
    file = bytearray(SMALL[name])
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, min(len(file) - 1, 2000)))
        file[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(1, len(file)))

    try:
        clip = codec.decode(bytes(file[:cut]), max_seconds=10)
    except errors.InvalidInput as refusal:
        assert refusal.message.endswith(".")  # noqa: PT017 - either way is fine
    else:
        assert np.isfinite(clip.samples).all()


def test_reading_needs_no_heavy_library() -> None:
    """The web process probes every upload and must stay small."""
    program = (
        "import sys; from server.media import codec; "
        "print({'av', 'scipy', 'torch', 'matplotlib'} & set(sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    assert "set()" == done.stdout.strip()
