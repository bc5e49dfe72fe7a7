"""Tells again what connections may have missed while the broker was away. This process only."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask_socketio import SocketIO

from server import errors
from server.jobs.events import Emission
from server.web import emissions
from server.web.following import Following
from server.web.plugin.presence import Presence
from server.web.services import Services

log = logging.getLogger(__name__)

MARGIN = timedelta(seconds=5)
"""An ending may be told this long after it was recorded: its sound has to be read first."""


@dataclass(frozen=True, kw_only=True)
class Retelling:
    """Knows who is here, and tells them how their jobs are."""

    socketio: SocketIO
    services: Services
    following: Following
    presence: Presence

    def tell(self, since: datetime) -> None:
        """Tell followers how their jobs are, and sessions what they wait for.

        An ending from before `since` was heard; one about then is told twice rather than never.
        """
        for job_id in self.following.followed():
            self._tell(self._of_job(job_id))
        for session_id in self.presence.sessions():
            self._tell(self._of_session(session_id, since - MARGIN))

    def _of_job(self, job_id: str) -> Iterator[Emission]:
        job = self.services.jobs.get(job_id)
        outlook = self.services.jobs.outlook(job)
        view = emissions.job_view(
            job,
            outlook=outlook,
            artifacts=self.services.artifacts,
            link=self.services.downloads.url,
        )
        yield Emission("job", view, emissions.room_of(job_id))

    def _of_session(self, session_id: str, since: datetime) -> Iterator[Emission]:
        job = self.services.jobs.newest_in_session(session_id)
        if job is None:
            return
        if not job.status.is_final:
            yield from emissions.place_in_queue(job, self.services.jobs.outlook(job))
            yield from emissions.progress(job)
        elif job.ended_at is not None and job.ended_at >= since:
            yield from emissions.ending(job, self.services.artifacts)

    def _tell(self, news: Iterator[Emission]) -> None:
        try:
            for each in news:
                # past the broker: every process does this for its own connections
                self.socketio.emit(each.name, dict(each.payload), to=each.room, ignore_queue=True)
        except errors.MelodyflowError as error:
            log.warning("could not be told again: %s", error.message)
