"""Files and their facts: bytes in an object store, facts in the database.

The store is a directory, an S3 bucket or memory; keys are ids of ours, never names of clients.
Bytes are written first and whole (the store writes aside and renames), the facts after them:
whoever finds the facts finds the file.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, MemoryStore, ObjectStore, from_url
from sqlalchemy import RowMapping, delete, insert, select, update
from typing_extensions import Buffer

from server import errors
from server.adapters.database import Database
from server.adapters.tables import artifacts
from server.jobs.ports import Artifact
from server.jobs.record import now

log = logging.getLogger(__name__)

CHUNK_BYTES = 2**20
"""About how much is read at once."""


class StoredArtifacts:
    """An `ArtifactStore` over an object store and the database."""

    def __init__(self, store: ObjectStore, database: Database, *, keep: timedelta) -> None:
        """Take where bytes and facts go; what is saved without an expiry is kept for `keep`."""
        self._store = store
        self._database = database
        self._keep = keep

    def save(self, data: bytes, *, name: str, media_type: str, **facts: Any) -> Artifact:
        """Store bytes. `facts`: seconds, sample_rate, channels, owner, expires_at.

        Raises:
            errors.StorageFailed: there is no room, or the store does not answer.
        """
        facts.setdefault("expires_at", now() + self._keep)
        artifact = Artifact(name=name, media_type=media_type, size_bytes=len(data), **facts)
        with self._troubles():
            obstore.put(self._store, _key(artifact.id), data)
            self._settle(artifact.id)
        self._note(artifact)
        return artifact

    def get(self, artifact_id: str) -> Artifact:
        """Return the facts. Raises `errors.NoSuchArtifact`, `errors.Expired`."""
        row = self._row(artifact_id)
        if row is None:
            raise errors.NoSuchArtifact
        if row["is_removed"] or _is_past(row):
            raise errors.Expired
        return _artifact(row)

    def read(self, artifact_id: str) -> bytes:
        """Return all bytes. Raises as `get`."""
        self.get(artifact_id)
        with self._troubles():
            return bytes(obstore.get(self._store, _key(artifact_id)).bytes())

    def chunks(self, artifact_id: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes [start, end); what is wrong is raised at once. Raises as `get`."""
        size = self.get(artifact_id).size_bytes
        wanted = (max(start, 0), min(end, size))
        if wanted[0] >= wanted[1]:
            return iter(())
        with self._troubles():
            found = obstore.get(self._store, _key(artifact_id), options={"range": wanted})
        return self._streamed(found.stream(min_chunk_size=CHUNK_BYTES))

    def delete(self, artifact_id: str) -> None:
        """Remove the bytes; unknown ids are no error.

        Of an expired one the facts stay, so that its address answers "expired" ever after.
        """
        row = self._row(artifact_id)
        if row is None:
            return
        with self._troubles():
            self._remove_bytes(artifact_id)
        is_it = artifacts.c.id == artifact_id
        forget = update(artifacts).values(is_removed=True) if _is_past(row) else delete(artifacts)
        with self._database.transaction() as connection:
            connection.execute(forget.where(is_it))

    def expired(self, at: datetime) -> Sequence[Artifact]:
        """Return artifacts past `expires_at` whose bytes are still there."""
        query = select(artifacts).where(artifacts.c.expires_at <= at, ~artifacts.c.is_removed)
        with self._database.transaction() as connection:
            return [_artifact(row) for row in connection.execute(query).mappings()]

    def _row(self, artifact_id: str) -> RowMapping | None:
        query = select(artifacts).where(artifacts.c.id == artifact_id)
        with self._database.transaction() as connection:
            return connection.execute(query).mappings().first()

    def _note(self, artifact: Artifact) -> None:
        try:
            with self._database.transaction() as connection:
                connection.execute(insert(artifacts).values(**asdict(artifact)))
        except errors.Unavailable as error:
            with self._troubles():
                self._remove_bytes(artifact.id)
            raise errors.StorageFailed from error

    def _streamed(self, chunks: Iterable[Buffer]) -> Iterator[bytes]:
        with self._troubles():
            for chunk in chunks:
                yield bytes(chunk)

    def _remove_bytes(self, artifact_id: str) -> None:
        try:
            obstore.delete(self._store, _key(artifact_id))
        except (NotFoundError, FileNotFoundError):
            return

    def _settle(self, artifact_id: str) -> None:
        """Have a local file reach the disk before anything refers to it."""
        if isinstance(self._store, LocalStore) and self._store.prefix is not None:
            path = self._store.prefix / _key(artifact_id)
            _sync(path, os.O_RDWR)
            if os.name == "posix":
                _sync(path.parent, os.O_RDONLY)

    @contextmanager
    def _troubles(self) -> Iterator[None]:
        try:
            yield
        except (NotFoundError, FileNotFoundError) as error:
            raise errors.NoSuchArtifact from error
        except (BaseError, OSError) as error:
            log.warning("artifact store: %s", error)
            raise errors.StorageFailed from error


def open_store(url: str | None, directory: Path) -> ObjectStore:
    """Return the store a setting names: `s3://bucket/prefix`, `memory:`, or else the directory.

    Credentials and endpoint of S3 come from the usual `AWS_` variables.
    """
    if url == "memory:":
        return MemoryStore()
    if url is not None:
        return from_url(url)
    return LocalStore(directory, mkdir=True)


def _key(artifact_id: str) -> str:
    return f"{artifact_id[:2]}/{artifact_id}"


def _is_past(row: RowMapping) -> bool:
    return row["expires_at"] is not None and row["expires_at"] <= now()


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _artifact(row: RowMapping) -> Artifact:
    values = dict(row)
    del values["is_removed"]
    return Artifact(**values)
