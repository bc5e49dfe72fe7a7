"""Workers are killed, frozen or lose their broker: a job is done once."""

import signal
import sqlite3
import time
from contextlib import closing
from datetime import timedelta

import psutil
import redis

from server.config import Settings
from server.jobs.ports import Wanted
from server.jobs.record import Status
from tests.system import works as all_works
from tests.system.processes import Running, Yard, until
from tests.system.works import Figure, Works

PROMISED_SECONDS = 15.0
"""How soon a job runs again after its worker was killed."""


def test_a_job_of_a_killed_worker_starts_again_within_a_quarter_minute(
    yard: Yard, valkey_url: str, figure: Figure
) -> None:
    """With the settings that everybody has; its one result is the second attempt's."""
    with all_works.opened(yard, valkey_url, lease_seconds=None) as works:
        workers = {each.pid: each for each in (works.worker(), works.worker())}
        until(lambda: len(works.record.workers.live(timedelta(seconds=10))) == len(workers))
        job = works.submit()
        workers.pop(works.started_by(1)).end(signal.SIGKILL)
        killed_at = time.monotonic()
        taken_by = works.started_by(2)
        seconds = time.monotonic() - killed_at
        works.let_go()
        done = works.ended(job)
        figure("kill -9 to the second start, default settings", seconds)

        assert Settings().lease_seconds == works.settings.lease_seconds
        assert seconds < PROMISED_SECONDS
        assert (Status.FINISHED, 2, [taken_by]) == (done.status, done.attempt, list(workers))
        assert [b"2"] == works.results(done)


def test_a_job_that_kills_its_workers_is_given_up_and_may_be_revived(
    yard: Yard, valkey_url: str, record_url: str | None, figure: Figure
) -> None:
    """It is a dead letter; the queue goes on without it, until somebody wants it to run again."""
    limits = {"database_url": record_url, "max_attempts": 2}
    with all_works.opened(yard, valkey_url, **limits) as works:
        workers = {each.pid: each for each in (works.worker() for _ in range(3))}
        job = works.submit()
        for attempt in (1, 2):
            workers.pop(works.started_by(attempt)).end(signal.SIGKILL)
        killed_at = time.monotonic()
        failed = works.ended(job)
        figure("last kill to the dead letter, lease of 1.5 s", time.monotonic() - killed_at)
        dead = works.service.listed(Wanted(is_dead=True))
        works.let_go()
        revived = works.ended(works.service.revive(job.id))

        assert failed.error is not None
        assert (Status.FAILED, "worker_lost") == (failed.status, failed.error.code)
        assert (2, "restarted") == (failed.attempt, works.happened(job)[2])
        assert [job.id] == [each.id for each in dead]
        assert (Status.FINISHED, job.id) == (revived.status, revived.replay_of)
        assert [] == list(works.service.listed(Wanted(is_dead=True)))


def _freeze(sleeper: Running, works: Works) -> None:
    """Stop a process between two writes: one that is frozen within keeps a file's lock."""
    process, file = psutil.Process(sleeper.pid), works.settings.data_dir / "melodyflow.sqlite3"
    with closing(sqlite3.connect(file, timeout=0.1, isolation_level=None)) as writer:
        while True:
            process.suspend()
            try:
                writer.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                process.resume()
            else:
                return


def test_a_frozen_worker_that_wakes_up_finds_its_job_gone(works: Works) -> None:
    """It was silent for longer than its lease; its result is not the job's."""
    sleeper, job = works.worker(), works.submit()
    works.started_by(1)
    _freeze(sleeper, works)
    works.worker()
    works.started_by(2)
    psutil.Process(sleeper.pid).resume()
    works.let_go()
    done = works.ended(job)

    assert (Status.FINISHED, 2, [b"2"]) == (done.status, done.attempt, works.results(done))


def test_a_flushed_broker_loses_no_job(works: Works, valkey_url: str) -> None:
    job = works.submit()
    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()
    assert not works.queue.knows(job)
    works.worker()
    works.let_go()

    assert Status.FINISHED is works.ended(job).status
