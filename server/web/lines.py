"""Connections below Socket.IO: how many, how fast they may send, how much may wait for them.

Engine.IO keeps whatever a client does not read, takes whatever it sends, and waits for ever for a
connection that says nothing. Here each of these ends: the client that is cut off connects again and
asks for what it missed. What is cut off is never taken for somebody who was told.
"""

import logging
import socket as sockets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from engineio.async_drivers.threading import SimpleWebSocketWSGI
from socketio import packet

from server import errors

log = logging.getLogger(__name__)

MOST_WAITING = 512
"""Messages that may wait for a client to read them."""

MOST_WAITING_BYTES = 64 * 2**20
"""Bytes that may wait before more is put behind them; one message of any size always may."""

MOST_MESSAGES, MESSAGES_A_SECOND = 400, 50
"""How many messages may come at once, and how fast there may be more."""

MOST_BYTES, BYTES_A_SECOND = 256 * 2**20, 16 * 2**20

MOST_IGNORED = 100
"""Messages beyond that which are thrown away, after one warning, before the line is cut."""

LAST_WORDS_SECONDS = 1.0
"""How long a warning may take to go out before its line is cut."""

GREETING_SECONDS = 10.0
"""How long a connection may say nothing of who it is."""

SWEEP_SECONDS = 5.0

STRANGERS = 16
"""Connections beyond the most that are let in so far as to be told that there are too many."""


@dataclass(slots=True)
class Budget:
    """What one connection may still send. Full at first; fills again as time goes by."""

    clock: Callable[[], float] = time.monotonic
    messages: float = MOST_MESSAGES
    bytes_: float = MOST_BYTES
    ignored: int = 0
    at: float = field(init=False)

    def __post_init__(self) -> None:
        """Start now."""
        self.at = self.clock()

    def spend(self, size_bytes: int) -> bool:
        """Count a message; False where it is too much. What is too much counts as ignored."""
        seconds, self.at = self.clock() - self.at, self.clock()
        self.messages = min(MOST_MESSAGES, self.messages + seconds * MESSAGES_A_SECOND)
        self.bytes_ = min(MOST_BYTES, self.bytes_ + seconds * BYTES_A_SECOND)
        if self.messages < 1 or self.bytes_ < size_bytes:
            self.ignored += 1
            return False
        self.messages -= 1
        self.bytes_ -= size_bytes
        if self.messages > MOST_MESSAGES / 2:
            self.ignored = 0
        return True


class Line(SimpleWebSocketWSGI):  # type: ignore[misc]
    """A websocket that can be cut while another thread waits in it to send or to receive."""

    def __init__(self, handler: Any, server: Any, **options: Any) -> None:
        """Take what Engine.IO gives; its connection knows its line from then on."""

        def begin(line: "Line") -> Any:
            handler.__self__.line = line
            return handler(line)

        super().__init__(begin, server, **options)

    def cut(self) -> None:
        """End it at once."""
        with suppress(OSError):
            self.ws.sock.shutdown(sockets.SHUT_RDWR)


class Lines:
    """Every connection of one Socket.IO server."""

    def __init__(self, server: Any, *, most: int, is_welcome: Callable[[str], bool]) -> None:
        """Take the server; `is_welcome` says of a connection that greeted if it may stay."""
        self._server = server
        self._eio = server.eio
        self._most = most
        self._is_welcome = is_welcome
        self._budgets: dict[str, Budget] = {}
        self._since: dict[str, float] = {}
        self._doomed: set[str] = set()
        self._is_swept = False
        self._inner = dict(self._eio.handlers)
        self._put = self._eio.send_packet

    def attach(self) -> None:
        """Stand between Engine.IO and Socket.IO."""
        self._eio.on("connect", self._connected)
        self._eio.on("message", self._heard)
        self._eio.on("disconnect", self._gone)
        self._eio.send_packet = self._send
        if self._server.async_mode == "threading":
            self._eio._async = {**self._eio._async, "websocket": Line}  # noqa: SLF001 - a table

    def cut(self, eio_sid: str, *, after_seconds: float = 0.0) -> None:
        """End a connection as if the network had; what it was told before has so long to go out."""
        if eio_sid in self._doomed:
            return
        self._doomed.add(eio_sid)
        # whatever is done about its end is not done in the thread that speaks to the others
        self._eio.start_background_task(self._end, eio_sid, after_seconds)

    def _end(self, eio_sid: str, after_seconds: float) -> None:
        self._eio.sleep(after_seconds)
        connection = self._eio.sockets.get(eio_sid)
        if connection is not None:
            _cut(connection)
            connection.close(wait=False, abort=True, reason=self._eio.reason.TRANSPORT_ERROR)

    def _connected(self, eio_sid: str, environ: Any) -> Any:
        if len(self._eio.sockets) > self._most + STRANGERS:
            return errors.AtCapacity().message
        self._since[eio_sid] = time.monotonic()
        self._budgets[eio_sid] = Budget()
        if not self._is_swept:
            self._is_swept = True
            self._eio.start_background_task(self._sweep)
        return self._inner["connect"](eio_sid, environ)

    def _heard(self, eio_sid: str, data: Any) -> Any:
        budget = self._budgets.get(eio_sid)
        if budget is None or eio_sid in self._doomed:
            return None
        if budget.spend(_size(data)):
            return self._inner["message"](eio_sid, data)
        if budget.ignored == 1:
            self._eio.send(eio_sid, _warning())
        elif budget.ignored > MOST_IGNORED:
            log.warning("a connection was cut, it sent too much")
            self.cut(eio_sid, after_seconds=LAST_WORDS_SECONDS)
        return None

    def _gone(self, eio_sid: str, reason: str) -> None:
        connection = self._eio.sockets.get(eio_sid)
        self._budgets.pop(eio_sid, None)
        self._since.pop(eio_sid, None)
        self._doomed.discard(eio_sid)
        if connection is not None and reason == self._eio.reason.PING_TIMEOUT:
            _cut(connection)  # else its threads wait for it as long as the network does
        self._inner["disconnect"](eio_sid, reason)
        if connection is not None and connection.upgraded:
            # Engine.IO forgets websockets a while later, and until then they count as open
            self._eio.sockets.pop(eio_sid, None)

    def _send(self, eio_sid: str, message: Any) -> None:
        if eio_sid in self._doomed:
            return
        connection = self._eio.sockets.get(eio_sid)
        if connection is not None and _is_full(connection.queue):
            log.warning("a connection was cut, it does not read what it is sent")
            self.cut(eio_sid)
            return
        self._put(eio_sid, message)

    def _sweep(self) -> None:
        while self._since:
            self._eio.sleep(SWEEP_SECONDS)
            for eio_sid, since in list(self._since.items()):
                self._look_at(eio_sid, since)
        self._is_swept = False

    def _look_at(self, eio_sid: str, since: float) -> None:
        sid = self._server.manager.sid_from_eio_sid(eio_sid, "/")
        if sid is None:
            if time.monotonic() - since > GREETING_SECONDS:
                self.cut(eio_sid)
        elif not self._is_welcome(sid):
            self.cut(eio_sid)


def _cut(connection: Any) -> None:
    if (line := getattr(connection, "line", None)) is not None:
        line.cut()


def _is_full(waiting: Any) -> bool:
    sizes = [_size(each.data) for each in list(waiting.queue) if each is not None]
    return len(sizes) >= MOST_WAITING or sum(sizes) > MOST_WAITING_BYTES


def _size(data: object) -> int:
    return len(data) if isinstance(data, str | bytes) else 0


def _warning() -> str:
    error = errors.TooManyRequests()
    told = {"message": error.message, "code": error.code}
    encoded: str = packet.Packet(packet.EVENT, data=["error", told]).encode()
    return encoded
