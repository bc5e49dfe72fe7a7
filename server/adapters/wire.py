"""How this program talks to its broker: patience, one retry, and one error."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from server import errors

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 2.0
"""How long the broker may take to answer."""


def options() -> dict[str, Any]:
    """Return the settings of a connection: a caller is told soon, a stale socket is forgiven."""
    return {
        "socket_timeout": PATIENCE_SECONDS,
        "socket_connect_timeout": PATIENCE_SECONDS,
        "retry": Retry(NoBackoff(), 1),
    }


def connect(redis_url: str) -> redis.Redis:
    """Return a client that connects when first used."""
    return redis.Redis.from_url(redis_url, **options())


@contextmanager
def wire_down() -> Iterator[None]:
    """Turn what the client library raises into `errors.WireDown`."""
    try:
        yield
    except RedisError as error:
        log.warning("broker: %s", error)
        raise errors.WireDown from error
