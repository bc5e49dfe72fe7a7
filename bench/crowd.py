"""Many websocket clients in one thread, and the broker beside them: when does who hear what?

Speaks as much of Socket.IO as it needs. All times are of one clock, read when sockets are readable.
"""

import json
import re
import selectors
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import redis
import websocket

CHANNEL = "socketio"
FRAME_OF_EVENT = "42"
PING, PONG = "2", "3"
LOOK_SECONDS = 0.5
SETTLE_SECONDS = 1.0
"""What was sent while nobody listened yet has been read by then, and is nobody's delay."""

FIELDS = [re.compile(rf'"{name}": ?"?([^",]+)') for name in ("id", "progress", "stage")]
"""Cheaper than reading all of each view: two hundred clients share one thread here."""

News = tuple[str, float, str]
"""A job, how far it is, and its stage: what tells one event from the next."""


class Crowd:
    """Connections that follow the same jobs."""

    def __init__(self, connections: Sequence[websocket.WebSocket], ear: Any) -> None:
        """Take open connections and a subscription to the broker."""
        self._connections = connections
        self._ear = ear
        self._told: dict[News, list[float]] = defaultdict(list)
        self._heard: dict[tuple[int, News], list[float]] = defaultdict(list)
        self._ended: dict[str, int] = {}
        self._settled_at = 0.0

    @classmethod
    @contextmanager
    def connected(cls, url: str, redis_url: str, *, count: int) -> Iterator[Self]:
        """Connect that many clients, and hang up."""
        with redis.Redis.from_url(redis_url) as broker, broker.pubsub() as ear:
            ear.subscribe(CHANNEL)
            ear.get_message(timeout=LOOK_SECONDS)
            connections = [_connected(url) for _ in range(count)]
            yield cls(connections, ear)
            for each in connections:
                each.close()

    def follow(self, job_id: str) -> None:
        """Have every client follow a job."""
        for each in self._connections:
            each.send(f'42["follow",{json.dumps({"job_id": job_id})}]')
        self._ended[job_id] = 0

    def listen(self, *, seconds: float) -> None:
        """Hear news until every client heard every job end; at most for so long."""
        give_up_at = time.perf_counter() + seconds
        self._settled_at = time.perf_counter() + SETTLE_SECONDS
        with selectors.DefaultSelector() as selector:
            ear: Any = self._ear.connection._sock  # noqa: SLF001 - it hides what select needs
            selector.register(ear, selectors.EVENT_READ, self._overhear)
            for each in self._connections:
                wire: Any = each.sock
                selector.register(wire, selectors.EVENT_READ, _hear(self, each))
            while not self._is_over() and time.perf_counter() < give_up_at:
                ready = selector.select(LOOK_SECONDS)
                at = time.perf_counter()
                for key, _ in ready:
                    key.data(at)

    @property
    def delays(self) -> list[float]:
        """Seconds from the broker to each client, for every event that each of them heard."""
        # from the last on: a client may have come too late for the first
        return [
            at - since
            for (_, news), heard in self._heard.items()
            for at, since in zip(reversed(heard), reversed(self._told[news]), strict=False)
            if since > self._settled_at
        ]

    def _is_over(self) -> bool:
        return all(count == len(self._connections) for count in self._ended.values())

    def _overhear(self, at: float) -> None:
        # all there is: the client of the broker reads more than one message at a time
        while message := self._ear.get_message(timeout=0):
            text = message["data"].decode() if message["type"] == "message" else ""
            if '"event": "job"' in text:
                self._told[_news(text)].append(at)

    def hear(self, connection: websocket.WebSocket, at: float) -> None:
        """Take one frame of a client."""
        frame = str(connection.recv())
        if frame == PING:
            connection.send(PONG)
        elif frame.startswith(FRAME_OF_EVENT):
            news = _news(frame)
            self._heard[id(connection), news].append(at)
            self._ended[news[0]] += news[2] == "finished"


def _hear(crowd: Crowd, connection: websocket.WebSocket) -> Callable[[float], None]:
    return lambda at: crowd.hear(connection, at)


def _news(text: str) -> News:
    job_id, progress, stage = (each.search(text) for each in FIELDS)
    if not (job_id and progress and stage):
        raise ValueError("this is no view of a job")
    return job_id[1], float(progress[1]), stage[1]


def _connected(url: str) -> websocket.WebSocket:
    address = url.replace("http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket"
    # validation in pure Python would be most of what is measured
    connection: websocket.WebSocket = websocket.create_connection(
        address, timeout=30, skip_utf8_validation=True
    )
    connection.recv()
    connection.send("40")
    connection.recv()
    return connection
