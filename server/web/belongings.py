"""What is whose. Stores as one caller meets them: what is somebody else's is not there.

What a caller makes is theirs. Sessions have names that clients may choose; one that is taken by
somebody else can be neither read nor taken.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from server import errors
from server.jobs.ports import Artifact, ArtifactStore, Session, SessionStore
from server.web.callers import Caller


@dataclass(frozen=True, slots=True)
class OwnArtifacts:
    """An `ArtifactStore` as a caller meets it."""

    store: ArtifactStore
    caller: Caller

    def save(self, data: bytes, *, name: str, media_type: str, **facts: Any) -> Artifact:
        """Store bytes as the caller's."""
        owned = {**facts, "owner": self.caller.id}
        return self.store.save(data, name=name, media_type=media_type, **owned)

    def get(self, artifact_id: str) -> Artifact:
        """Return the facts. Raises `errors.NoSuchArtifact`, `errors.Expired`."""
        return self._seen(artifact_id)

    def owner_of(self, artifact_id: str) -> str | None:
        """Return whose it is, or was while it was there. Raises `errors.NoSuchArtifact`."""
        return self.store.owner_of(artifact_id)

    def read(self, artifact_id: str) -> bytes:
        """Return all bytes. Raises as `get`."""
        return self.store.read(self._seen(artifact_id).id)

    def chunks(self, artifact_id: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes [start, end). Raises as `get`."""
        return self.store.chunks(self._seen(artifact_id).id, start, end)

    def delete(self, artifact_id: str) -> None:
        """Remove it; ids that are unknown to the caller are no error."""
        try:
            self.store.delete(self._seen(artifact_id).id)
        except errors.NotFound:
            return

    def check(self) -> None:
        """Raise as the store does if nothing can be stored."""
        self.store.check()

    def expired(self, at: datetime) -> Sequence[Artifact]:
        """Return artifacts of the caller past `expires_at` that were not removed yet."""
        return [each for each in self.store.expired(at) if self.caller.may_see(each.owner)]

    def _seen(self, artifact_id: str) -> Artifact:
        # asked first: that something was here once is nobody else's business either
        if not self.caller.may_see(self.store.owner_of(artifact_id)):
            raise errors.NoSuchArtifact
        return self.store.get(artifact_id)


@dataclass(frozen=True, slots=True)
class OwnSessions:
    """A `SessionStore` as a caller meets it; sessions of others raise `errors.NoSuchSession`."""

    store: SessionStore
    caller: Caller

    def find(self, session_id: str) -> Session | None:
        """Return a session or None."""
        session = self.store.find(session_id)
        if session is not None and not self.caller.may_see(session.owner):
            raise errors.NoSuchSession
        return session

    def put(self, session: Session) -> None:
        """Create or replace; a new one is the caller's."""
        here = self.find(session.id)
        owner = here.owner if here is not None else self.caller.id
        self.store.put(replace(session, owner=owner))

    def delete(self, session_id: str) -> None:
        """Forget it; unknown ids are no error."""
        if self.find(session_id) is not None:
            self.store.delete(session_id)

    def forget_unused(self, since: datetime) -> int:
        """Forget what nobody used; no caller does."""
        return self.store.forget_unused(since)
