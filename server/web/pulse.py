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
from typing import Any, Generic, TypeVar

import psutil
from flask import Flask, current_app

from server import errors
from server.jobs.ports import WorkerNote
from server.web.services import Services

FRESH_SECONDS = 1.0
"""An answer younger than this is not looked up again."""

STORAGE_SECONDS = 15.0
"""Whether something can be stored is found out by storing something, so not every second."""

PATIENCE_SECONDS = 0.03
"""How long a reader in a hurry waits for look-ups to finish."""

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
    disk_free: int
    own_memory: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How everything is, as far as it is known: None is unknown."""

    wire: bool | None
    waiting: int | None
    workers: Sequence[WorkerNote] | None
    machine: Machine | None
    storage: bool | None


class Watched(Generic[T]):
    """A value that is looked up in the background when somebody asks for it."""

    def __init__(
        self, look: Callable[[], T], pool: ThreadPoolExecutor, *, seconds: float | None = None
    ) -> None:
        """Take how to look it up, and how long what was found is fresh.

        Whatever `look` raises makes the value unknown.
        """
        self._look = look
        self._seconds = seconds
        self._pool = pool
        self._lock = threading.Lock()
        self._looking: Future[T] | None = None
        self._since = 0.0
        self._known: T | None = None

    def refresh(self) -> Future[T]:
        """Return the look-up that is under way, or was lately; begin one if need be."""
        with self._lock:
            self._learn()
            is_old = time.monotonic() - self._since > (self._seconds or FRESH_SECONDS)
            if self._looking is None or (self._looking.done() and is_old):
                self._looking, self._since = self._pool.submit(self._look), time.monotonic()
            return self._looking

    @property
    def value(self) -> T | None:
        """What was found last; None if that failed, or if finding out takes too long."""
        with self._lock:
            self._learn()
            is_stuck = self._looking is not None and not self._looking.done()
            if is_stuck and time.monotonic() - self._since > GIVEN_UP_SECONDS:
                self._known = None
            return self._known

    def _learn(self) -> None:
        looked = self._looking
        if looked is not None and looked.done():
            self._known = None if looked.exception() else looked.result()


class Pulse:
    """Wire, record, workers, machine and storage."""

    def __init__(self, services: Services) -> None:
        """Take the ports to look at; nothing is looked up yet."""
        folder = str(services.settings.data_dir)
        pool = ThreadPoolExecutor(max_workers=5, thread_name_prefix="pulse")
        self.started_at = time.monotonic()
        self._wire: Watched[bool] = Watched(services.queue.ping, pool)
        self._waiting: Watched[int] = Watched(services.jobs.waiting, pool)
        self._workers: Watched[Sequence[WorkerNote]] = Watched(services.live_workers, pool)
        self._machine: Watched[Machine] = Watched(lambda: _machine(folder), pool)
        self._storage: Watched[bool] = Watched(
            lambda: _can_store(services), pool, seconds=STORAGE_SECONDS
        )

    def read(self, *, patience_seconds: float = PATIENCE_SECONDS) -> Reading:
        """Look at everything at once, for so long at most."""
        watched: tuple[Watched[Any], ...]
        watched = (self._wire, self._waiting, self._workers, self._machine, self._storage)
        looking: list[Future[Any]] = [each.refresh() for each in watched]
        wait(looking, timeout=patience_seconds)
        return Reading(
            wire=self._wire.value,
            waiting=self._waiting.value,
            workers=self._workers.value,
            machine=self._machine.value,
            storage=self._storage.value,
        )

    def attach(self, app: Flask) -> None:
        """Make this the pulse of an app."""
        app.extensions[_EXTENSION] = self


def current() -> Pulse:
    """Return the pulse of the app that handles the present request."""
    pulse: Pulse = current_app.extensions[_EXTENSION]
    return pulse


def _can_store(services: Services) -> bool:
    try:
        services.artifacts.check()
    except errors.StorageFailed:
        return False
    return True


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
        disk_free=disk.free,
        own_memory=psutil.Process().memory_info().rss,
    )
