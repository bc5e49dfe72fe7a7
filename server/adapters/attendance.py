"""A worker's note of itself: which queues, which engines and cards, which job."""

from collections.abc import Sequence

import psutil

from server.adapters.worker import Shift
from server.engines.residency import Residency
from server.jobs.ports import Offer, WorkerNote, WorkerStore


class Attendance:
    """Keeps a worker's note fresh."""

    def __init__(
        self,
        worker: str,
        queues: Sequence[str],
        *,
        workers: WorkerStore,
        engines: Residency,
        shift: Shift,
    ) -> None:
        """Take the worker's name and queues, and where to look for the rest."""
        self._worker = worker
        self._queues = tuple(queues)
        self._workers = workers
        self._engines = engines
        self._shift = shift
        self._process = psutil.Process()

    def announce(self) -> None:
        """Write the note."""
        self._workers.announce(
            WorkerNote(
                id=self._worker,
                queues=self._queues,
                offers=self._offers(),
                loaded=tuple(self._engines.loaded()),
                devices=tuple(self._engines.devices()),
                job_id=self._shift.job_id,
                memory_mb=self._process.memory_info().rss // 2**20,
            )
        )

    def leave(self) -> None:
        """Remove the note."""
        self._workers.leave(self._worker)

    def _offers(self) -> tuple[Offer, ...]:
        return tuple(
            Offer(engine=name, available=it.available, reason=it.reason, advice=it.advice)
            for name, it in self._engines.offers().items()
        )
