"""How a receiver knows that a webhook is ours and fresh: the headers of Standard Webhooks.

Each owner has a secret, derived from one of the server's, so that nothing has to be kept of it and
nobody can sign for anybody else.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping

SECRET_NAME = "webhooks"  # noqa: S105 - where it is kept, not what it is
"""The server's secret that those of owners are derived from."""

PREFIX = "whsec_"


def secret_of(owner: str | None, *, master: bytes) -> bytes:
    """Return what is signed with for an owner: 32 bytes."""
    return _digest(master, f"webhook:{owner or ''}".encode())


def shown(secret: bytes) -> str:
    """Return a secret as the libraries of receivers take it."""
    return PREFIX + base64.b64encode(secret).decode()


def headers(secret: bytes, *, message_id: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """Return the headers that go with a body at a time in seconds since 1970."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": "v1," + base64.b64encode(_digest(secret, signed)).decode(),
    }


def _digest(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()
