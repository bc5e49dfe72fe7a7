"""A client as gary4live's: websocket only, protocol 5."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import socketio

PATIENCE_SECONDS = 20.0


class Listener:
    """One connection, and everything heard on it."""

    def __init__(self, url: str) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.refusals: list[Any] = []
        self._changed = threading.Condition()
        # validation of megabytes of text in pure Python takes seconds
        options = {"skip_utf8_validation": True}
        self._client = socketio.Client(reconnection=False, websocket_extra_options=options)
        self._client.on("*", self._hear)
        self._client.on("connect_error", self.refusals.append)
        with suppress(socketio.exceptions.ConnectionError):
            self._client.connect(url, transports=["websocket"], wait_timeout=PATIENCE_SECONDS)
        # the library forgets it, and leaves it open, when the server is the one who hangs up
        self._wire = self._client.eio.ws and self._client.eio.ws.sock

    def close(self) -> None:
        """Hang up, without the three seconds that the library waits for a goodbye."""
        if self._wire is None:
            return
        with suppress(OSError):  # it was closed, or the other end is gone
            self._wire.shutdown(socket.SHUT_RDWR)
        self._client.eio.wait()
        self._wire.close()

    def say(self, name: str, payload: Any) -> Any:
        """Send an event and return its acknowledgement."""
        return self._client.call(name, payload, timeout=PATIENCE_SECONDS)

    def order(self, audio: str) -> None:
        """Ask for a transform."""
        fields = {"audio_data": audio, "variation": "celtic", "session_id": None}
        self.say("transform_audio_request", fields)

    def awaited(self, name: str) -> Any:
        """Return the first payload of a name as soon as it is there."""
        with self._changed:
            assert self._changed.wait_for(lambda: name in self.names, PATIENCE_SECONDS)
        return next(payload for each, payload in self.heard if each == name)

    def await_that(self, is_so: Callable[[], object]) -> None:
        """Return as soon as something holds of what was heard."""
        with self._changed:
            assert self._changed.wait_for(is_so, PATIENCE_SECONDS)

    def all_of(self, name: str) -> list[Any]:
        """Return every payload of a name so far."""
        return [payload for each, payload in self.heard if each == name]

    @property
    def names(self) -> list[str]:
        """The names of everything heard so far, in order."""
        return [name for name, _ in self.heard]

    def _hear(self, name: str, payload: Any) -> None:
        with self._changed:
            self.heard.append((name, payload))
            self._changed.notify_all()
