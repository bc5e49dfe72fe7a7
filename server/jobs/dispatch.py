"""Decides which queued jobs are on the wire: those whose turn it is.

The record is the truth about the line; the wire carries what may run now, in the order in which it
may. So a job whose turn has not come cannot stand in front of one whose turn it is.
"""

import logging
from dataclasses import dataclass

from server import errors
from server.jobs.ports import JobStore, Queue
from server.jobs.record import Job, Status

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Dispatch:
    """Puts jobs on the wire as their turns come. Safe anywhere, any number of times at once."""

    jobs: JobStore
    queue: Queue

    def new(self, job: Job) -> None:
        """Hand over a job that was just recorded, if it is its turn.

        Raises:
            errors.WireDown: the broker does not answer, whether it is its turn or not.
        """
        if job.owner is None or job.id in {each.id for each in self.jobs.due(owner=job.owner)}:
            self.queue.enqueue(job)
        elif not self.queue.ping():
            raise errors.WireDown

    def after(self, job: Job) -> None:
        """Hand over what may run now that a job has left its worker or the line.

        Raises nothing of the wire: what it does not take, `everything` hands over later.
        """
        try:
            if job.status is Status.QUEUED and job.owner is None:
                self.queue.enqueue(job)
            elif job.owner is not None:
                self._hand_over(job.owner)
        except errors.WireDown:
            log.warning("the wire is down, waiting jobs stay in the record")

    def everything(self) -> None:
        """Hand over all that may run and that the wire does not know.

        Raises:
            errors.WireDown: the broker does not answer.
        """
        self._hand_over(None)

    def _hand_over(self, owner: str | None) -> None:
        for job in self.jobs.due(owner=owner):
            if not self.queue.knows(job):
                self.queue.enqueue(job)
