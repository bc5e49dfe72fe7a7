"""What jobs need of the outside world; all adapters of a port pass the same tests."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from server.engines.catalog import Device
from server.engines.protocols import OnStep, tell_nobody
from server.jobs.events import Event, Happening
from server.jobs.record import Job, Status, new_id, now


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A stored file: its facts, not its bytes."""

    id: str = field(default_factory=new_id)
    name: str
    media_type: str
    size_bytes: int
    seconds: float | None = None
    sample_rate: int | None = None
    channels: int | None = None
    owner: str | None = None
    created_at: datetime = field(default_factory=now)
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A plugin session: which artifacts undo, retry and transform-again refer to.

    Attributes:
        last_input: what the last job was given.
        last_processed: what it made.
        transform_input: what undo returns.
        job_id: the job whose ending the session's client was given already.
        model_name: the weights its client last asked for, whether or not they are here.
        prompt_duration: of how many seconds it last had music continued.
        owner: whose key it was begun with; None where keys are not asked for.
    """

    id: str
    last_input: str | None = None
    last_processed: str | None = None
    transform_input: str | None = None
    job_id: str | None = None
    model_name: str | None = None
    prompt_duration: float | None = None
    owner: str | None = None
    updated_at: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a worker says of one engine."""

    engine: str
    available: bool
    reason: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerNote:
    """A live worker: what it listens to, its engines, those in memory, the cards it sees.

    `memory_mb` is what its process holds, in MiB.
    """

    id: str
    queues: Sequence[str]
    offers: Sequence[Offer]
    loaded: Sequence[str] = ()
    devices: Sequence[Device] = ()
    job_id: str | None = None
    memory_mb: int = 0
    seen_at: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class Took:
    """What a finished job took: seconds of work, and seconds of source where they are known."""

    seconds: float
    source_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which jobs a list has; what is None does not matter.

    Attributes:
        is_dead: whether only dead letters are wanted: given up, and not submitted again since.
        before: the id of the last job of the page before.
    """

    status: Status | None = None
    kind: str | None = None
    owner: str | None = None
    is_dead: bool = False
    before: str | None = None
    limit: int = 50


class JobStore(Protocol):
    """The record of jobs; the truth about them.

    Of one owner a few jobs run at a time, the others wait their turn: owners take turns, and a job
    without an owner waits for nobody of its own.
    """

    def add(self, job: Job) -> None:
        """Keep a new job and the event of it.

        Raises:
            errors.KeyReused: there is one with its idempotency key.
            errors.Busy: its session has an unfinished one.
        """
        ...

    def find_by_key(self, idempotency_key: str) -> Job | None:
        """Return the job that was asked for under a key."""
        ...

    def get(self, job_id: str) -> Job:
        """Return a job. Raises `errors.NoSuchJob`."""
        ...

    def update(self, before: Job, after: Job) -> None:
        """Replace version `after.version - 1` and keep the event that this change is.

        Raises:
            errors.Conflict: another change came first.

        The lease of a running job never gets shorter by it: `extend_lease` may have moved it since
        the record was read.
        """
        ...

    def start(self, before: Job, after: Job) -> None:
        """Replace a queued job by a running one, unless its owner has as many running as may be.

        Raises:
            errors.Conflict: another change came first, or it is not its turn.
        """
        ...

    def events(self, job_id: str, *, after: int = -1) -> Sequence[Happening]:
        """Return what happened to a job since that version, oldest first.

        Of the progress within one stage only the newest is kept.
        """
        ...

    def listed(self, wanted: Wanted) -> Sequence[Job]:
        """Return a page of jobs, newest first. Raises `errors.NoSuchJob` of `before`."""
        ...

    def request_cancel(self, job_id: str) -> None:
        """Set the flag a running job asks about; it is no part of the versioned record."""
        ...

    def is_cancel_requested(self, job_id: str) -> bool:
        """Whether the flag is set."""
        ...

    def waiting(self) -> Sequence[Job]:
        """Return queued jobs in the order of their turns."""
        ...

    def due(self, *, owner: str | None = None) -> Sequence[Job]:
        """Return the queued jobs that may run now, oldest first; of one owner where it is given."""
        ...

    def count_waiting(self) -> int:
        """Return how many jobs are queued."""
        ...

    def running(self) -> Sequence[Job]:
        """Return running jobs."""
        ...

    def extend_lease(self, job_id: str, worker: str, until: datetime) -> bool:
        """Move the lease of a job this worker still holds; False when it was taken away."""
        ...

    def abandoned(self, at: datetime) -> Sequence[Job]:
        """Return running jobs whose lease ended before `at`."""
        ...

    def has_unfinished(self, owner: str) -> bool:
        """Whether an owner has a job that waits or runs."""
        ...

    def took(self, kind: str, engine: str | None, *, most: int) -> Sequence[Took]:
        """Return what the last finished jobs of a kind took, newest first; None is any engine."""
        ...

    def forget_ended(self, before: datetime) -> int:
        """Forget some jobs that ended before then, with all that happened; return how many."""
        ...

    def active_in_session(self, session_id: str) -> Job | None:
        """Return the newest unfinished job of a session."""
        ...

    def newest_in_session(self, session_id: str) -> Job | None:
        """Return the newest job of a session."""
        ...


class SessionStore(Protocol):
    """Plugin sessions."""

    def find(self, session_id: str) -> Session | None:
        """Return a session or None."""
        ...

    def put(self, session: Session) -> None:
        """Create or replace."""
        ...

    def delete(self, session_id: str) -> None:
        """Forget it; unknown ids are no error."""
        ...

    def forget_unused(self, since: datetime) -> int:
        """Forget what was last used before then, save where a job lives; return how many."""
        ...


class ArtifactStore(Protocol):
    """Files and their facts. A file is visible whole or not at all."""

    def save(self, data: bytes, *, name: str, media_type: str, **facts: Any) -> Artifact:
        """Store bytes. `facts`: seconds, sample_rate, channels, owner, expires_at.

        Raises:
            errors.StorageFailed: there is no room, or the store does not answer.
        """
        ...

    def get(self, artifact_id: str) -> Artifact:
        """Return the facts. Raises `errors.NoSuchArtifact`, `errors.Expired`."""
        ...

    def owner_of(self, artifact_id: str) -> str | None:
        """Return whose it is, or was while it was there. Raises `errors.NoSuchArtifact`."""
        ...

    def read(self, artifact_id: str) -> bytes:
        """Return all bytes. Raises as `get`."""
        ...

    def chunks(self, artifact_id: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes [start, end). Raises as `get`."""
        ...

    def delete(self, artifact_id: str) -> None:
        """Remove it; unknown ids are no error. An expired one answers "expired" ever after."""
        ...

    def check(self) -> None:
        """Store a few bytes and remove them. Raises `errors.StorageFailed`."""
        ...

    def expired(self, at: datetime) -> Sequence[Artifact]:
        """Return artifacts past `expires_at` that were not removed yet."""
        ...


class WorkerStore(Protocol):
    """Who is at work."""

    def announce(self, note: WorkerNote) -> None:
        """Create or renew a worker's note."""
        ...

    def leave(self, worker_id: str) -> None:
        """Remove it."""
        ...

    def live(self, within: timedelta) -> Sequence[WorkerNote]:
        """Return the workers seen within that time."""
        ...


class Queue(Protocol):
    """The wire that carries job ids to workers. It may be lost without losing a job."""

    def enqueue(self, job: Job) -> None:
        """Hand a queued job to the workers; the same attempt twice is once.

        Raises:
            errors.WireDown: the broker does not answer.
        """
        ...

    def knows(self, job: Job) -> bool:
        """Whether the wire still holds this queued job. Raises `errors.WireDown`."""
        ...

    def ask_unload(self) -> None:
        """Ask every worker to unload its engines as soon as it is idle.

        Raises:
            errors.WireDown: the broker does not answer.
        """
        ...

    def ping(self) -> bool:
        """Whether the wire answers."""
        ...


class Events(Protocol):
    """Where changes of records are told. Never raises: the record is the truth, events are news."""

    def publish(self, event: Event) -> None:
        """Tell it to whoever listens."""
        ...


@runtime_checkable
class WeightStore(Protocol):
    """What those of a worker's engines can do besides that have weights."""

    def pull(self, name: str, *, on_progress: Callable[[float, str], None]) -> Mapping[str, Any]:
        """Fetch weights, unless they are here and intact, and return JSON-able facts about them.

        `on_progress(share, stage)` counts bytes and may raise to stop; what came until then stays
        for the next time.

        Raises:
            errors.InvalidInput: they may not be had here; names `name`.
            errors.Unavailable: the hub cannot be reached, or a library is missing.
            errors.StorageFailed: there is no room, or what came is damaged.
        """
        ...


class Engines(Protocol):
    """What a running job may ask for."""

    def open(self, name: str, capability: str, *, on_step: OnStep = tell_nobody) -> tuple[str, Any]:
        """Return the name and the opened engine; `auto` takes the best that can be opened.

        `on_step` hears of a load only: once before it begins, then of the loader's own steps.

        Raises:
            errors.EngineUnavailable: none can do it here, with the reasons.
            errors.EngineFailed: the named one could not be loaded.
        """
        ...
