"""Audio that arrives in pieces: the base64 text of a file, cut up, in any order.

Pieces wait in a temporary file each upload, not in memory.
"""

import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from server import errors

CHUNK_SIZE = 8_388_608
"""Characters of a piece, as clients are told."""

LARGEST_CHUNK = 2 * CHUNK_SIZE
MOST_CHUNKS = 4096
MOST_UPLOADS = 16
PATIENCE_SECONDS = 900.0
"""An upload that nothing came for in this time is forgotten when somebody needs its place."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece: `index` counts from 0 to `total` - 1. `about` is what it says of the whole."""

    index: int
    total: int
    text: str
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Arrived:
    """What of an upload is there."""

    received: int
    missing: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Whole:
    """All pieces in order, and what any of them said of the whole."""

    texts: list[str]
    about: Mapping[str, Any]


@dataclass(slots=True)
class _Upload:
    touched_at: float
    file: IO[bytes] = field(default_factory=tempfile.TemporaryFile)
    total: int | None = None
    places: dict[int, tuple[int, int]] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)


class Uploads:
    """Uploads by session; any number of threads may use it."""

    def __init__(
        self, *, most_characters: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take how much text one upload may have."""
        self._most_characters = most_characters
        self._clock = clock
        self._lock = threading.Lock()
        self._uploads: dict[str, _Upload] = {}
        weakref.finalize(self, _close, self._uploads)

    def begin(self, session_id: str) -> None:
        """Start an upload, or start it again.

        Raises:
            errors.AtCapacity: too many others are on their way.
        """
        with self._lock:
            self._drop(session_id)
            for other, upload in list(self._uploads.items()):
                if self._clock() - upload.touched_at > PATIENCE_SECONDS:
                    self._drop(other)
            if len(self._uploads) >= MOST_UPLOADS:
                raise errors.AtCapacity
            self._uploads[session_id] = _Upload(self._clock())

    def add(self, session_id: str, piece: Piece) -> Arrived:
        """Keep a piece; a later one of the same index replaces it.

        Raises:
            errors.NoSuchSession: no upload was begun.
            errors.InvalidInput: it does not belong to this upload.
            errors.TooLong: it would be too much; the upload is forgotten.
        """
        _check(piece)
        with self._lock:
            upload = self._get(session_id)
            if upload.total not in (None, piece.total):
                raise errors.InvalidInput("total_chunks has changed.", field="total_chunks")
            self._write(session_id, upload, piece)
            missing = tuple(each for each in range(piece.total) if each not in upload.places)
            return Arrived(len(upload.places), missing)

    def take(self, session_id: str) -> Whole:
        """Return the pieces in order and forget the upload.

        Raises:
            errors.NoSuchSession: no upload was begun.
        """
        with self._lock:
            upload = self._get(session_id)
            texts = [_read(upload, index) for index in sorted(upload.places)]
            self._drop(session_id)
            return Whole(texts, upload.about)

    def drop(self, session_id: str) -> None:
        """Forget an upload, if there is one."""
        with self._lock:
            self._drop(session_id)

    def _get(self, session_id: str) -> _Upload:
        if session_id not in self._uploads:
            raise errors.NoSuchSession
        return self._uploads[session_id]

    def _drop(self, session_id: str) -> None:
        upload = self._uploads.pop(session_id, None)
        if upload is not None:
            upload.file.close()

    def _write(self, session_id: str, upload: _Upload, piece: Piece) -> None:
        data = piece.text.encode("ascii")
        end = upload.file.seek(0, 2)
        start, size = upload.places.get(piece.index, (end, 0))
        if size != len(data):  # else it is sent again, and its place is as good as before
            start = end
        if start + len(data) > self._most_characters:
            self._drop(session_id)
            raise errors.TooLong("The upload is larger than this server takes.")
        upload.file.seek(start)
        upload.file.write(data)
        upload.places[piece.index] = (start, len(data))
        upload.total, upload.touched_at = piece.total, self._clock()
        upload.about.update(piece.about)


def _check(piece: Piece) -> None:
    if not 1 <= piece.total <= MOST_CHUNKS:
        raise errors.InvalidInput(f"total_chunks is 1 to {MOST_CHUNKS}.", field="total_chunks")
    if not 0 <= piece.index < piece.total:
        raise errors.InvalidInput("chunk_index is not below total_chunks.", field="chunk_index")
    if not piece.text.isascii() or not 0 < len(piece.text) <= LARGEST_CHUNK:
        raise errors.InvalidInput("chunk must be base64 text, and not too much.", field="chunk")


def _close(uploads: dict[str, _Upload]) -> None:
    for upload in uploads.values():
        upload.file.close()


def _read(upload: _Upload, index: int) -> str:
    start, size = upload.places[index]
    upload.file.seek(start)
    return upload.file.read(size).decode("ascii")
