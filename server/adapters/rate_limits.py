"""How often callers did something in the last minute, counted on the broker for all web processes.

While the broker is away each process counts by itself: that lets a little more through, and nobody
waits for a broker to be refused.
"""

import logging
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage, Storage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis.exceptions import RedisError

from server.adapters import wire

log = logging.getLogger(__name__)

AWAY_SECONDS = 5.0
"""How long a broker that did not answer is left alone."""


class WireRates:
    """A `Rates`."""

    def __init__(self, redis_url: str | None) -> None:
        """Take the broker, None to count in this process alone; connects when first used."""
        self._redis_url = redis_url
        self._here = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared: SlidingWindowCounterRateLimiter | None = None
        self._away_until = 0.0

    def spend(self, what: str, who: str, *, per_minute: int) -> float | None:
        """Count one; None if it was allowed, else in how many seconds the next one will be."""
        item = RateLimitItemPerMinute(per_minute)
        if self._redis_url is not None and time.monotonic() >= self._away_until:
            try:
                return _spent(self._limiter(self._redis_url), item, what, who)
            except RedisError as error:
                log.warning("rates are counted here: %s", error)
                self._away_until = time.monotonic() + AWAY_SECONDS
        return _spent(self._here, item, what, who)

    def _limiter(self, redis_url: str) -> SlidingWindowCounterRateLimiter:
        if self._shared is None:
            storage: Storage = RedisStorage(
                redis_url, key_prefix="melodyflow:rates", **wire.options()
            )
            self._shared = SlidingWindowCounterRateLimiter(storage)
        return self._shared


def _spent(
    limiter: SlidingWindowCounterRateLimiter, item: RateLimitItemPerMinute, what: str, who: str
) -> float | None:
    if limiter.hit(item, what, who):
        return None
    return max(0.0, limiter.get_window_stats(item, what, who).reset_time - time.time())
