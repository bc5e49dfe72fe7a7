"""What plugins read of a job: its state in one word, a sentence, a place in the queue.

Knows records; no transport and no Flask, so that workers can use it.
"""

import math
from enum import StrEnum
from typing import Any

from server import errors
from server.jobs.estimates import NOTHING, Outlook
from server.jobs.record import Job, JobError, Status
from server.web.plugin import acts

WARM_UP_WORDS = (
    "download",
    "loading model",
    "loading weights",
    "warmup",
    "warming",
    "huggingface",
    "initializing",
)
"""Plugins that find one of these in a refusal wait for a warm-up to end, for ever."""

_FIELDS = {
    "audio": "audio_data",
    "source": "audio_data",
    "model": "model_name",
    "prompt": "description",
    "total_seconds": "audio_data",
    "appended_seconds": "audio_data",
}
"""What our fields are called by plugins, where that is something else."""

_VAGUE = "The server could not do this."
_CANCELLED = JobError("cancelled", "The job was cancelled.")


class State(StrEnum):
    """The one word that plugins switch on."""

    QUEUED = "queued"
    WARMING = "warming"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


def state_of(job: Job) -> State:
    """Return the word for a job."""
    if job.status is Status.QUEUED:
        return State.QUEUED
    if job.status is Status.RUNNING:
        return State.WARMING if job.stage == "warming" else State.PROCESSING
    return State.COMPLETED if job.status is Status.FINISHED else State.FAILED


def percent(job: Job) -> int:
    """Return the progress in whole percent; 100 means that there is a result."""
    return 100 if job.status is Status.FINISHED else min(99, int(100 * job.progress))


def queue_status(job: Job, outlook: Outlook = NOTHING) -> dict[str, Any]:
    """Return where a job stands.

    Its `position` is 1 for the next job and 0 once it runs; its `status` is never empty. Without
    history there is no estimate: null, and 0 as a number.
    """
    state = state_of(job)
    is_queued = state is State.QUEUED
    position = (outlook.ahead or 0) + 1 if is_queued else 0
    seconds = math.ceil(outlook.eta_seconds or 0) if is_queued else 0
    return {
        "message": _message(job, position, seconds),
        "position": position,
        "total_queued": outlook.total,
        "estimated_time": duration(seconds) if seconds else None,
        "estimated_seconds": seconds,
        "status": str(state),
        "session_id": job.session_id,
    }


def duration(seconds: int) -> str:
    """Return a time in words: `about 1 minute and 5 seconds`."""
    minutes, rest = divmod(seconds, 60)
    parts = [_counted(minutes, "minute")] if minutes else []
    if rest or not minutes:
        parts.append(_counted(rest, "second"))
    return "about " + " and ".join(parts)


def error_of(job: Job) -> JobError:
    """Return why a job ended without a result, in words that no client takes for a warm-up."""
    error = job.error or _CANCELLED
    return JobError(error.code, final(error.message))


def sentence(error: errors.MelodyflowError) -> str:
    """Return how clients are told of an error."""
    if isinstance(error, errors.Busy) and error.message == errors.Busy().message:
        return acts.TRANSFORM.busy
    return final(error.message)


def field_of(error: errors.MelodyflowError) -> str | None:
    """Return the field that is wrong, by the name clients sent it under."""
    return _FIELDS.get(error.field or "", error.field)


def final(message: str) -> str:
    """Return a message as it may stand in a refusal: never with a word of warming up."""
    lower = message.lower()
    return _VAGUE if any(word in lower for word in WARM_UP_WORDS) else message


def _message(job: Job, position: int, seconds: int) -> str:
    state = state_of(job)
    if state is State.QUEUED:
        wait = f" Estimated wait time: {duration(seconds)}." if seconds else ""
        return f"You are number {position} in the queue.{wait}"
    return {
        State.WARMING: "warming up the instruments...",
        State.PROCESSING: acts.likened(job).doing,
        State.COMPLETED: "done",
        State.FAILED: "failed",
    }[state]


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
