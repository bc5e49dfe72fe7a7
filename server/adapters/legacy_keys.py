"""Progress where older services look for it: three Redis keys a session.

`progress:<session>` is an integer 0 to 100, `status:<session>` and `queue_status:<session>` are
JSON. They are copies of the record that expire after an hour; nothing of ours reads them.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
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


def progress_key(session_id: str) -> str:
    """Return the key of a session's progress."""
    return f"progress:{session_id}"


def status_key(session_id: str) -> str:
    """Return the key of a session's status."""
    return f"status:{session_id}"


def queue_status_key(session_id: str) -> str:
    """Return the key of what a session's queue position is told as."""
    return f"queue_status:{session_id}"


KEYS: Mapping[str, str] = {
    progress_key("<session>"): "Whole percent, 0 to 100, as text.",
    status_key("<session>"): (
        "JSON: status (queued, warming, processing, completed or failed), timestamp in seconds, "
        "error where it failed."
    ),
    queue_status_key("<session>"): "JSON: the fields of the event queue_status, and timestamp.",
}
"""What other services may read, with what they find there."""

Standings = Callable[[Event], Iterable[Mapping[str, Any]]]
"""Returns where sessions stand after an event, each with its `session_id`."""


class LegacyKeys:
    """`Events` that write the keys of jobs with a session."""

    def __init__(self, redis_url: str, standings: Standings) -> None:
        """Take the broker and who knows the places; connects with the first event."""
        self._redis = wire.connect(redis_url)
        self._standings = standings

    def publish(self, event: Event) -> None:
        """Write the keys.

        Raises:
            errors.WireDown: the broker does not answer.
        """
        values = dict(self._values(event))
        if not values:
            return
        with wire.wire_down(), self._redis.pipeline() as keys:
            for key, value in values.items():
                keys.set(key, value, ex=KEPT_SECONDS)
            keys.execute()

    def _values(self, event: Event) -> Iterator[tuple[str, str]]:
        session_id = event.job.session_id
        if session_id is not None:
            yield progress_key(session_id), str(int(event.job.progress * 100))
            yield status_key(session_id), _json(_status(event), event.job)
        for standing in self._standings(event):
            facts = {**standing, "timestamp": time.time()}
            yield queue_status_key(standing["session_id"]), json.dumps(facts)


def _status(event: Event) -> str:
    if event.name is EventName.PROGRESS and event.job.stage == "warming":
        return "warming"
    return _STATUS[event.name]


def _json(status: str, job: Job) -> str:
    facts: dict[str, Any] = {"status": status, "timestamp": time.time()}
    if status == "failed":
        facts["error"] = job.error.message if job.error else "The job was cancelled."
    return json.dumps(facts)
