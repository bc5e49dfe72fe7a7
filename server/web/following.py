"""Who follows which job over a connection of this process, and what their going away means.

A follower joins first and is told how the job is then: what changes in between is told twice rather
than never. Versions tell the newer of two views.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from server import errors
from server.jobs.service import JobService
from server.web import emissions, parsing, rooms, views
from server.web.plugin import payload
from server.web.plugin.payload import Fields
from server.web.services import Services
from server.web.visitors import connection_id

log = logging.getLogger(__name__)

_LONGEST_JOB_ID = 64


@dataclass(frozen=True, slots=True)
class _Follower:
    """One connection's interest in a job: as whom, and whether the job may go on without it."""

    jobs: JobService
    is_needed: bool


class Following:
    """Answers `follow` and `unfollow` of any number of connections."""

    def __init__(self, services: Callable[[], Services]) -> None:
        """Take what returns the services as the present caller meets them."""
        self._services = services
        self._lock = threading.Lock()
        self._followers: dict[str, dict[str, _Follower]] = {}

    def follow(self, sent: Fields) -> Mapping[str, Any]:
        """Join those who hear of a job; answer with its view, and with its events if asked."""
        services, job_id = self._services(), _job_id(sent)
        after = payload.whole_number(sent, "after") if sent.get("after") is not None else None
        services.jobs.get(job_id)
        # read after joining: what changes in between is told, not missed
        rooms.join(emissions.room_of(job_id))
        is_needed = parsing.is_yes(sent.get("cancel_on_disconnect"))
        self._enter(job_id, _Follower(services.jobs, is_needed))
        job = services.jobs.get(job_id)
        outlook = services.jobs.outlook(job)
        link = services.downloads.url
        view = emissions.job_view(job, outlook=outlook, artifacts=services.artifacts, link=link)
        return view if after is None else {**view, **_missed(services, job_id, after=after)}

    def unfollow(self, sent: Fields) -> Mapping[str, Any]:
        """Leave them; the job goes on."""
        job_id = _job_id(sent)
        rooms.leave(emissions.room_of(job_id))
        self._leave(job_id, connection_id())
        return {"id": job_id}

    def goodbye(self, connection: str) -> None:
        """Note that a connection ended; jobs that were to end with their last follower do."""
        for job_id in self.followed():
            gone, others = self._leave(job_id, connection)
            if gone is not None and gone.is_needed and not any(each.is_needed for each in others):
                _cancel(gone.jobs, job_id)

    def followed(self) -> list[str]:
        """Return the jobs that somebody follows here."""
        with self._lock:
            return list(self._followers)

    def _enter(self, job_id: str, follower: _Follower) -> None:
        with self._lock:
            self._followers.setdefault(job_id, {})[connection_id()] = follower

    def _leave(self, job_id: str, connection: str) -> tuple[_Follower | None, list[_Follower]]:
        """Forget a follower; returns it and those who stay."""
        with self._lock:
            here = self._followers.get(job_id, {})
            gone = here.pop(connection, None)
            if not here:
                self._followers.pop(job_id, None)
            return gone, list(here.values())


def _missed(services: Services, job_id: str, *, after: int) -> Mapping[str, Any]:
    happened = services.jobs.happenings(job_id, after=after)
    shown = views.HappeningsView.of(job_id, happened).model_dump(mode="json")
    return {"events": shown["events"]}


def _cancel(jobs: JobService, job_id: str) -> None:
    try:
        jobs.cancel(job_id)
    except (errors.NotFound, errors.Conflict):  # it has ended
        return
    except errors.Unavailable:
        log.warning("nobody waits for this job, and it goes on", extra={"job": job_id})
    else:
        log.info("cancelled with its last follower", extra={"job": job_id})


def _job_id(sent: Fields) -> str:
    job_id = parsing.word(sent.get("job_id"), field="job_id")
    if not job_id or len(job_id) > _LONGEST_JOB_ID:
        raise errors.NoSuchJob
    return job_id
