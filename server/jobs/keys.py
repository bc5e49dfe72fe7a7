"""API keys: who may call, and how much. The text of a key is shown once and kept nowhere.

A key is `mf_<id>_<secret>`. Of the whole text a SHA-256 is kept. A slow hash, as passwords need it,
would buy nothing here: the secret is 192 random bits, which nobody guesses however fast a guess is,
and every request would pay for it.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from server.jobs.record import now

USED_EVERY = timedelta(minutes=1)
"""How exactly it is known when a key was used last: not every request is a write."""

_ID_BYTES = 6
_SECRET_BYTES = 24
_TEXT = re.compile(rf"mf_([0-9a-f]{{{2 * _ID_BYTES}}})_[0-9a-f]{{{2 * _SECRET_BYTES}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What is kept of a key. Numbers that are None are those of the settings."""

    id: str
    name: str
    digest: str
    is_admin: bool = False
    requests_per_minute: int | None = None
    jobs_at_once: int | None = None
    created_at: datetime = field(default_factory=now)
    used_at: datetime | None = None
    revoked_at: datetime | None = None


class Keys(Protocol):
    """The keys there are."""

    def add(self, key: Key) -> None:
        """Keep a new one."""
        ...

    def find(self, key_id: str) -> Key | None:
        """Return a key, revoked or not, None where there is none."""
        ...

    def all(self) -> Sequence[Key]:
        """Return every key, oldest first."""
        ...

    def use(self, key_id: str, at: datetime) -> None:
        """Note that it was used."""
        ...

    def revoke(self, key_id: str, at: datetime) -> bool:
        """Have it refused from now on; False where no such key was good."""
        ...


class Rates(Protocol):
    """Counts what callers do."""

    def spend(self, what: str, who: str, *, per_minute: int) -> float | None:
        """Count one; None if it was allowed, else in how many seconds the next one will be."""
        ...


def made(
    name: str,
    *,
    is_admin: bool = False,
    requests_per_minute: int | None = None,
    jobs_at_once: int | None = None,
) -> tuple[Key, str]:
    """Return a new key, and its text, which nobody can find out later."""
    key_id = secrets.token_hex(_ID_BYTES)
    text = f"mf_{key_id}_{secrets.token_hex(_SECRET_BYTES)}"
    key = Key(
        id=key_id,
        name=name,
        digest=digest_of(text),
        is_admin=is_admin,
        requests_per_minute=requests_per_minute,
        jobs_at_once=jobs_at_once,
    )
    return key, text


def digest_of(text: str) -> str:
    """Return what is kept of a key's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def recognised(keys: Keys, text: str) -> Key | None:
    """Return the key with this text, None where it is none or was revoked."""
    parts = _TEXT.fullmatch(text)
    key = keys.find(parts.group(1)) if parts else None
    if key is None or key.revoked_at is not None:
        return None
    if not hmac.compare_digest(key.digest, digest_of(text)):
        return None
    if key.used_at is None or now() - key.used_at > USED_EVERY:
        keys.use(key.id, now())
    return key
