"""Files and their facts: bytes in an object store, facts in the database.

The store is a directory, an S3 bucket or memory; keys are ids of ours, never names of clients.
Bytes are written first and whole (the store writes aside and renames), the facts after them:
whoever finds the facts finds the file. What a killed process leaves in between, half a file aside
or a whole one without facts, is nobody's; `remove_orphans` removes it when it is old enough.
"""

import logging
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import islice
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
from server.jobs.record import new_id, now

log = logging.getLogger(__name__)

CHUNK_BYTES = 2**20
"""About how much is read at once."""

ORPHAN_AGE = timedelta(hours=1)
"""Bytes without facts are nobody's by then; between writing the two lie seconds at most."""

PROBE_BYTES = 2**16
"""What a check of the store writes: so little fits nowhere only where nothing fits."""

PATIENCE = timedelta(seconds=30)
"""How long one request to a distant store may take, and how long it is tried again."""

_OURS = re.compile(r"([0-9a-f]{2})/\1[0-9a-f]{30}(#\d+)?")
"""Keys, and what the store calls a file that it writes aside."""

_MOST_RETRIES = 3
_CONNECT = timedelta(seconds=5)
_ASKED_AT_ONCE = 500


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
            errors.Unavailable: the facts cannot be kept. Nothing is left behind in either case.
        """
        facts.setdefault("expires_at", now() + self._keep)
        artifact = Artifact(name=name, media_type=media_type, size_bytes=len(data), **facts)
        try:
            with self._troubles():
                # what dies half way of a file sent in parts stays in a bucket, unseen and paid for
                obstore.put(self._store, _key(artifact.id), data, use_multipart=False)
                self._settle(artifact.id)
            self._note(artifact)
        except errors.MelodyflowError:
            with suppress(errors.StorageFailed), self._troubles():
                self._remove_bytes(artifact.id)
            raise
        return artifact

    def get(self, artifact_id: str) -> Artifact:
        """Return the facts. Raises `errors.NoSuchArtifact`, `errors.Expired`."""
        row = self._row(artifact_id)
        if row is None:
            raise errors.NoSuchArtifact
        if row["is_removed"] or _is_past(row):
            raise errors.Expired
        return _artifact(row)

    def owner_of(self, artifact_id: str) -> str | None:
        """Return whose it is, or was while it was there. Raises `errors.NoSuchArtifact`."""
        row = self._row(artifact_id)
        if row is None:
            raise errors.NoSuchArtifact
        owner: str | None = row["owner"]
        return owner

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

    def check(self) -> None:
        """Store a few bytes and remove them. Raises `errors.StorageFailed`."""
        probe = new_id()
        try:
            with self._troubles():
                obstore.put(self._store, _key(probe), bytes(PROBE_BYTES), use_multipart=False)
                self._settle(probe)
        finally:
            with suppress(errors.StorageFailed), self._troubles():
                self._remove_bytes(probe)

    def remove_orphans(self, *, older_than: timedelta = ORPHAN_AGE) -> int:
        """Remove bytes that nothing refers to and return how many files they were.

        A directory, or a prefix of a bucket, belongs to one record; names that are not of our
        making are left alone all the same.

        Raises:
            errors.StorageFailed, errors.Unavailable: it has to be tried again.
        """
        found = 0
        with self._troubles():
            for keys in _in_parts(_old_keys(self._store, now() - older_than)):
                orphans = set(keys) - self._known(keys)
                for key in orphans:
                    log.warning("removing %s, which nothing refers to", key)
                    _remove(self._store, key)
                found += len(orphans)
        return found

    def _known(self, keys: Collection[str]) -> set[str]:
        """Return those of the keys that facts refer to."""
        named = [key.rpartition("/")[2] for key in keys]
        query = select(artifacts.c.id).where(artifacts.c.id.in_(named), ~artifacts.c.is_removed)
        with self._database.transaction() as connection:
            return {_key(artifact_id) for artifact_id in connection.execute(query).scalars()}

    def _row(self, artifact_id: str) -> RowMapping | None:
        query = select(artifacts).where(artifacts.c.id == artifact_id)
        with self._database.transaction() as connection:
            return connection.execute(query).mappings().first()

    def _note(self, artifact: Artifact) -> None:
        with self._database.transaction() as connection:
            connection.execute(insert(artifacts).values(**asdict(artifact)))

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
            log.warning("artifact store: %s", str(error).partition("\n")[0])
            raise errors.StorageFailed from error


def open_store(url: str | None, directory: Path, *, patience: timedelta = PATIENCE) -> ObjectStore:
    """Return the store a setting names: `s3://bucket/prefix`, `memory:`, or else the directory.

    Credentials and endpoint of S3 come from the usual `AWS_` variables.
    """
    if url == "memory:":
        return MemoryStore()
    if url is not None:
        return from_url(
            url,
            client_options={
                "timeout": patience,
                "connect_timeout": min(patience, _CONNECT),
                "allow_http": True,  # where the endpoint is so; these options replace the variable
            },
            retry_config={"max_retries": _MOST_RETRIES, "retry_timeout": patience},
        )
    return LocalStore(directory, mkdir=True)


def _old_keys(store: ObjectStore, before: datetime) -> Iterator[str]:
    """Yield what was written before then, in a directory also what was not written to its end."""
    if isinstance(store, LocalStore) and store.prefix is not None:
        for path in store.prefix.glob("*/*"):
            key = path.relative_to(store.prefix).as_posix()
            with suppress(FileNotFoundError):  # written aside, and renamed meanwhile
                if _OURS.fullmatch(key) and path.stat().st_mtime < before.timestamp():
                    yield key
        return
    for some in obstore.list(store, chunk_size=_ASKED_AT_ONCE):
        for each in some:
            if _OURS.fullmatch(each["path"]) and each["last_modified"].astimezone(UTC) < before:
                yield each["path"]


def _in_parts(keys: Iterator[str]) -> Iterator[list[str]]:
    """Yield lists of keys, as many as the database is asked about at once."""
    while some := list(islice(keys, _ASKED_AT_ONCE)):
        yield some


def _remove(store: ObjectStore, key: str) -> None:
    """Remove by key; of half a file, whose name the store does not know, by its path."""
    if isinstance(store, LocalStore) and store.prefix is not None:
        (store.prefix / key).unlink(missing_ok=True)
    else:
        obstore.delete(store, key)


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
