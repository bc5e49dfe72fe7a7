"""Whether a session's clients have been handed the ending of its newest job.

Clients that lost their connection ask with `verify_session`; they get an ending they missed once.
What is known of connections dies with the process: after a restart an ending may be sent again.
"""

from datetime import datetime, timedelta

from server import errors
from server.jobs.record import Job, now
from server.web.plugin import sessions
from server.web.plugin.presence import Presence
from server.web.services import Services

HALF_OPEN_SECONDS = 60.0
"""A connection that still stands this long after a message was there to receive it: Engine.IO asks
every 25 s and hangs up 20 s later. Until then it may be a client that is long gone."""


class Delivery:
    """Remembers in the sessions what was delivered."""

    def __init__(self, services: Services, presence: Presence) -> None:
        """Take who is where."""
        self._services = services
        self._presence = presence

    def missed(self, session_id: str, connection: str) -> Job | None:
        """Return an ended job nobody was told the ending of; from now on it counts as delivered.

        Raises:
            errors.NoSuchSession: there is no such session.
        """
        here = sessions.standing(self._services, session_id)
        job = here.job
        if job is None or not job.status.is_final or here.session.job_id == job.id:
            return None
        present = self._presence.within(session_id)
        was_told = any(
            _was_there(job, since, is_alive=each == connection) for each, since in present.items()
        )
        self._mark(job, session_id)
        return None if was_told else job

    def goodbye(self, connection: str, *, is_clean: bool) -> None:
        """Note that a connection ended, cleanly or by silence."""
        for session_id, since in self._presence.go(connection).items():
            try:
                job = sessions.standing(self._services, session_id).job
            except errors.NoSuchSession:
                continue
            if job is not None and _was_there(job, since, is_alive=is_clean):
                self._mark(job, session_id)

    def _mark(self, job: Job, session_id: str) -> None:
        sessions.change(self._services, session_id, job_id=job.id)


def _was_there(job: Job, since: datetime, *, is_alive: bool) -> bool:
    """Whether a connection that joined at `since` has received how the job ended."""
    if job.ended_at is None or job.ended_at < since:
        return False
    return is_alive or now() - job.ended_at > timedelta(seconds=HALF_OPEN_SECONDS)
