"""A receiver of webhooks that answers as a test says."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from ssl import SSLContext


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


Reply = tuple[int, dict[str, str]]


@dataclass
class Receiver:
    """What came, and what is answered: `reply` of how many came before."""

    port: int
    reply: Callable[[int], Reply]
    received: list[Received] = field(default_factory=list)
    arrivals: "Queue[Received]" = field(default_factory=Queue)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/hook?token=1"

    def next(self) -> Received:
        """Wait for the next request."""
        return self.arrivals.get(timeout=20)


@contextmanager
def receiving(
    reply: Callable[[int], Reply] = lambda _before: (204, {}), *, tls: SSLContext | None = None
) -> Iterator[Receiver]:
    """Listen on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            came = Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            before = len(receiver.received)
            receiver.received.append(came)
            receiver.arrivals.put(came)
            status, headers = receiver.reply(before)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass  # a client that hangs up is expected here

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    receiver = Receiver(server.server_port, reply)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def hanging() -> Iterator[Receiver]:
    """Listen, take a request and never answer until the end."""
    over = threading.Event()

    def hang(_before: int) -> Reply:
        over.wait(60)
        return 200, {}

    with receiving(hang) as receiver:
        try:
            yield receiver
        finally:
            over.set()
