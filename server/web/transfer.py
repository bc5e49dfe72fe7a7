"""Files that a neighbour on the same machine left for us, in one directory and nowhere else.

Every refusal has the same words: what exists elsewhere on this machine is nobody's business.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from server import errors

_REFUSAL = "audio_file_path names no audio file in the transfer directory."


def read(name: object, *, folder: Path | None, most_bytes: int) -> bytes:
    """Return a regular file inside the folder, by its path in it or by its absolute path.

    The path is walked one directory at a time with links refused, so a link put in its way later
    changes nothing.

    Raises:
        errors.InvalidInput: there is no such file, or it may not be read. Always the same words.
    """
    refusal = errors.InvalidInput(_REFUSAL, field="audio_file_path")
    if folder is None or not isinstance(name, str):
        raise refusal
    try:
        with _opened(folder, _parts(name, folder)) as file:
            facts = os.fstat(file)
            if not stat.S_ISREG(facts.st_mode) or not 0 < facts.st_size <= most_bytes:
                raise refusal
            with os.fdopen(os.dup(file), "rb") as data:
                return data.read(most_bytes)
    except (OSError, ValueError) as error:  # ValueError: a NUL, or characters no file name has
        raise refusal from error


def _parts(name: str, folder: Path) -> tuple[str, ...]:
    """Return the way from the folder to the file. Raises `ValueError` if it leads outside."""
    path = PurePosixPath(name)
    if path.is_absolute():
        base = folder.absolute() if path.is_relative_to(folder.absolute()) else folder.resolve()
        path = path.relative_to(base)
    if not path.parts or ".." in path.parts:
        raise ValueError("outside")
    return path.parts


@contextmanager
def _opened(folder: Path, parts: tuple[str, ...]) -> Iterator[int]:
    """Open a file by its way from the folder; yields its descriptor and closes everything."""
    opened = [os.open(folder, os.O_RDONLY | os.O_DIRECTORY)]
    try:
        for part in parts:
            # without O_NONBLOCK opening a FIFO waits for a writer, perhaps for ever
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            opened.append(os.open(part, flags, dir_fd=opened[-1]))
        yield opened[-1]
    finally:
        for descriptor in opened:
            os.close(descriptor)
