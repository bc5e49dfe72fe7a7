"""How often callers did something in the last minute, counted on the broker for all web processes.

While the broker is away each process counts by itself: that lets a little more through, and nobody
waits for a broker to be refused.
"""

import logging
import time
from functools import cached_property
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from server.adapters import wire

if TYPE_CHECKING:
    from limits.strategies import SlidingWindowCounterRateLimiter

log = logging.getLogger(__name__)

AWAY_SECONDS = 5.0
"""How long a broker that did not answer is left alone."""


class WireRates:
    """A `Rates`."""

    def __init__(self, redis_url: str | None) -> None:
        """Take the broker, None to count in this process alone; connects when first used."""
        self._redis_url = redis_url
        self._away_until = 0.0

    def spend(self, what: str, who: str, *, per_minute: int) -> float | None:
        """Count one; None if it was allowed, else in how many seconds the next one will be."""
        if self._redis_url is not None and time.monotonic() >= self._away_until:
            try:
                return _spent(self._shared, per_minute, what, who)
            except RedisError as error:
                log.warning("rates are counted here: %s", error)
                self._away_until = time.monotonic() + AWAY_SECONDS
        return _spent(self._here, per_minute, what, who)

    # the library is imported with the first count: servers that ask for no keys never count

    @cached_property
    def _here(self) -> "SlidingWindowCounterRateLimiter":
        from limits.storage import MemoryStorage  # noqa: PLC0415 - as above
        from limits.strategies import SlidingWindowCounterRateLimiter  # noqa: PLC0415

        return SlidingWindowCounterRateLimiter(MemoryStorage())

    @cached_property
    def _shared(self) -> "SlidingWindowCounterRateLimiter":
        from limits.storage import RedisStorage  # noqa: PLC0415 - as above
        from limits.strategies import SlidingWindowCounterRateLimiter  # noqa: PLC0415

        options = wire.options()
        storage = RedisStorage(str(self._redis_url), key_prefix="melodyflow:rates", **options)
        return SlidingWindowCounterRateLimiter(storage)


def _spent(
    limiter: "SlidingWindowCounterRateLimiter", per_minute: int, what: str, who: str
) -> float | None:
    from limits import RateLimitItemPerMinute  # noqa: PLC0415 - as above

    item = RateLimitItemPerMinute(per_minute)
    if limiter.hit(item, what, who):
        return None
    return max(0.0, limiter.get_window_stats(item, what, who).reset_time - time.time())
