"""Who is at work, in the database."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from sqlalchemy import RowMapping, delete, select

from server.adapters.database import Database
from server.adapters.tables import workers
from server.engines.catalog import Device
from server.jobs.ports import Offer, WorkerNote
from server.jobs.record import now

FORGOTTEN_AFTER = timedelta(hours=1)
"""Notes of workers that died without leaving are removed after this."""


class SqlWorkers:
    """A `WorkerStore`."""

    def __init__(self, database: Database) -> None:
        """Take a migrated database."""
        self._database = database

    def announce(self, note: WorkerNote) -> None:
        """Create or renew a worker's note."""
        self._database.put(workers, _row(note))

    def leave(self, worker_id: str) -> None:
        """Remove it, and the notes of those that died long ago."""
        is_gone = (workers.c.id == worker_id) | (workers.c.seen_at < now() - FORGOTTEN_AFTER)
        with self._database.transaction() as connection:
            connection.execute(delete(workers).where(is_gone))

    def live(self, within: timedelta) -> Sequence[WorkerNote]:
        """Return the workers seen within that time."""
        query = select(workers).where(workers.c.seen_at >= now() - within).order_by(workers.c.id)
        with self._database.transaction() as connection:
            return [_note(row) for row in connection.execute(query).mappings()]


def _row(note: WorkerNote) -> dict[str, Any]:
    return {
        "id": note.id,
        "queues": list(note.queues),
        "offers": [asdict(offer) for offer in note.offers],
        "loaded": list(note.loaded),
        "devices": [asdict(device) for device in note.devices],
        "job_id": note.job_id,
        "memory_mb": note.memory_mb,
        "seen_at": note.seen_at,
    }


def _note(row: RowMapping) -> WorkerNote:
    values = dict(row)
    values["offers"] = tuple(Offer(**offer) for offer in values["offers"])
    values["devices"] = tuple(Device(**device) for device in values["devices"])
    values["queues"], values["loaded"] = tuple(values["queues"]), tuple(values["loaded"])
    return WorkerNote(**values)
