"""What the web process is given. Routes reach the world through this and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from flask import Flask, current_app

from server.config import Settings
from server.jobs.ports import ArtifactStore, Queue, SessionStore, WorkerNote, WorkerStore
from server.jobs.service import JobService
from server.jobs.statistics import Statistics
from server.jobs.webhooks import Webhooks

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
    message_queue: str | None

    def live_workers(self) -> Sequence[WorkerNote]:
        """Return the workers that were heard of within a lease."""
        return self.workers.live(timedelta(seconds=self.settings.lease_seconds))

    def attach(self, app: Flask) -> None:
        """Make these the services of an app."""
        app.extensions[_EXTENSION] = self


def current() -> Services:
    """Return the services of the app that handles the present request."""
    services: Services = current_app.extensions[_EXTENSION]
    return services
