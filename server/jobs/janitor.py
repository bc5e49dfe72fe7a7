"""Puts right what crashes and restarts leave behind. Safe anywhere, any number of times at once."""

import logging
from dataclasses import dataclass
from datetime import timedelta

from server import errors
from server.jobs.dispatch import Dispatch
from server.jobs.events import event_of
from server.jobs.ports import ArtifactStore, Events, JobStore, Queue, SessionStore
from server.jobs.record import WORKER_LOST, Job, JobError, Status, now

log = logging.getLogger(__name__)

OUTLIVE = timedelta(hours=1)
"""How much longer than sounds sessions are kept after they were used last."""


@dataclass(frozen=True, kw_only=True)
class Janitor:
    """Sweeps the record: lost leases, forgotten queue entries, expired results, old records.

    Results are kept for `keep`, what is known of a job for `remember`.
    """

    jobs: JobStore
    queue: Queue
    artifacts: ArtifactStore
    sessions: SessionStore
    events: Events
    max_attempts: int
    keep: timedelta
    remember: timedelta = timedelta(days=90)

    def sweep(self) -> None:
        """Do everything once; while the wire is down the queue is left for the next time."""
        for job in self.jobs.abandoned(now()):
            self._take_back(job)
        try:
            # also what the wire forgot
            Dispatch(jobs=self.jobs, queue=self.queue).everything()
        except errors.WireDown:
            log.warning("the wire is down, waiting jobs stay in the record")
        self._remove_expired()
        # an hour after the last sound that it refers to
        self.sessions.forget_unused(now() - self.keep - OUTLIVE)
        self.jobs.forget_ended(now() - self.remember)

    def _take_back(self, job: Job) -> None:
        if job.attempt < self.max_attempts:
            after = job.handed_back()
        else:
            error = JobError(WORKER_LOST, f"The job's worker died {job.attempt} times.")
            after = job.ended(Status.FAILED, keep=self.keep, error=error)
        try:
            self.jobs.update(job, after)
        except errors.Conflict:  # its worker is alive after all, or another janitor was quicker
            return
        log.warning("lease lost, job is %s again", after.status, extra={"job": job.id})
        for output in job.outputs_lost_in(after):
            self.artifacts.delete(output.artifact_id)
        self.events.publish(event_of(job, after))

    def _remove_expired(self) -> None:
        for artifact in self.artifacts.expired(now()):
            self.artifacts.delete(artifact.id)
