"""What a running job may do: read, ask for an engine, tell its progress, store, conclude.

The one object a kind's `run` gets. Asking is also where a job learns that it should stop: `report`
and the functions made by `stage` raise `errors.Cancelled` or `errors.TimedOut`.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from server import errors
from server.jobs.events import Event, EventName, event_of
from server.jobs.ports import (
    Artifact,
    ArtifactStore,
    Engines,
    Events,
    JobStore,
    Session,
    SessionStore,
    WeightStore,
)
from server.jobs.record import WARMING, Job, Output, Role, now

REPORT_INTERVAL_SECONDS = 0.1
"""Least time between two records of mere progress; a change of stage is always recorded."""

WARMING_SHARE = 0.02
"""How much of a job's progress loading an engine counts; the work counts the same without it."""

HEARTBEAT_SECONDS = 2.0
"""How often the present state is told again during a load; clients give up on a silent server."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long things may take, and be.

    Attributes:
        timeout_seconds: of one attempt.
        lease: how long a worker may be silent before its job is taken from it.
        keep: how long results live.
        max_attempts: starts of a job before it fails.
        source_seconds: longest audio a job decodes, None for any.
    """

    timeout_seconds: float
    lease: timedelta
    keep: timedelta
    max_attempts: int
    source_seconds: float | None = None


class Context:
    """The outside world of one running job.

    Attributes:
        job: the record as it is now.
        source_seconds: longest audio to decode, None for any.
    """

    def __init__(
        self,
        job: Job,
        *,
        jobs: JobStore,
        artifacts: ArtifactStore,
        sessions: SessionStore,
        events: Events,
        engines: Engines,
        limits: Limits,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """Take the job as it was started and the ports it may use."""
        self.job = self._recorded = job
        self.source_seconds = limits.source_seconds
        self._jobs = jobs
        self._artifacts = artifacts
        self._sessions = sessions
        self._is_stopping = is_stopping
        self._events = events
        self._engines = engines
        self._deadline = time.monotonic() + limits.timeout_seconds
        self._reported_at = 0.0
        self._telling = threading.Lock()

    def engine(self, name: str, capability: str) -> Any:
        """Return an opened engine; the record names it from now on.

        While it is being loaded the job is `warming`, and can be stopped between the loader's
        steps.

        Raises:
            errors.EngineUnavailable: none can do it here.
            errors.EngineFailed: the named one could not be loaded.
        """
        end = self.job.progress + WARMING_SHARE
        warming = self._on_step(WARMING, self.job.progress, min(end, 1.0))
        with self._heartbeat():
            chosen, engine = self._engines.open(name, capability, on_step=warming)
        self._record(self.job.evolved(engine=chosen))
        return engine

    def pull(self, name: str) -> Mapping[str, Any]:
        """Have weights fetched to where this worker's engines find them; return facts about them.

        Raises:
            errors.InvalidInput: they may not be had here; names `name`.
            errors.Unavailable: this worker keeps none, or the hub cannot be reached.
            errors.StorageFailed: there is no room, or what came is damaged.
        """

        def tell(share: float, stage: str) -> None:
            self.report(share, stage=stage.lower())

        if not isinstance(self._engines, WeightStore):
            raise errors.Unavailable("This worker keeps no weights.")
        return self._engines.pull(name, on_progress=tell)

    def stage(self, name: str, start: float, end: float) -> Callable[[int, int], None]:
        """Return an `on_step(done, total)` that maps a stage onto [start, end] of the job."""
        on_step = self._on_step(name, start, end)
        on_step(0, 1)
        return on_step

    def _on_step(self, name: str, start: float, end: float) -> Callable[[int, int], None]:
        def on_step(done: int, total: int) -> None:
            share = min(max(done / total, 0.0), 1.0) if total > 0 else 1.0
            self.report(start + (end - start) * share, stage=name)

        return on_step

    def report(self, progress: float, *, stage: str | None = None) -> None:
        """Tell how far the job is (0 to 1). Never goes back.

        Raises:
            errors.Cancelled: somebody asked for it.
            errors.TimedOut: the deadline passed.
            errors.Interrupted: this worker is shutting down.
        """
        self._stop_if_asked()
        stage = stage or self.job.stage
        due = time.monotonic() - self._reported_at >= REPORT_INTERVAL_SECONDS
        if stage != self.job.stage or (due and progress > self.job.progress):
            self._record(self.job.evolved(progress=max(progress, self.job.progress), stage=stage))

    def read(self, artifact_id: str) -> bytes:
        """Return the bytes of an artifact."""
        return self._artifacts.read(artifact_id)

    def another(self, job_id: str) -> Job:
        """Return the record of another job, whoever owns it. Raises `errors.NoSuchJob`."""
        return self._jobs.get(job_id)

    def save(
        self, data: bytes, *, name: str, media_type: str, role: Role = Role.RESULT, **facts: Any
    ) -> Artifact:
        """Store one file of this job under a name; it is recorded with the next change."""
        owned = {"owner": self.job.owner, **facts}
        artifact = self._artifacts.save(data, name=name, media_type=media_type, **owned)
        self.job = self.job.with_output(Output(name, artifact.id, role))
        return artifact

    def show(self) -> None:
        """Record what was stored so far, so that clients see it while the job runs."""
        self._record(self.job.evolved())

    def remember(self, *, last_input: str, last_processed: str) -> None:
        """Note input and result in the job's session, for undo, retry and transform-again."""
        if self.job.session_id is None:
            return
        session = self._sessions.find(self.job.session_id) or Session(
            id=self.job.session_id, owner=self.job.owner
        )
        self._sessions.put(
            replace(
                session,
                last_input=last_input,
                transform_input=last_input,
                last_processed=last_processed,
                updated_at=now(),
            )
        )

    def conclude(
        self, *, seed: int | None, report: Mapping[str, Any], recipe: Mapping[str, Any]
    ) -> None:
        """Note seed, report and recipe; the runner records them with the ending."""
        self.job = replace(self.job, seed=seed, report=report, recipe=recipe)

    def _stop_if_asked(self) -> None:
        if self._jobs.is_cancel_requested(self.job.id):
            raise errors.Cancelled
        if time.monotonic() > self._deadline:
            raise errors.TimedOut
        if self._is_stopping():
            raise errors.Interrupted

    def _record(self, after: Job) -> None:
        self._jobs.update(self._recorded, after)
        with self._telling:
            before, self._recorded, self.job = self._recorded, after, after
            self._reported_at = time.monotonic()
            self._events.publish(event_of(before, after))

    @contextmanager
    def _heartbeat(self) -> Iterator[None]:
        """Tell the present state again and again, however long one step lasts."""
        is_over = threading.Event()

        def beat() -> None:
            while not is_over.wait(HEARTBEAT_SECONDS):
                with self._telling:
                    self._events.publish(Event(EventName.PROGRESS, self._recorded))

        beating = threading.Thread(target=beat, name="heartbeat", daemon=True)
        beating.start()
        try:
            yield
        finally:
            is_over.set()
            beating.join()
