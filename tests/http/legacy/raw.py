"""A websocket by hand: a client that reads when it likes, or never."""

import base64
import json
import os
import socket
import struct
from typing import Any
from urllib.parse import urlsplit

PATIENCE_SECONDS = 20.0
_SMALL_BYTES = 4096


class RawClient:
    """One connection whose receiving buffer is small, so that what is not read waits elsewhere."""

    def __init__(self, url: str, *, query: str = "") -> None:
        parts = urlsplit(url)
        self._socket = socket.socket()
        self._socket.settimeout(PATIENCE_SECONDS)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BYTES)
        self._socket.connect((parts.hostname, parts.port))
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET /socket.io/?EIO=4&transport=websocket{query} HTTP/1.1\r\n"
            f"Host: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        try:
            self.read_until(b"pingTimeout")
        except AssertionError:
            self.close()
            raise

    def greet(self, auth: dict[str, Any] | None = None) -> None:
        """Connect to Socket.IO and wait for its answer."""
        self.send("40" + (json.dumps(auth) if auth else ""))
        self.read_until(b'"sid"')

    def say(self, name: str, payload: Any) -> None:
        """Send an event."""
        self.send("42" + json.dumps([name, payload]))

    def send(self, text: str) -> None:
        """Send one message."""
        data = text.encode()
        # a mask of zeros is a mask: the server undoes it and nothing has changed
        small = struct.pack("!BB", 0x81, 0x80 | min(len(data), 126))
        size = small if len(data) < 126 else small + struct.pack("!H", len(data))
        self._socket.sendall(size + bytes(4) + data)

    def read_until(self, wanted: bytes) -> bytes:
        """Read until something was said."""
        read = b""
        while wanted not in read:
            more = self._socket.recv(_SMALL_BYTES)
            assert more, read
            read += more
        return read

    def read_to_the_end(self) -> bytes:
        """Read what is left until the server has hung up."""
        read = b""
        try:
            while more := self._socket.recv(2**16):
                read += more
        except ConnectionResetError:
            pass
        return read

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
