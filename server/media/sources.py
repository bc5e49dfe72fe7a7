"""An opened audio file: what its header says, and its samples block by block.

`libsndfile` reads WAV, AIFF, FLAC, MP3, Vorbis and Opus. What it does not know is in `containers`.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np
import soundfile
from numpy.typing import NDArray

from server import errors

Block = NDArray[np.float32]

_BLOCK_SAMPLES = 1 << 16


@dataclass(frozen=True, slots=True)
class Source:
    """Sound that has been opened and not yet decoded.

    Attributes:
        channels: as the header says.
        sample_rate: in Hz.
        length: samples a channel as the header says, or None where it does not; it may lie.
        is_exact: whether the header counts samples, rather than giving a rounded duration.
        blocks: `[n, C]` float32 each.
    """

    channels: int
    sample_rate: int
    length: int | None
    is_exact: bool
    blocks: Iterator[Block]


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
