"""What the web process is given. Routes reach the world through this and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from flask import Flask, current_app

from server.config import Settings
from server.jobs.keys import Keys, Rates
from server.jobs.ports import ArtifactStore, Queue, SessionStore, WorkerNote, WorkerStore
from server.jobs.service import JobService
from server.jobs.statistics import Statistics
from server.jobs.webhooks import Webhooks
from server.web import callers
from server.web.belongings import OwnArtifacts, OwnSessions
from server.web.callers import Caller
from server.web.downloads import Downloads

_EXTENSION = "melodyflow"


@dataclass(frozen=True, kw_only=True)
class Services:
    """The ports of one web process; `message_queue` is the broker that carries Socket.IO events."""

    settings: Settings
    jobs: JobService
    artifacts: ArtifactStore
    sessions: SessionStore
    workers: WorkerStore
    queue: Queue
    webhooks: Webhooks
    statistics: Statistics
    keys: Keys
    rates: Rates
    downloads: Downloads
    message_queue: str | None

    @property
    def asks_for_keys(self) -> bool:
        """Whether nobody may call without a key."""
        return self.settings.asks_for_keys

    def live_workers(self) -> Sequence[WorkerNote]:
        """Return the workers that were heard of within a lease."""
        return self.workers.live(timedelta(seconds=self.settings.lease_seconds))

    def seen_by(self, caller: Caller) -> "Services":
        """Return these as a caller meets them: what others own is not there."""
        if caller.id is None:
            return self
        return replace(
            self,
            jobs=self.jobs.seen_by(caller.id, caller.may_see),
            artifacts=OwnArtifacts(self.artifacts, caller),
            sessions=OwnSessions(self.sessions, caller),
        )

    def attach(self, app: Flask) -> None:
        """Make these the services of an app."""
        app.extensions[_EXTENSION] = self


def current() -> Services:
    """Return the services of the app that handles the present request, as its caller meets them.

    Raises:
        errors.Unauthorized: nobody was let in.
    """
    services: Services = current_app.extensions[_EXTENSION]
    return services.seen_by(callers.current())
