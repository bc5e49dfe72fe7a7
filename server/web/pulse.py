"""How the server is, looked up in the background: reading it neither computes nor waits.

Plugins take a server whose `/health` is slower than a second for dead, and a broker that is gone
can take longer than that to say so.
"""

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

import psutil
from flask import Flask, current_app

from server.jobs.ports import WorkerNote
from server.web.services import Services

FRESH_SECONDS = 1.0
"""An answer younger than this is not looked up again."""

PATIENCE_SECONDS = 0.03
"""How long a reader waits for a look-up to finish."""

GIVEN_UP_SECONDS = 5.0
"""A look-up that takes longer leaves what it is about unknown."""

_EXTENSION = "melodyflow.pulse"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What psutil says."""

    cores: int
    cpu_percent: float
    memory_total: int
    memory_used: int
    memory_percent: float
    disk_total: int
    disk_used: int


class Watched(Generic[T]):
    """A value that is looked up in the background when somebody asks for it."""

    def __init__(self, look: Callable[[], T], pool: ThreadPoolExecutor) -> None:
        """Take how to look it up; whatever `look` raises makes the value unknown."""
        self._look = look
        self._pool = pool
        self._lock = threading.Lock()
        self._looking: Future[T] | None = None
        self._since = 0.0
        self._known: T | None = None

    def read(self) -> T | None:
        """Return the value as far as it is known within `PATIENCE_SECONDS`."""
        with self._lock:
            looking = self._looking_now()
        wait([looking], timeout=PATIENCE_SECONDS)
        if looking.done():
            self._known = None if looking.exception() else looking.result()
        elif time.monotonic() - self._since > GIVEN_UP_SECONDS:
            self._known = None
        return self._known

    def _looking_now(self) -> Future[T]:
        is_old = time.monotonic() - self._since > FRESH_SECONDS
        if self._looking is None or (self._looking.done() and is_old):
            self._looking, self._since = self._pool.submit(self._look), time.monotonic()
        return self._looking


class Pulse:
    """Wire, record, workers and machine."""

    def __init__(self, services: Services) -> None:
        """Take the ports to look at; nothing is looked up yet."""
        pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="pulse")
        self.started_at = time.monotonic()
        self.wire: Watched[bool] = Watched(services.queue.ping, pool)
        self.waiting: Watched[int] = Watched(services.jobs.waiting, pool)
        self.workers: Watched[Sequence[WorkerNote]] = Watched(services.live_workers, pool)
        self.machine: Watched[Machine] = Watched(
            lambda: _machine(str(services.settings.data_dir)), pool
        )

    def attach(self, app: Flask) -> None:
        """Make this the pulse of an app."""
        app.extensions[_EXTENSION] = self


def current() -> Pulse:
    """Return the pulse of the app that handles the present request."""
    pulse: Pulse = current_app.extensions[_EXTENSION]
    return pulse


def _machine(folder: str) -> Machine:
    memory, disk = psutil.virtual_memory(), shutil.disk_usage(folder)
    return Machine(
        cores=psutil.cpu_count() or 1,
        cpu_percent=psutil.cpu_percent(interval=None),
        memory_total=memory.total,
        memory_used=memory.total - memory.available,
        memory_percent=memory.percent,
        disk_total=disk.total,
        disk_used=disk.used,
    )
