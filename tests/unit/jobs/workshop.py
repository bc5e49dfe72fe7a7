"""Jobs over a real record and real files, with a queue, a kind and engines that follow a script."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from obstore.store import MemoryStore

from server import errors
from server.adapters.artifacts import StoredArtifacts
from server.adapters.database import Database
from server.adapters.job_store import SqlJobs
from server.adapters.session_store import SqlSessions
from server.engines.protocols import OnStep, tell_nobody
from server.jobs.context import Context, Limits
from server.jobs.events import Event
from server.jobs.janitor import Janitor
from server.jobs.kind import JobSpec
from server.jobs.record import Job
from server.jobs.runner import Runner
from server.jobs.service import JobService

KEEP = timedelta(hours=24)
LEASE = timedelta(seconds=12)
WORKER = "worker-a"
WORDS = "text/plain"


class Words(JobSpec):
    """What the scripted kind takes."""

    words: str = "la"


class ScriptedKind:
    """A kind that runs what the test gives it."""

    NAME = "scripted"
    QUEUE = "audio"
    SUMMARY = "Follows a script."
    Spec = Words

    def __init__(self, script: Callable[[Context], None] = lambda ctx: None) -> None:
        self._script = script

    def run(self, spec: Words, ctx: Context) -> None:
        """Follow the script."""
        self._script(ctx)


class Heard:
    """Events, remembered."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def publish(self, event: Event) -> None:
        self.events.append(event)

    @property
    def names(self) -> list[str]:
        """The events' names, in order."""
        return [str(event.name) for event in self.events]


class Line:
    """A queue in memory; `on_enqueue` may do what a broker does behind one's back."""

    def __init__(self) -> None:
        self.is_up = True
        self.held: list[tuple[str, int]] = []
        self.on_enqueue: Callable[[Job], None] = lambda job: None

    def enqueue(self, job: Job) -> None:
        self.on_enqueue(job)
        if not self.is_up:
            raise errors.WireDown
        if not self.knows(job):
            self.held.append((job.id, job.attempt))

    def knows(self, job: Job) -> bool:
        if not self.is_up:
            raise errors.WireDown
        return (job.id, job.attempt) in self.held

    def ask_unload(self) -> None:
        """Nobody is there to be asked."""

    def ping(self) -> bool:
        return self.is_up


class OneEngine:
    """Opens one object, whatever it is asked for; `load` is what happens before."""

    def __init__(self, load: Callable[[OnStep], None] = lambda on_step: None) -> None:
        self._load = load

    def open(self, name: str, capability: str, *, on_step: OnStep = tell_nobody) -> tuple[str, Any]:
        self._load(on_step)
        return ("scripted" if name == "auto" else name), object()


@dataclass
class Workshop:
    """Everything around a job."""

    database: Database
    heard: Heard = field(default_factory=Heard)
    line: Line = field(default_factory=Line)

    def __post_init__(self) -> None:
        self.jobs = SqlJobs(self.database)
        self.sessions = SqlSessions(self.database)
        self.artifacts = StoredArtifacts(MemoryStore(), self.database, keep=KEEP)

    def queued(self, **facts: Any) -> Job:
        """Record a job that waits."""
        job = Job(kind=ScriptedKind.NAME, spec={"words": "la"}, **facts)
        self.jobs.add(job)
        return job

    def started(self, *, worker: str = WORKER, lease: timedelta = LEASE, **facts: Any) -> Job:
        """Record a job that a worker has."""
        job = self.queued(**facts)
        started = job.started(worker=worker, lease=lease)
        self.jobs.update(job, started)
        return started

    def runner(
        self,
        script: Callable[[Context], None] = lambda ctx: None,
        *,
        is_stopping: Callable[[], bool] = lambda: False,
        on_device_lost: Callable[[], None] | None = None,
        on_left: Callable[[Job], None] = lambda job: None,
        **limits: Any,
    ) -> Runner:
        """Return a runner whose only kind follows the script."""
        return Runner(
            worker=WORKER,
            kinds={ScriptedKind.NAME: ScriptedKind(script)},
            jobs=self.jobs,
            artifacts=self.artifacts,
            sessions=self.sessions,
            events=self.heard,
            engines=OneEngine(),
            limits=limits_of(**limits),
            is_stopping=is_stopping,
            on_device_lost=on_device_lost,
            on_left=on_left,
        )

    def context(
        self, job: Job, *, load: Callable[[OnStep], None] = lambda on_step: None, **limits: Any
    ) -> Context:
        """Return what a kind gets for a started job; `load` loads its engine."""
        return Context(
            job,
            jobs=self.jobs,
            artifacts=self.artifacts,
            sessions=self.sessions,
            events=self.heard,
            engines=OneEngine(load),
            limits=limits_of(**limits),
        )

    def service(self, *, max_waiting: int = 8) -> JobService:
        """Return the service over this record and line."""
        return JobService(
            jobs=self.jobs, queue=self.line, events=self.heard, max_waiting=max_waiting, keep=KEEP
        )

    def janitor(self, *, max_attempts: int = 3) -> Janitor:
        """Return a janitor of this record and line."""
        return Janitor(
            jobs=self.jobs,
            queue=self.line,
            artifacts=self.artifacts,
            sessions=self.sessions,
            events=self.heard,
            max_attempts=max_attempts,
            keep=KEEP,
        )


def limits_of(**changes: Any) -> Limits:
    """Return generous limits, but for the changes."""
    given: dict[str, Any] = {
        "timeout_seconds": 60.0,
        "lease": LEASE,
        "keep": KEEP,
        "max_attempts": 3,
        **changes,
    }
    return Limits(**given)


def names(jobs: Sequence[Job]) -> list[str]:
    """Return the ids of jobs, in order."""
    return [job.id for job in jobs]
