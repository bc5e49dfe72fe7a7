"""Puts the program together: one function a process. The only place that knows every part."""

import logging
import os
import secrets
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from obstore.store import MemoryStore, ObjectStore

import variations
from server.adapters import migrate, rq_queue
from server.adapters.artifacts import StoredArtifacts, open_store
from server.adapters.attendance import Attendance
from server.adapters.database import Database
from server.adapters.deliveries import SqlDeliveries
from server.adapters.fan_out import FanOut
from server.adapters.job_store import SqlJobs
from server.adapters.key_store import SqlKeys
from server.adapters.legacy_keys import LegacyKeys
from server.adapters.rate_limits import WireRates
from server.adapters.repeated import Repeated
from server.adapters.rq_queue import RqQueue
from server.adapters.secret_store import SqlSecrets
from server.adapters.session_store import SqlSessions
from server.adapters.socketio_events import SocketioEvents
from server.adapters.statistics import SqlStatistics
from server.adapters.watchdog import Watchdog
from server.adapters.worker import ResidentWorker, Shift
from server.adapters.worker_store import SqlWorkers
from server.config import Settings
from server.engines.catalog import ENGINES, EngineCard
from server.engines.residency import Residency
from server.jobs.alone import Silence, Unattended
from server.jobs.dispatch import Dispatch
from server.jobs.estimates import Estimates
from server.jobs.janitor import Janitor
from server.jobs.keys import Keys
from server.jobs.kind import JobSpec, Kind, Kinds
from server.jobs.ports import Events
from server.jobs.record import Job
from server.jobs.routing import Router
from server.jobs.runner import Guard, Limits, Runner, unguarded
from server.jobs.service import JobService
from server.kinds import KINDS

if TYPE_CHECKING:
    from flask import Flask

    from server.adapters.courier import Courier
    from server.web.downloads import Downloads

log = logging.getLogger(__name__)

ANNOUNCE_SECONDS = 2.0

LOOK_SECONDS = 1.0
"""How soon a webhook is told, and told again."""

SWEEP_SECONDS = 2.0
"""With a lease of 10 s, a job of a worker that was killed runs again within 15 s."""

ORPHANS_SECONDS = 1800.0
"""How often the whole store is compared with the record; a distant one charges for lists."""

TELL_SECONDS = 2.0
"""How long the web waits until a queued job was told of, before a worker may tell of it."""

OUTLIVE = timedelta(hours=1)
"""Artifacts are stored before their job ends and must not expire before it does."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """Everything that is kept."""

    database: Database
    jobs: SqlJobs
    sessions: SqlSessions
    workers: SqlWorkers
    artifacts: StoredArtifacts
    deliveries: SqlDeliveries


@dataclass(frozen=True, kw_only=True)
class Local:
    """Everything in one process, without broker or server: a job runs as it is submitted."""

    runner: Runner
    record: Record

    def run(self, kind: Kind, spec: JobSpec) -> Job:
        """Run a job to its ending and return it."""
        job = Job(kind=kind.NAME, spec=spec.model_dump(mode="json"))
        self.record.jobs.add(job)
        self.runner.run(job.id)
        return self.record.jobs.get(job.id)


def open_record(settings: Settings) -> Record:
    """Return the stores that the settings name, their tables brought up to date.

    Raises:
        errors.Unavailable: the database does not answer.
    """
    store = open_store(settings.artifacts_url, settings.data_dir / "artifacts")
    return _record(settings, settings.record_url, store)


def web(settings: Settings, redis_url: str, *, kinds: Kinds = KINDS) -> "Flask":
    """Return the web application; its SocketIO is at `app.extensions["socketio"]`."""
    from server.web.app import create_app  # noqa: PLC0415 - a worker needs none of it
    from server.web.services import Services  # noqa: PLC0415

    variations.use_folder(settings.own_presets_dir)
    record = open_record(settings)
    _ask_for_a_first_key(settings, SqlKeys(record.database))
    router = _router(settings, record, kinds, ENGINES)
    queue = RqQueue(redis_url, kinds=kinds, route=router.engine_for)
    estimates = _estimates(settings, record, router)
    service = JobService(
        jobs=record.jobs,
        queue=queue,
        events=_events(redis_url, record, estimates, patience_seconds=TELL_SECONDS),
        max_waiting=settings.max_waiting_jobs,
        keep=_keep(settings),
        estimates=estimates,
    )
    return create_app(
        Services(
            settings=settings,
            jobs=service,
            artifacts=record.artifacts,
            sessions=record.sessions,
            workers=record.workers,
            queue=queue,
            webhooks=record.deliveries,
            statistics=_statistics(record),
            keys=SqlKeys(record.database),
            rates=WireRates(redis_url),
            downloads=_downloads(record),
            message_queue=redis_url,
        )
    )


def worker(
    settings: Settings,
    redis_url: str,
    *,
    queues: Sequence[str],
    kinds: Kinds = KINDS,
    engines: Mapping[str, EngineCard] = ENGINES,
) -> ResidentWorker:
    """Return a worker of this process, ready to `serve`; RQ will run jobs with its runner."""
    variations.use_folder(settings.own_presets_dir)
    name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
    record, shift = open_record(settings), Shift()
    residency = Residency(settings, engines=engines)
    router = _router(settings, record, kinds, engines)
    queue = RqQueue(redis_url, kinds=kinds, route=router.engine_for)
    events = _events(redis_url, record, _estimates(settings, record, router))
    watchdog = Watchdog(
        timeout_seconds=settings.job_timeout_seconds,
        stuck_seconds=settings.stuck_seconds,
        farewell=events.close,
    )
    runner = _runner(
        settings,
        record,
        name=name,
        kinds=kinds,
        events=events,
        engines=residency,
        shift=shift,
        guard=watchdog.guard,
    )
    rq_queue.install(replace(runner, on_left=Dispatch(jobs=record.jobs, queue=queue).after))
    janitor = _janitor(settings, record, queue, events)
    attendance = Attendance(name, queues, workers=record.workers, engines=residency, shift=shift)
    return ResidentWorker(
        queues,
        redis_url=redis_url,
        name=name,
        shift=shift,
        engines=residency,
        companions=(
            closing(events),
            Repeated(attendance.announce, seconds=ANNOUNCE_SECONDS, farewell=attendance.leave),
            Repeated(janitor.sweep, seconds=SWEEP_SECONDS),
            Repeated(record.artifacts.remove_orphans, seconds=ORPHANS_SECONDS),
            Repeated(_courier(settings, record).round, seconds=LOOK_SECONDS),
        ),
    )


@contextmanager
def open_keys(settings: Settings) -> Iterator[Keys]:
    """Yield the keys of callers.

    Raises:
        errors.Unavailable: the database does not answer.
    """
    record = open_record(settings)
    with closing(record.database):
        yield SqlKeys(record.database)


@contextmanager
def desk(settings: Settings) -> Iterator[JobService]:
    """Yield what an operator may do with jobs on the record alone, whether a server runs or not."""
    variations.use_folder(settings.own_presets_dir)
    record = open_record(settings)
    with closing(record.database):
        yield JobService(
            jobs=record.jobs,
            queue=Unattended(),
            events=Silence(),
            max_waiting=settings.max_waiting_jobs,
            keep=_keep(settings),
        )


@contextmanager
def local(
    settings: Settings,
    *,
    events: Events | None = None,
    kinds: Kinds = KINDS,
    engines: Mapping[str, EngineCard] = ENGINES,
) -> Iterator[Local]:
    """Yield everything in one process; nothing of it is left behind."""
    variations.use_folder(settings.own_presets_dir)
    with TemporaryDirectory() as directory:
        database = f"sqlite:///{Path(directory) / 'record.sqlite3'}"
        record = _record(settings, database, MemoryStore())
        runner = _runner(
            settings,
            record,
            name="local",
            kinds=kinds,
            events=events or Silence(),
            engines=Residency(settings, engines=engines),
        )
        yield Local(runner=runner, record=record)
        record.database.close()


def _record(settings: Settings, database_url: str, store: ObjectStore) -> Record:
    database = Database(database_url)
    migrate.upgrade(database)
    return Record(
        database=database,
        jobs=SqlJobs(database, at_once=settings.jobs_at_once),
        sessions=SqlSessions(database),
        workers=SqlWorkers(database),
        artifacts=StoredArtifacts(store, database, keep=_keep(settings) + OUTLIVE),
        deliveries=SqlDeliveries(database, allowed=settings.webhook_hosts),
    )


def _runner(
    settings: Settings,
    record: Record,
    *,
    name: str,
    kinds: Kinds,
    events: Events,
    engines: Residency,
    shift: Shift | None = None,
    guard: Guard = unguarded,
) -> Runner:
    return Runner(
        worker=name,
        kinds=kinds,
        jobs=record.jobs,
        artifacts=record.artifacts,
        sessions=record.sessions,
        events=events,
        engines=engines,
        limits=_limits(settings),
        is_stopping=shift.is_over if shift else lambda: False,
        on_device_lost=shift.end_for_a_fresh_start if shift else None,
        guard=guard,
    )


def _router(
    settings: Settings, record: Record, kinds: Kinds, engines: Mapping[str, EngineCard]
) -> Router:
    within = timedelta(seconds=settings.lease_seconds)
    return Router(workers=record.workers, kinds=kinds, engines=engines, within=within)


def _estimates(settings: Settings, record: Record, router: Router) -> Estimates:
    within = timedelta(seconds=settings.lease_seconds)
    return Estimates(
        record.jobs,
        expected=router.expected,
        lanes=lambda: len(record.workers.live(within)),
    )


def _janitor(settings: Settings, record: Record, queue: RqQueue, events: Events) -> Janitor:
    return Janitor(
        jobs=record.jobs,
        queue=queue,
        artifacts=record.artifacts,
        sessions=record.sessions,
        events=events,
        max_attempts=settings.max_attempts,
        keep=_keep(settings),
        remember=timedelta(days=settings.records_days),
    )


def _statistics(record: Record) -> SqlStatistics:
    statistics = SqlStatistics(record.database)
    threading.Thread(target=statistics.begin, name="statistics", daemon=True).start()
    return statistics


def _courier(settings: Settings, record: Record) -> "Courier":
    from server.adapters.courier import Courier, Post  # noqa: PLC0415 - workers alone send

    return Courier(
        record.deliveries,
        secrets=SqlSecrets(record.database),
        post=Post(allowed=settings.webhook_hosts),
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        timeout_seconds=settings.job_timeout_seconds,
        lease=timedelta(seconds=settings.lease_seconds),
        keep=_keep(settings),
        max_attempts=settings.max_attempts,
        source_seconds=settings.max_source_seconds,
    )


def _keep(settings: Settings) -> timedelta:
    return timedelta(hours=settings.results_hours)


def _ask_for_a_first_key(settings: Settings, keys: Keys) -> None:
    if settings.asks_for_keys and not any(key.revoked_at is None for key in keys.all()):
        log.warning(
            "Callers need an API key here (MELODYFLOW_KEYS is %s, the host %s), and there is none "
            "yet. Make the first one: python -m server keys add NAME --admin --data-dir %s",
            settings.keys,
            settings.host,
            settings.data_dir,
        )


def _downloads(record: Record) -> "Downloads":
    from server.web.downloads import SECRET_NAME, Downloads  # noqa: PLC0415 - as below

    secrets = SqlSecrets(record.database)
    return Downloads(secret=cache(partial(secrets.get, SECRET_NAME)))


def _events(
    redis_url: str, record: Record, estimates: Estimates, *, patience_seconds: float = 0.0
) -> FanOut:
    from server.web import emissions  # noqa: PLC0415 - running a file here needs none of it

    link = _downloads(record).url
    translators = emissions.translators(record.artifacts, estimates, link=link)
    messages = SocketioEvents(redis_url, translators)
    keys = LegacyKeys(redis_url, partial(emissions.standings, estimates=estimates))
    return FanOut([messages, keys], patience_seconds=patience_seconds)
