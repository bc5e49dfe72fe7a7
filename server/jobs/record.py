"""The job record: what a job is, and which moves its status may make.

Records are replaced, never edited. Knows nothing of databases, queues or audio.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from server import errors


class Status(StrEnum):
    """Where a job is in its life. No other state exists."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen."""
        return self in FINAL


FINAL = frozenset({Status.FINISHED, Status.FAILED, Status.CANCELLED})

MOVES: Mapping[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.CANCELLED, Status.FAILED}),
    # back to QUEUED: the lease expired, or a worker hands its job back on shutdown
    Status.RUNNING: frozenset({Status.RUNNING, Status.QUEUED, *FINAL}),
    Status.FINISHED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
}


def now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """Return an unguessable id of 32 hexadecimal digits (clients paste it into URLs unescaped)."""
    return uuid.uuid4().hex


WARMING = "warming"
"""The stage of a job that waits for its engine to be loaded; its first stage in any case."""


WORKER_LOST = "worker_lost"
"""The code of a job that was given up because it lost one worker after another: a dead letter."""


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job failed: a code for programs and a sentence for people."""

    code: str
    message: str


class Role(StrEnum):
    """What a file is to its job: what was asked for, or something beside it.

    `MIDI` is what was played as notes, a `STEM` one part of a result, a `COMPARISON` the source as
    loud as the result.
    """

    RESULT = "result"
    PREVIEW = "preview"
    PICTURE = "picture"
    MIDI = "midi"
    STEM = "stem"
    COMPARISON = "comparison"


@dataclass(frozen=True, slots=True)
class Output:
    """One file a job made: its name within the job, the artifact that holds it, what it is."""

    name: str
    artifact_id: str
    role: Role = Role.RESULT


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job.

    Attributes:
        spec: all parameters, JSON-able, as the kind's `Spec` wrote them.
        version: rises by one with every change; the store refuses a change of an older version.
        attempt: how often it was started.
        device_losses: how often its worker's card stopped answering under it.
        progress: 0 to 1, never going back within an attempt.
        stage: what is being done, in one word.
        session_id: the plugin session it belongs to.
        owner: whose key it was submitted with; None where keys are not asked for.
        idempotency_key: owner and what its sender calls it: sending it again is no second job.
        request_digest: of what was sent with that key.
        asked_as: what an older client called what it asked for; its answers are named after it.
        replay_of: the job whose recipe this one follows.
        webhook: the address that is told of its ending.
        source_seconds: how much audio it works on, as far as that was known.
        engine: who does it; known once it runs.
        seed: the seed really used.
        outputs: files, results before previews.
        report: facts about source and result.
        recipe: everything needed to run it again.
        lease_expires_at: a running job whose worker is silent beyond this is taken from it.
    """

    id: str = field(default_factory=new_id)
    kind: str
    spec: Mapping[str, Any]
    status: Status = Status.QUEUED
    version: int = 0
    attempt: int = 0
    device_losses: int = 0
    progress: float = 0.0
    stage: str = "queued"
    session_id: str | None = None
    owner: str | None = None
    idempotency_key: str | None = None
    request_digest: str | None = None
    asked_as: str | None = None
    replay_of: str | None = None
    webhook: str | None = None
    source_seconds: float | None = None
    engine: str | None = None
    seed: int | None = None
    outputs: tuple[Output, ...] = ()
    report: Mapping[str, Any] | None = None
    recipe: Mapping[str, Any] | None = None
    error: JobError | None = None
    worker: str | None = None
    created_at: datetime = field(default_factory=now)
    started_at: datetime | None = None
    ended_at: datetime | None = None
    expires_at: datetime | None = None
    lease_expires_at: datetime | None = None

    @property
    def results(self) -> tuple[Output, ...]:
        """What was asked for, in that order; a preview is no result."""
        return tuple(output for output in self.outputs if output.role is Role.RESULT)

    def is_expired(self, at: datetime) -> bool:
        """Whether what it made is kept no longer; its recipe is."""
        return self.status.is_final and self.expires_at is not None and self.expires_at <= at

    def with_output(self, output: Output) -> Self:
        """Return the record with one more file, or another one of the same name."""
        others = tuple(each for each in self.outputs if each.name != output.name)
        outputs = sorted((*others, output), key=lambda each: each.role is not Role.RESULT)
        return replace(self, outputs=tuple(outputs))

    def outputs_lost_in(self, after: Self) -> tuple[Output, ...]:
        """Return the files that a later version of the record does not have any more."""
        return tuple(output for output in self.outputs if output not in after.outputs)

    def evolved(self, **changes: Any) -> Self:
        """Return the next version of the record within the same status."""
        return replace(self, version=self.version + 1, **changes)

    def moved(self, status: Status, **changes: Any) -> Self:
        """Return the record in another status.

        Raises:
            errors.Conflict: the present status does not allow this move.
        """
        if status not in MOVES[self.status]:
            raise errors.Conflict(f"The job is already {self.status}.")
        return self.evolved(status=status, **changes)

    def started(self, *, worker: str, lease: timedelta) -> Self:
        """Return the record as a worker takes it."""
        at = now()
        return self.moved(
            Status.RUNNING,
            attempt=self.attempt + 1,
            progress=0.0,
            stage=WARMING,
            worker=worker,
            started_at=at,
            lease_expires_at=at + lease,
        )

    def handed_back(self, **changes: Any) -> Self:
        """Return the record waiting once more, after its worker went away."""
        return self.moved(
            Status.QUEUED,
            progress=0.0,
            stage="queued",
            outputs=(),
            worker=None,
            lease_expires_at=None,
            **changes,
        )

    def submitted_again(self, **changes: Any) -> Self:
        """Return a new record with the same order: for the same session, owner and webhook."""
        order = ("kind", "spec", "session_id", "owner", "webhook", "source_seconds", "seed")
        kept = {name: getattr(self, name) for name in (*order, "asked_as")}
        return type(self)(**kept, replay_of=self.id, **changes)

    def ended(self, status: Status, *, keep: timedelta, **changes: Any) -> Self:
        """Return the record in its final status; `keep` is how long results live."""
        at = now()
        return self.moved(
            status,
            stage=str(status),
            ended_at=at,
            expires_at=at + keep,
            lease_expires_at=None,
            **changes,
        )
