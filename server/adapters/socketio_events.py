"""Events as Socket.IO messages, through the broker to whichever process holds the sockets."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import socketio

from server.adapters import wire
from server.jobs.events import Event, Translator

CHANNEL = "socketio"
"""The channel of the web process' own message queue."""


class SocketioEvents:
    """`Events` that write to the broker and never read from it."""

    def __init__(self, redis_url: str, translators: Sequence[Translator]) -> None:
        """Take the broker and what turns events into messages; connects with the first message."""
        self._redis_url = redis_url
        self._translators = translators

    def publish(self, event: Event) -> None:
        """Send what the translators make of it; messages are lost while the broker is away."""
        for translate in self._translators:
            for emission in translate(event):
                self._manager.emit(emission.name, dict(emission.payload), room=emission.room)

    @cached_property
    def _manager(self) -> Any:
        return socketio.RedisManager(
            self._redis_url, channel=CHANNEL, write_only=True, redis_options=wire.options()
        )
