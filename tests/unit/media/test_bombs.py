"""What a small file claims, unpacks to or points at never costs more than a file may cost."""

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import av
import pytest

from server import errors
from server.media import codec
from server.media.bounded import Limits, Readers
from tests import music
from tests.unit.media import bombs, encoded

LONGEST_SECONDS = 60.0
MOST_MEGABYTES = 128
"""Of a reader, its libraries included; they take 47 MB before the first file."""

WAV = codec.encode(music.sine(440, 0.5), "wav")


@pytest.fixture(name="readers", scope="module")
def _readers() -> Iterator[Readers]:
    with closing(Readers()) as readers:
        yield readers


def peak_megabytes(readers: Readers) -> float:
    """Return the most memory that the reader which waits has ever had; it reads a file first."""
    readers.check(WAV, max_seconds=LONGEST_SECONDS)
    status = Path(f"/proc/{readers._idle[-1]._process.pid}/status")
    if not status.exists():
        pytest.skip("this system does not tell the peak of a process")
    found = re.search(r"VmHWM:\s+(\d+)", status.read_text(encoding="ascii"))
    assert found
    return int(found[1]) / 1024


@pytest.mark.parametrize("make", bombs.TOO_LONG.values(), ids=bombs.TOO_LONG.keys())
def test_hours_are_refused_at_the_door(readers: Readers, make: Callable[[], bytes]) -> None:
    """By what the header says, or by what comes out of it."""
    with pytest.raises(errors.TooLong, match="longer than"):
        readers.check(make(), max_seconds=LONGEST_SECONDS)

    assert peak_megabytes(readers) < MOST_MEGABYTES


@pytest.mark.parametrize("make", bombs.TOO_LONG.values(), ids=bombs.TOO_LONG.keys())
def test_hours_that_got_past_the_door_end_in_the_worker(
    readers: Readers, make: Callable[[], bytes]
) -> None:
    """There a header alone refuses nothing: what comes out counts."""
    try:
        clip = readers.decode(make(), max_seconds=LONGEST_SECONDS)
    except (errors.TooLong, errors.UnreadableAudio):
        pass
    else:
        assert clip.seconds <= LONGEST_SECONDS
    assert peak_megabytes(readers) < MOST_MEGABYTES


@pytest.mark.parametrize("make", bombs.BOUNDED.values(), ids=bombs.BOUNDED.keys())
def test_lies_are_refused_or_read_for_what_is_there(
    readers: Readers, make: Callable[[], bytes]
) -> None:
    """Never more than that, whatever was claimed."""
    try:
        seconds = readers.check(make(), max_seconds=LONGEST_SECONDS).seconds
    except (errors.InvalidInput, errors.TooLong):
        pass
    else:
        assert seconds is not None
        assert 0 < seconds <= LONGEST_SECONDS
    assert peak_megabytes(readers) < MOST_MEGABYTES


def test_the_negative_control_is_as_long_as_it_says(readers: Readers) -> None:
    """The frames of the bombs are sound FLAC; a minute of them is a minute."""
    frames = 14
    minute = bombs.flac(frames, claimed=frames * 65_535)

    assert frames * 65_535 == readers.check(minute, max_seconds=LONGEST_SECONDS).length


def _listening() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    return listener


def _playlists(url: str) -> dict[str, bytes]:
    """Return files that name another one for their sound."""
    tone = encoded.by_ffmpeg(music.sine(440, 0.5, sample_rate=48_000), "m4a")
    entry = b"url \0\0\0\0" + url.encode() + b"\0"
    dref = (len(entry) + 4).to_bytes(4, "big") + entry
    at = tone.index(b"dref") - 4
    size = int.from_bytes(tone[at : at + 4], "big")
    external = tone[:at] + (len(dref) + 16).to_bytes(4, "big") + tone[at + 4 : at + 16] + dref
    return {
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{url}\n".encode(),
        "m3u": f"{url}\n".encode() * 20,
        "concat": f"ffconcat version 1.0\nfile '{url}'\n".encode(),
        "dash": f"<?xml version='1.0'?><MPD><BaseURL>{url}</BaseURL></MPD>".encode(),
        "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns={url}\n".encode(),
        "m3u8 behind a tag": b"ID3\x04\0\0\0\0\0\0" + f"#EXTM3U\n#EXTINF:1,\n{url}\n".encode(),
        "m3u8 as mp4": b"\0\0\0\x18ftypM4A " + f"#EXTM3U\n#EXTINF:1,\n{url}\n".encode() * 9,
        "mp4 with sound elsewhere": external + tone[at + size :],
        "mp4 that refers": b"\0\0\0\x14ftypqt  \0\0\0\0qt  "
        b"\0\0\0\x48moov\0\0\0\x40rmra\0\0\0\x38rmda\0\0\0\x30rdrf\0\0\0\0url "
        + url.encode().ljust(36, b"\0"),
    }


@pytest.mark.parametrize("name", sorted(_playlists("http://127.0.0.1:9/x.wav")))
def test_nothing_that_a_file_points_at_is_opened(
    readers: Readers, tmp_path: Path, name: str
) -> None:
    """Neither an address nor a file of this machine."""
    (tmp_path / "secret.wav").write_bytes(WAV)
    with _listening() as listener:
        port = listener.getsockname()[1]
        for url in (f"http://127.0.0.1:{port}/x.wav", f"file://{tmp_path}/secret.wav"):
            with pytest.raises(errors.InvalidInput):
                readers.check(_playlists(url)[name], max_seconds=LONGEST_SECONDS)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_the_negative_control_does_connect() -> None:
    """Left to itself, the library goes where a playlist sends it."""
    with _listening() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x.wav"
        with suppress(av.FFmpegError):
            av.open(url, timeout=0.2)
        connection, _ = listener.accept()
        connection.close()


def test_of_a_long_file_that_is_slow_to_decode_the_rest_is_believed_at_the_door() -> None:
    """What comes out in the worker counts in the end; with patience the door finds out itself."""
    claims_longer = bombs.ogg_until(50 * 48_000, "opus")
    with closing(Readers(limits=Limits(patience_seconds=0.0))) as hasty, closing(Readers()) as slow:
        believed = hasty.check(claims_longer, max_seconds=LONGEST_SECONDS).seconds
        found = slow.check(claims_longer, max_seconds=LONGEST_SECONDS).seconds
        decoded = hasty.decode(claims_longer, max_seconds=LONGEST_SECONDS).seconds

    assert [believed, found] == pytest.approx([50.0, 2.0], abs=0.1)
    assert found == decoded
