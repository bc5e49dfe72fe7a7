"""Progress where older services look for it: three Redis keys a session.

`progress:<session>` is an integer 0 to 100, `status:<session>` and `queue_status:<session>` are
JSON. They are copies of the record that expire after an hour; nothing of ours reads them.
"""

import json
import time
from collections.abc import Mapping
from typing import Any

from server.adapters import wire
from server.jobs.events import Event, EventName
from server.jobs.record import Job

KEPT_SECONDS = 3600

_STATUS = {
    EventName.QUEUED: "queued",
    EventName.RESTARTED: "queued",
    EventName.STARTED: "warming",
    EventName.PROGRESS: "processing",
    EventName.FINISHED: "completed",
    EventName.FAILED: "failed",
    EventName.CANCELLED: "failed",
}

_SENTENCE = {
    "queued": "waiting in the queue",
    "warming": "getting ready",
    "processing": "transforming...",
    "completed": "done",
    "failed": "failed",
}


def progress_key(session_id: str) -> str:
    """Return the key of a session's progress."""
    return f"progress:{session_id}"


def status_key(session_id: str) -> str:
    """Return the key of a session's status."""
    return f"status:{session_id}"


def queue_status_key(session_id: str) -> str:
    """Return the key of what a session's queue position is told as."""
    return f"queue_status:{session_id}"


class LegacyKeys:
    """`Events` that write the keys of jobs with a session."""

    def __init__(self, redis_url: str) -> None:
        """Take the broker; connects with the first event."""
        self._redis = wire.connect(redis_url)

    def publish(self, event: Event) -> None:
        """Write the keys.

        Raises:
            errors.WireDown: the broker does not answer.
        """
        session_id = event.job.session_id
        if session_id is None:
            return
        status = _status(event)
        with wire.wire_down(), self._redis.pipeline() as keys:
            keys.set(progress_key(session_id), int(event.job.progress * 100), ex=KEPT_SECONDS)
            keys.set(status_key(session_id), _json(status, event.job), ex=KEPT_SECONDS)
            keys.set(
                queue_status_key(session_id), _json_of_queue(status, session_id), ex=KEPT_SECONDS
            )
            keys.execute()


def _status(event: Event) -> str:
    if event.name is EventName.PROGRESS and event.job.stage == "warming":
        return "warming"
    return _STATUS[event.name]


def _json(status: str, job: Job) -> str:
    facts: dict[str, Any] = {"status": status, "timestamp": time.time()}
    if status == "failed":
        facts["error"] = job.error.message if job.error else "The job was cancelled."
    return json.dumps(facts)


def _json_of_queue(status: str, session_id: str) -> str:
    facts: Mapping[str, Any] = {
        "status": status,
        "message": _SENTENCE[status],
        "session_id": session_id,
        "timestamp": time.time(),
    }
    return json.dumps(facts)
