"""A whole server in one process: real record, real files, real runner, a scripted engine."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from server import errors
from server.adapters.rate_limits import WireRates
from server.config import Settings
from server.engines.catalog import ENGINES
from server.jobs.dispatch import Dispatch
from server.jobs.estimates import Estimates
from server.jobs.events import Event
from server.jobs.keys import Keys
from server.jobs.ports import (
    ArtifactStore,
    Engines,
    Events,
    JobStore,
    SessionStore,
    WorkerStore,
)
from server.jobs.record import Job
from server.jobs.routing import Router
from server.jobs.runner import Limits, Runner
from server.jobs.service import JobService
from server.jobs.statistics import Statistics
from server.jobs.webhooks import Webhooks
from server.kinds import KINDS
from server.web.app import create_app
from server.web.downloads import Downloads
from server.web.services import Services
from tests.http import sounds
from tests.http.scripted import WORKER, ScriptedEngine, ScriptedEngines, worker_note

KEEP = timedelta(hours=24)


class Silent:
    """Events that nobody listens to."""

    def publish(self, event: Event) -> None:
        """Do nothing."""


class ThreadQueue:
    """The queue of one process: a thread runs the jobs in order.

    Attributes:
        is_up: whether it takes anything; a test may pull the plug.
        unloads: how often workers were asked to unload.
    """

    def __init__(self) -> None:
        self.is_up = True
        self.unloads = 0
        self._jobs: queue.Queue[str | None] = queue.Queue()
        self._may_run = threading.Event()
        self._may_run.set()

    def enqueue(self, job: Job) -> None:
        """Take a job."""
        if not self.is_up:
            raise errors.WireDown
        self._jobs.put(job.id)

    def knows(self, job: Job) -> bool:
        """Tell whether a job waits."""
        return job.id in self._jobs.queue

    def ping(self) -> bool:
        """Tell whether it works."""
        return self.is_up

    def ask_unload(self) -> None:
        """Count it."""
        if not self.is_up:
            raise errors.WireDown
        self.unloads += 1

    def hold(self) -> None:
        """Start no further job until `release`."""
        self._may_run.clear()

    def release(self) -> None:
        """Start jobs again."""
        self._may_run.set()

    @contextmanager
    def running(self, run: Callable[[str], None]) -> Iterator[None]:
        """Run the jobs while this lasts."""
        thread = threading.Thread(target=self._work, args=(run,), name="worker")
        thread.start()
        try:
            yield
        finally:
            self.release()
            self._jobs.put(None)
            thread.join()

    def _work(self, run: Callable[[str], None]) -> None:
        while (job_id := self._jobs.get()) is not None:
            self._may_run.wait()
            run(job_id)


@dataclass(frozen=True, kw_only=True)
class World:
    """A server and what a test may do to it."""

    client: FlaskClient
    services: Services
    jobs: JobStore
    artifacts: ArtifactStore
    workers: WorkerStore
    webhooks: Webhooks
    queue: ThreadQueue
    engine: ScriptedEngine

    def submit(self, **fields: Any) -> dict[str, Any]:
        """Submit a transform of a short sound and return the receipt."""
        order = {"audio": sounds.base64_wav(), "variation": "strings_quartet", **fields}
        return self.json(self.client.post("/jobs", json=order), status=202)

    def finished(self, job_id: str) -> dict[str, Any]:
        """Return a job once it has ended."""
        return self.json(self.client.get(f"/jobs/{job_id}?wait=20"))

    def finished_later(self, job_id: str) -> dict[str, Any]:
        """Let held jobs run and return this one once it has ended."""
        self.queue.release()
        return self.finished(job_id)

    def json(self, response: TestResponse, *, status: int = 200) -> dict[str, Any]:
        """Return the object in an answer of that status."""
        assert status == response.status_code, response.get_data(as_text=True)
        body: dict[str, Any] = response.get_json()
        return body


@dataclass(frozen=True, kw_only=True)
class Stores:
    """The adapters a world stands on."""

    jobs: JobStore
    artifacts: ArtifactStore
    sessions: SessionStore
    workers: WorkerStore
    webhooks: Webhooks
    statistics: Statistics
    keys: Keys


@contextmanager
def world(
    folder: Path,
    stores: Stores,
    *,
    events: Events | None = None,
    message_queue: str | None = None,
    engines: Engines | None = None,
    **settings: Any,
) -> Iterator[World]:
    """Start a server in a folder; `engines` and `settings` win over the script and the defaults."""
    events = events or Silent()
    made = Settings(data_dir=folder, **settings)
    engine, wire = ScriptedEngine(), ThreadQueue()
    stores.workers.announce(worker_note())
    services = _services(made, stores, wire, events, message_queue)
    runner = _runner(stores, engines or ScriptedEngines(engine), events)
    dispatch = Dispatch(jobs=stores.jobs, queue=wire)
    with wire.running(replace(runner, on_left=dispatch.after).run):
        yield World(
            client=create_app(services).test_client(),
            services=services,
            jobs=stores.jobs,
            artifacts=stores.artifacts,
            workers=stores.workers,
            webhooks=stores.webhooks,
            queue=wire,
            engine=engine,
        )
        engine.release()


def _services(
    settings: Settings,
    stores: Stores,
    wire: ThreadQueue,
    events: Events,
    message_queue: str | None,
) -> Services:
    return Services(
        settings=settings,
        jobs=JobService(
            jobs=stores.jobs,
            queue=wire,
            events=events,
            max_waiting=settings.max_waiting_jobs,
            keep=KEEP,
            estimates=Estimates(stores.jobs, expected=_router(stores).expected),
        ),
        artifacts=stores.artifacts,
        sessions=stores.sessions,
        workers=stores.workers,
        queue=wire,
        webhooks=stores.webhooks,
        statistics=stores.statistics,
        keys=stores.keys,
        rates=WireRates(None),
        downloads=Downloads(secret=lambda: b"a secret of this test"),
        message_queue=message_queue,
    )


def _router(stores: Stores) -> Router:
    return Router(workers=stores.workers, kinds=KINDS, engines=ENGINES, within=KEEP)


def _runner(stores: Stores, engines: Engines, events: Events) -> Runner:
    return Runner(
        worker=WORKER,
        kinds=KINDS,
        jobs=stores.jobs,
        artifacts=stores.artifacts,
        sessions=stores.sessions,
        events=events,
        engines=engines,
        limits=Limits(timeout_seconds=60, lease=timedelta(seconds=30), keep=KEEP, max_attempts=3),
    )
