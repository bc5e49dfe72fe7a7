"""How the web process hears what others tell its connections, and what it does after deafness.

News on the broker is lost while nobody listens, and what is lost with a job's ending would be
waited for for ever. So coming back to the broker is told to whoever can tell the news again.
"""

import logging
import time
from collections.abc import Callable, Iterator
from datetime import datetime

import redis
import socketio
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from server.jobs.record import now

log = logging.getLogger(__name__)

CHANNEL = "socketio"
"""Where workers and other servers of the same contract write their messages on the broker."""

RECONNECT_SECONDS = 0.5

CONNECT_SECONDS = 2.0


class Hearing(socketio.RedisManager):  # type: ignore[misc]  # the library has no types
    """Connections of this process, and what the broker brings for them.

    The library's own ear waits up to a minute before it tries again, and tells nobody.

    Attributes:
        on_return: called in a thread when news was lost, with the moment since which it may be.
    """

    def __init__(self, redis_url: str) -> None:
        """Take the broker; connects with the first client."""
        super().__init__(redis_url, channel=CHANNEL)
        self.on_return: Callable[[datetime], None] = lambda _since: None

    def _listen(self) -> Iterator[bytes]:
        heard_at = now()
        is_first, is_deaf = True, False
        while True:
            try:
                for kind, data in self._messages():
                    if kind == "message":
                        heard_at = now()
                        yield data
                    elif not is_first:
                        log.warning("the broker is heard again")
                        self.server.start_background_task(self.on_return, heard_at)
                    is_first = is_deaf = False
            except RedisError as error:
                if not is_deaf:
                    log.warning("the broker is not heard: %s", error)
                is_deaf = True
            time.sleep(RECONNECT_SECONDS)

    def _messages(self) -> Iterator[tuple[str, bytes]]:
        """Yield what is heard; first of all that the broker listens to us."""
        broker = redis.Redis.from_url(
            self.redis_url,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),  # a silent return would be one that nobody hears of
        )
        with broker, broker.pubsub() as ear:  # type: ignore[no-untyped-call]
            ear.subscribe(self.channel)
            for message in ear.listen():
                yield message["type"], message["data"]
