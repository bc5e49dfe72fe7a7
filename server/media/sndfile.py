"""Files that libsndfile reads and writes: WAV, AIFF, FLAC, MP3, Vorbis and Opus.

What it does not know is in `containers`. Imported where a file is at hand: an idle web process does
without the library.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import soundfile

from server import errors
from server.media.sources import Block, Source

_BLOCK_SAMPLES = 1 << 16


class _Patient:
    """A file that ignores being sent to before its start, as damaged headers try to do.

    Raised inside libsndfile's callback, the refusal would be printed and lost.
    """

    def __init__(self, file: io.BufferedIOBase) -> None:
        self._file = file
        self.tell = file.tell
        self.readinto = file.readinto

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move if it is possible, and return the position."""
        with suppress(ValueError, OSError):
            self._file.seek(offset, whence)
        return self._file.tell()


class _Stream(soundfile.SoundFile):  # type: ignore[misc] # the library is not annotated
    """A sound that is read from front to back.

    A seekable `SoundFile` seeks to where it already is after every read. In an MP3 of variable bit
    rate that loses the bit reservoir and garbles the sound at each block's start.
    """

    def seekable(self) -> bool:
        """Say no, so that nobody seeks."""
        return False


@contextmanager
def opened(file: io.BufferedIOBase) -> Iterator[Source]:
    """Open with libsndfile.

    Raises:
        errors.UnreadableAudio: it cannot be opened, or turns out damaged while its blocks are read.
    """
    try:
        with _Stream(_Patient(file)) as sound:
            length = sound.frames if 0 < sound.frames < 1 << 62 else None
            blocks = _blocks(sound)
            yield Source(sound.channels, sound.samplerate, length, length is not None, blocks)
    except soundfile.LibsndfileError as damage:
        raise errors.UnreadableAudio("The audio file is damaged or incomplete.") from damage


def _blocks(sound: soundfile.SoundFile) -> Iterator[Block]:
    frames = max(1, _BLOCK_SAMPLES // sound.channels)
    while True:
        block = sound.read(frames, dtype="float32", always_2d=True)
        if not block.shape[0]:
            return
        yield block
