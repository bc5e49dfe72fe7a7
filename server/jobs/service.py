"""What the web process may do with jobs: submit, look, wait, cancel. Nothing here computes."""

import time
from datetime import timedelta

from server import errors
from server.jobs.events import event_of
from server.jobs.kind import JobSpec, Kind
from server.jobs.ports import Events, JobStore, Queue
from server.jobs.record import Job, Status

POLL_SECONDS = 0.05


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
    ) -> None:
        """Take the ports; `max_waiting` jobs may be queued, ended ones are kept for `keep`."""
        self._jobs = jobs
        self._queue = queue
        self._events = events
        self._max_waiting = max_waiting
        self._keep = keep

    def submit(
        self,
        kind: Kind,
        spec: JobSpec,
        *,
        session_id: str | None = None,
        seed: int | None = None,
        webhook: str | None = None,
    ) -> Job:
        """Record a job and hand it to the workers.

        Raises:
            errors.AtCapacity: too many jobs wait already.
            errors.Busy: the session has an unfinished job.
            errors.WireDown: the queue cannot be reached; nothing was recorded as waiting.
        """
        self._refuse_when_full()
        if session_id is not None and self._jobs.active_in_session(session_id):
            raise errors.Busy
        parameters = spec.model_dump(mode="json")
        job = Job(
            kind=kind.NAME, spec=parameters, session_id=session_id, seed=seed, webhook=webhook
        )
        self._jobs.add(job)
        self._enqueue(job)
        return job

    def get(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            errors.NoSuchJob: there is none.
        """
        return self._jobs.get(job_id)

    def newest_in_session(self, session_id: str) -> Job | None:
        """Return the newest job of a session, None where it has had none."""
        return self._jobs.newest_in_session(session_id)

    def position(self, job: Job) -> int | None:
        """Return how many jobs are ahead of a queued one, None once it is not queued."""
        return self._jobs.position(job) if job.status is Status.QUEUED else None

    def waiting(self) -> int:
        """Return how many jobs are queued."""
        return len(self._jobs.waiting())

    def wait(self, job_id: str, *, seconds: float) -> Job:
        """Return the job as soon as it ended, or as it is after `seconds`."""
        give_up_at = time.monotonic() + seconds
        job = self.get(job_id)
        while not job.status.is_final and time.monotonic() < give_up_at:
            time.sleep(POLL_SECONDS)
            job = self.get(job_id)
        return job

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
                return self._cancel_queued(job)
            except errors.Conflict:  # a worker was quicker
                job = self.get(job_id)
        if job.status is not Status.RUNNING:
            raise errors.Conflict(f"The job is already {job.status}.")
        self._jobs.request_cancel(job_id)
        return job

    def _cancel_queued(self, job: Job) -> Job:
        after = job.ended(Status.CANCELLED, keep=self._keep)
        self._jobs.update(job, after)
        self._events.publish(event_of(job, after))
        return after

    def _refuse_when_full(self) -> None:
        if self.waiting() >= self._max_waiting:
            raise errors.AtCapacity

    def _enqueue(self, job: Job) -> None:
        # told before it is handed over: a quick worker's news must not come first
        self._events.publish(event_of(None, job))
        try:
            self._queue.enqueue(job)
        except errors.WireDown:
            try:
                self._cancel_queued(job)
            except errors.Conflict:  # it runs: the broker took it before its answer was lost
                return
            # the caller is told to try again, so this one must never run
            raise
