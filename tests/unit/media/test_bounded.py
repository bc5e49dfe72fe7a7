"""A file that hangs, crashes or fills the memory is unreadable; the next one is read as ever."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest

from server import errors
from server.media import bounded, codec, reader
from server.media.bounded import Limits, Readers
from tests import music
from tests.unit.media import bad_reading, encoded

TONE = music.sine(440, 0.5, channels=2)
WAV = codec.encode(TONE, "wav")
STRICT = Limits(cpu_seconds=0.4, cpu_share=0.0, wall_seconds=4.0, memory_bytes=64 * 2**20)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the kernel's limits are needed")


@pytest.fixture(name="readers", scope="module")
def _readers() -> Iterator[Readers]:
    with closing(Readers(module=bad_reading.__name__, limits=STRICT)) as readers:
        yield readers


def reader_of(readers: Readers) -> psutil.Process:
    """Return the process that will read the next file."""
    return psutil.Process(readers._idle[-1]._process.pid)


def refusal_of(readers: Readers, data: bytes, *, is_check: bool = True) -> str:
    """Return what is said of a file that cannot be read."""
    with pytest.raises(errors.UnreadableAudio) as refused:
        _ = readers.check(data, max_seconds=60) if is_check else readers.decode(data)
    return refused.value.message


@pytest.mark.parametrize("happening", sorted(bad_reading.HAPPENINGS))
def test_whatever_happens_to_the_decoder_the_next_file_is_read(
    readers: Readers, happening: bytes
) -> None:
    """At once; and who took too much is told so, for a damaged file is another matter."""
    message = refusal_of(readers, happening + b" " + WAV)

    took_too_much = happening in (b"loop", b"loop-in-c", b"sleep", b"eat", b"kill")
    assert (reader.TOO_MUCH if took_too_much else bounded.DAMAGED) == message
    np.testing.assert_array_equal(readers.decode(WAV).samples, codec.decode(WAV).samples)


@pytest.mark.parametrize("happening", [b"loop", b"segfault", b"eat", b"leave"])
def test_half_of_a_sound_is_no_sound(readers: Readers, happening: bytes) -> None:
    """What came before the accident is not taken for the whole."""
    refusal_of(readers, b"later " + happening, is_check=False)

    assert TONE.samples.shape[1] == readers.check(WAV, max_seconds=60).length


def test_the_negative_control_is_read(readers: Readers) -> None:
    """The worse opener reads what holds no accident, and does not just refuse everything."""
    probe = readers.check(WAV, max_seconds=60)

    assert ("wav", 2, 44100, 22050) == (
        probe.format.name,
        probe.channels,
        probe.sample_rate,
        probe.length,
    )


def test_a_reader_that_was_killed_from_outside_is_replaced(readers: Readers) -> None:
    """Even between two files."""
    readers.check(WAV, max_seconds=60)
    process = reader_of(readers)
    process.kill()
    process.wait()

    assert 22050 == readers.check(WAV, max_seconds=60).length


def test_one_reader_reads_many_files_and_is_then_replaced() -> None:
    """Starting one costs a third of a second; keeping one for ever would trust libraries."""
    with closing(Readers(limits=STRICT)) as readers:
        readers.check(WAV, max_seconds=60)
        first = reader_of(readers)
        for _ in range(bounded.FILES_EACH - 2):
            readers.check(WAV, max_seconds=60)
        assert first == reader_of(readers)
        readers.check(WAV, max_seconds=60)
        readers.check(WAV, max_seconds=60)

        assert first != reader_of(readers)
        assert not first.is_running()


def test_a_refused_file_costs_no_reader(readers: Readers) -> None:
    """Wrong files are the daily bread of a door."""
    readers.check(WAV, max_seconds=60)
    process = reader_of(readers)
    for wrong in (b"this is a text and no music at all", bytes(100), WAV[:30]):
        with pytest.raises(errors.InvalidInput):
            readers.check(wrong, max_seconds=60)
    with pytest.raises(errors.TooLong, match=r"0\.1 seconds"):
        readers.check(WAV, max_seconds=0.1)

    assert process == reader_of(readers)


def test_files_are_read_side_by_side_and_no_more_readers_than_that() -> None:
    """Those that come together wait for a turn."""
    with closing(Readers(limits=Limits())) as readers, ThreadPoolExecutor(12) as clients:
        start = threading.Barrier(12)

        def read(_: int) -> int:
            start.wait()
            return readers.decode(WAV).length

        lengths = list(clients.map(read, range(12)))

        assert [22050] * 12 == lengths
        assert len(readers._idle) <= bounded.AT_ONCE


def test_a_reader_ends_with_the_process_that_started_it() -> None:
    """It reads from a pipe that nobody holds any more."""
    readers = Readers(limits=STRICT)
    readers.check(WAV, max_seconds=60)
    process = readers._idle[-1]._process
    assert process.stdin is not None
    process.stdin.close()

    assert 0 == process.wait(30)
    readers.close()


def test_a_reader_knows_no_settings_and_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes it over finds nothing in its environment."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with closing(Readers(limits=STRICT)) as readers:
        readers.check(WAV, max_seconds=60)

        assert "secret" not in reader_of(readers).environ().values()


def test_where_no_reader_starts_the_server_says_that_it_cannot(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is not the file's fault."""
    with closing(Readers(module="no.such.module")) as readers, pytest.raises(errors.Unavailable):
        readers.check(WAV, max_seconds=60)
    monkeypatch.setattr("sys.executable", str(tmp_path / "nothing"))
    with closing(Readers()) as readers, pytest.raises(errors.Unavailable):
        readers.check(WAV, max_seconds=60)


def test_a_missing_file_is_unreadable(readers: Readers, tmp_path: Path) -> None:
    """Paths come from the command line."""
    with pytest.raises(errors.UnreadableAudio):
        readers.decode(tmp_path / "nothing.wav")


@pytest.mark.parametrize("name", ["m4a", "mp4", "webm", "mp3", "opus", "flac", "aac"])
def test_what_comes_through_is_what_the_codec_reads(name: str) -> None:
    """Bit for bit, with the length that the check has told."""
    data = encoded.by_ffmpeg(music.sine(440, 1.0, channels=2, sample_rate=48000), name)
    clip = bounded.READERS.decode(data)

    np.testing.assert_array_equal(codec.decode(data).samples, clip.samples)
    assert clip.length == bounded.READERS.check(data, max_seconds=60).length
