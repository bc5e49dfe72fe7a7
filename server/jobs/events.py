"""News about jobs, derived from how a record changed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from server.jobs.record import Job, Output, Role, Status


class EventName(StrEnum):
    """Everything that can be told about a job."""

    QUEUED = "queued"
    STARTED = "started"
    RESTARTED = "restarted"
    PROGRESS = "progress"
    PREVIEW = "preview"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Event:
    """One change: its name and the record after it. `job.version` orders the events of a job."""

    name: EventName
    job: Job


@dataclass(frozen=True, slots=True)
class Happening:
    """An event as the journal keeps it.

    Attributes:
        version: of the job after it; rises from one event to the next.
        facts: status, progress, stage, attempt, engine and error after it.
    """

    version: int
    name: EventName
    at: datetime
    facts: Mapping[str, Any]


def facts_of(job: Job) -> dict[str, Any]:
    """Return what the journal keeps of a record."""
    return {
        "status": str(job.status),
        "progress": job.progress,
        "stage": job.stage,
        "attempt": job.attempt,
        "engine": job.engine,
        "error": asdict(job.error) if job.error else None,
    }


def event_of(before: Job | None, after: Job) -> Event:
    """Return the event that a change from `before` to `after` is."""
    if before is not None and before.status is after.status is Status.RUNNING:
        is_preview = previews_of(after) != previews_of(before)
        return Event(EventName.PREVIEW if is_preview else EventName.PROGRESS, after)
    if after.status is Status.RUNNING:
        return Event(EventName.STARTED, after)
    if after.status is Status.QUEUED:
        return Event(EventName.QUEUED if before is None else EventName.RESTARTED, after)
    return Event(EventName(after.status), after)


def previews_of(job: Job) -> tuple[Output, ...]:
    """Return the unfinished files that can be heard already."""
    return tuple(output for output in job.outputs if output.role is Role.PREVIEW)


@dataclass(frozen=True, slots=True)
class Emission:
    """One message to the clients in a room."""

    name: str
    payload: Mapping[str, Any]
    room: str


Translator = Callable[[Event], Iterable[Emission]]
"""Turns an event into what clients of some contract expect to be sent."""
