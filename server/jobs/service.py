"""What the web process may do with jobs: submit, look, wait, cancel. Nothing here computes."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Self

from server import errors
from server.jobs.dispatch import Dispatch
from server.jobs.estimates import Estimates, Outlook
from server.jobs.events import Happening, event_of
from server.jobs.kind import JobSpec, Kind
from server.jobs.ports import Events, JobStore, Queue, Wanted
from server.jobs.record import WORKER_LOST, Job, Status

IDEMPOTENCY_HEADER = "Idempotency-Key"
"""What the key of a request is sent in; the web side reads it."""

POLL_SECONDS = 0.05

LONGEST_RETRY_SECONDS = 60
"""Nobody is told to stay away from a full queue for longer; estimates may be wrong."""


class JobService:
    """Submits jobs and answers for them."""

    def __init__(
        self,
        *,
        jobs: JobStore,
        queue: Queue,
        events: Events,
        max_waiting: int,
        keep: timedelta,
        estimates: Estimates | None = None,
    ) -> None:
        """Take the ports; `max_waiting` jobs may be queued, ended ones are kept for `keep`."""
        self._jobs = jobs
        self._dispatch = Dispatch(jobs=jobs, queue=queue)
        self._events = events
        self._max_waiting = max_waiting
        self._keep = keep
        self.owner: str | None = None
        self.may_see: Callable[[str | None], bool] = lambda _owner: True
        self.estimates = estimates or Estimates(jobs)

    def seen_by(self, owner: str | None, may_see: Callable[[str | None], bool]) -> Self:
        """Return this service as an owner meets it: jobs that they may not see are not there."""
        seen = copy.copy(self)
        seen.owner, seen.may_see = owner, may_see
        return seen

    def submit(self, kind: Kind, spec: JobSpec, **facts: Any) -> Job:
        """Record a job and hand it to the workers when its turn comes.

        `facts` are fields of the job: session_id, seed, owner, webhook and others. Raises as
        `take`.
        """
        return self.take(Job(kind=kind.NAME, spec=spec.model_dump(mode="json"), **facts))

    def take(self, job: Job) -> Job:
        """Record a new job; return it, or the one that was asked for before under the same key.

        Raises:
            errors.KeyReused: another request had its idempotency key.
            errors.QueueFull: too many jobs wait already.
            errors.Busy: the session has an unfinished job.
            errors.NoSuchSession: the session is somebody else's.
            errors.WireDown: the queue cannot be reached; nothing was recorded as waiting.
        """
        if job.owner is None:
            job = replace(job, owner=self.owner)
        if job.session_id is not None:
            self.newest_in_session(job.session_id)
        try:
            self._refuse_when_full(job)
            self._jobs.add(job)
        except (errors.QueueFull, errors.Conflict):
            # also where both came at the same moment, and the other one was quicker
            earlier = self.earlier(job.idempotency_key, job.request_digest)
            if earlier is None:
                raise
            return earlier
        self._enqueue(job)
        return job

    def earlier(self, idempotency_key: str | None, request_digest: str | None) -> Job | None:
        """Return the job that the same request made before, None where it is the first.

        Raises:
            errors.KeyReused: another request had that key.
        """
        found = self._jobs.find_by_key(idempotency_key) if idempotency_key else None
        if found is not None and found.request_digest != request_digest:
            raise errors.KeyReused(field=IDEMPOTENCY_HEADER)
        return found

    def get(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            errors.NoSuchJob: there is none.
        """
        job = self._jobs.get(job_id)
        if not self.may_see(job.owner):
            raise errors.NoSuchJob
        return job

    def newest_in_session(self, session_id: str) -> Job | None:
        """Return the newest job of a session, None where it has had none.

        Raises:
            errors.NoSuchSession: it is somebody else's.
        """
        job = self._jobs.newest_in_session(session_id)
        if job is not None and not self.may_see(job.owner):
            raise errors.NoSuchSession
        return job

    def outlook(self, job: Job) -> Outlook:
        """Return what lies before a job: who goes first, how long it will wait and take."""
        return self.estimates.outlook(job)

    def waiting(self) -> int:
        """Return how many jobs are queued."""
        return self._jobs.count_waiting()

    def wait(self, job_id: str, *, seconds: float) -> Job:
        """Return the job as soon as it ended, or as it is after `seconds`."""
        give_up_at = time.monotonic() + seconds
        job = self.get(job_id)
        while not job.status.is_final and time.monotonic() < give_up_at:
            time.sleep(POLL_SECONDS)
            job = self.get(job_id)
        return job

    def happenings(
        self, job_id: str, *, after: int = -1, seconds: float = 0.0
    ) -> Sequence[Happening]:
        """Return what happened to a job since a version, oldest first.

        Where that is nothing yet, wait so long for something; of an ended job nothing more comes.

        Raises:
            errors.NoSuchJob: there is none.
        """
        give_up_at = time.monotonic() + seconds
        while True:
            is_over = self.get(job_id).status.is_final  # asked first: its ending must not be missed
            found = self._jobs.events(job_id, after=after)
            if found or is_over or time.monotonic() >= give_up_at:
                return found
            time.sleep(POLL_SECONDS)

    def listed(self, wanted: Wanted) -> Sequence[Job]:
        """Return a page of everybody's jobs, newest first; for operators.

        Raises:
            errors.NoSuchJob: the page before ended with none of them.
        """
        return self._jobs.listed(wanted)

    def revive(self, job_id: str) -> Job:
        """Submit a dead letter again: the same order for the same owner; for operators.

        Asked twice, the answer is the same new job.

        Raises:
            errors.NoSuchJob: there is none.
            errors.Conflict: it is no dead letter.
            Others as `take`.
        """
        dead = self._jobs.get(job_id)
        if dead.error is None or dead.error.code != WORKER_LOST:
            raise errors.Conflict("Only a job that lost its workers can be submitted again so.")
        everybody = self.seen_by(None, lambda _owner: True)
        # no client can choose such a key: theirs begin with an owner and a colon
        return everybody.take(dead.submitted_again(idempotency_key=f"revived {dead.id}"))

    def cancel(self, job_id: str) -> Job:
        """Cancel a queued job at once; ask a running one to stop at its next step.

        Cancelling a cancelled job is no error.

        Raises:
            errors.NoSuchJob: there is none.
            errors.Conflict: it has ended otherwise.
        """
        job = self.get(job_id)
        if job.status is Status.CANCELLED:
            return job
        if job.status is Status.QUEUED:
            try:
                cancelled = self._cancel_queued(job)
            except errors.Conflict:  # a worker was quicker
                job = self.get(job_id)
            else:
                self._dispatch.after(cancelled)
                return cancelled
        if job.status is not Status.RUNNING:
            raise errors.Conflict(f"The job is already {job.status}.")
        self._jobs.request_cancel(job_id)
        return job

    def _cancel_queued(self, job: Job, **changes: Any) -> Job:
        after = job.ended(Status.CANCELLED, keep=self._keep, **changes)
        self._jobs.update(job, after)
        self._events.publish(event_of(job, after))
        return after

    def _refuse_when_full(self, job: Job) -> None:
        waiting = self.waiting()
        # the first job of each owner finds a place: others' backlogs are no reason to refuse it
        has_a_place = job.owner is not None and not self._jobs.has_unfinished(job.owner)
        if waiting >= self._max_waiting and not has_a_place:
            retry_after = _patience(self.estimates.wait_for_a_place())
            raise errors.QueueFull(position=waiting, retry_after_seconds=retry_after)

    def _enqueue(self, job: Job) -> None:
        # told before it is handed over: a quick worker's news must not come first
        self._events.publish(event_of(None, job))
        try:
            self._dispatch.new(job)
        except errors.WireDown:
            try:
                # its key is free again: whoever tries again asks for a new job
                self._cancel_queued(job, idempotency_key=None)
            except errors.Conflict:  # it runs: the broker took it before its answer was lost
                return
            # the caller is told to try again, so this one must never run
            raise


def _patience(wait_seconds: float | None) -> int | None:
    if wait_seconds is None:
        return None
    return min(max(math.ceil(wait_seconds), 1), LONGEST_RETRY_SECONDS)
