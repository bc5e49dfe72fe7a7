"""Runs one job from QUEUED to its ending. The only writer of a running job's record.

One of the two places with a broad `except`: whatever a kind raises becomes the job's ending, told
in a sentence, with the trace in the log alone.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta

from server import errors
from server.jobs.context import Context, Limits
from server.jobs.events import event_of
from server.jobs.kind import JobSpec, Kind, Kinds
from server.jobs.ports import ArtifactStore, Engines, Events, JobStore, SessionStore
from server.jobs.record import Job, JobError, Output, Status, now

__all__ = ["Limits", "Runner"]

log = logging.getLogger(__name__)

MOST_DEVICE_LOSSES = 2
"""A job under which the card failed this often is not tried again."""

GONE = "It was there when the job was ordered."

DEVICE_LOST = "The card that computes stopped answering; this is a fault of the server."

Guard = Callable[[Callable[[], None]], AbstractContextManager[object]]
"""Watches over a block: where it never ends, calls what it was given and ends the process."""


def unguarded(_give_up: Callable[[], None]) -> AbstractContextManager[object]:
    """Be the guard where no other process would take over."""
    return nullcontext()


def _let_go(_job: Job) -> None:
    """Hear of a job where nothing waits for its place."""


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs jobs in this process, one at a time.

    `on_device_lost` is called when nothing more can be computed in this process; None where no
    other process would take over. `guard` watches over every run. `on_left` hears of every job that
    left this worker, however it ended.
    """

    worker: str
    kinds: Kinds
    jobs: JobStore
    artifacts: ArtifactStore
    sessions: SessionStore
    events: Events
    engines: Engines
    limits: Limits
    is_stopping: Callable[[], bool] = lambda: False
    on_device_lost: Callable[[], None] | None = None
    guard: Guard = unguarded
    on_left: Callable[[Job], None] = _let_go

    def run(self, job_id: str) -> None:
        """Run a queued job to its ending; a job that is not queued any more is left alone."""
        job = self.jobs.get(job_id)
        if job.status is not Status.QUEUED:
            log.info("job is %s, nothing to run", job.status, extra={"job": job_id})
            return
        try:
            started = self._start(job)
        except errors.Conflict:  # cancelled, another worker was quicker, or it is not its turn
            return
        guard = self.guard(lambda: self._give_up(job_id))
        with _Lease(self.jobs, started, self.limits.lease), guard:
            ending = self._perform(started)
        self._conclude(ending)
        self.on_left(ending[1])

    def _perform(self, job: Job) -> tuple[Job, Job]:
        """Return the record as the kind left it, and its ending."""
        ctx = self._context(job)
        try:
            kind = self.kinds[job.kind]
            kind.run(_order(kind, job), ctx)
        except errors.Stop as stop:
            ending = self._stopped(ctx.job, stop)
        except errors.MelodyflowError as error:
            log.warning("job failed: %s", error.message, extra={"job": job.id})
            ending = self._failed(ctx.job, error.code, error.message)
        except MemoryError:
            ending = self._failed(ctx.job, errors.OutOfMemory.code, errors.OutOfMemory().message)
        except Exception:
            log.exception("job failed unexpectedly", extra={"job": job.id})
            ending = self._failed(ctx.job, "internal", errors.MelodyflowError().message)
        else:
            ending = self._ended(ctx.job, Status.FINISHED, progress=1.0)
        return ctx.job, ending

    def _stopped(self, job: Job, stop: errors.Stop) -> Job:
        if isinstance(stop, errors.Interrupted):
            return job.handed_back()
        if isinstance(stop, errors.DeviceLost):
            return self._without_device(job, stop)
        if isinstance(stop, errors.TimedOut):
            return self._timed_out(job)
        return self._ended(job, Status.CANCELLED)

    def _without_device(self, job: Job, lost: errors.DeviceLost) -> Job:
        losses = job.device_losses + 1
        log.error("device lost (%s of this job): %s", losses, lost, extra={"job": job.id})
        if self.on_device_lost is not None:
            self.on_device_lost()
            if losses < MOST_DEVICE_LOSSES:
                return job.handed_back(device_losses=losses)
        error = JobError(errors.EngineFailed.code, DEVICE_LOST)
        return self._ended(job, Status.FAILED, error=error, device_losses=losses)

    def _context(self, job: Job) -> Context:
        return Context(
            job,
            jobs=self.jobs,
            artifacts=self.artifacts,
            sessions=self.sessions,
            events=self.events,
            engines=self.engines,
            limits=self.limits,
            is_stopping=self.is_stopping,
        )

    def _ended(self, job: Job, status: Status, **changes: object) -> Job:
        return job.ended(status, keep=self.limits.keep, **changes)

    def _failed(self, job: Job, code: str, message: str) -> Job:
        return self._ended(job, Status.FAILED, error=JobError(code, message))

    def _timed_out(self, job: Job) -> Job:
        return self._failed(job, "timed_out", str(errors.TimedOut.__doc__))

    def _give_up(self, job_id: str) -> None:
        """End a job that does not come back; another thread's last words before the process ends.

        The only write of a running job beside its own thread, which is stuck: should it wake up
        after all, it meets a conflict.
        """
        job = self.jobs.get(job_id)
        if job.status is Status.RUNNING and job.worker == self.worker:
            with suppress(errors.Conflict):
                self._record(job, self._timed_out(job))

    def _conclude(self, change: tuple[Job, Job]) -> None:
        before, after = change
        try:
            self._record(before, after)
        except errors.Conflict:
            # the lease was lost and the job given to somebody else: this result is not the job's
            log.warning("job was taken away, result discarded", extra={"job": before.id})
            self._discard(before.outputs)
        else:
            # previews of a job that is handed back belong to nobody
            self._discard(before.outputs_lost_in(after))

    def _discard(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            self.artifacts.delete(output.artifact_id)

    def _start(self, job: Job) -> Job:
        started = job.started(worker=self.worker, lease=self.limits.lease)
        self.jobs.start(job, started)
        self.events.publish(event_of(job, started))
        return started

    def _record(self, before: Job, after: Job) -> Job:
        self.jobs.update(before, after)
        self.events.publish(event_of(before, after))
        return after


def _order(kind: Kind, job: Job) -> JobSpec:
    """Return what a job asks for.

    Raises:
        errors.NoSuchVariation: it was there when the job was ordered, and is gone.
    """
    try:
        spec: JobSpec = kind.Spec.model_validate(job.spec)
    except errors.NoSuchVariation as gone:
        raise errors.NoSuchVariation(f"{gone.message}. {GONE}") from gone
    return spec


class _Lease:
    """Renews a running job's lease: a long step must not look like a dead worker."""

    def __init__(self, jobs: JobStore, job: Job, lease: timedelta) -> None:
        self._jobs = jobs
        self._job = job
        self._lease = lease
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _renew(self) -> None:
        while not self._done.wait(self._lease.total_seconds() / 4):
            try:
                until = now() + self._lease
                if not self._jobs.extend_lease(self._job.id, str(self._job.worker), until):
                    return
            except errors.Unavailable:
                log.warning("lease could not be renewed", extra={"job": self._job.id})
