"""Workers are killed, brokers forget, shutdowns come in the middle: a job is done once."""

import signal
import sqlite3
from contextlib import closing
from datetime import timedelta

import psutil
import redis

from server.jobs.record import Status
from tests.system import works as all_works
from tests.system.processes import Running, Yard, free_port, until
from tests.system.works import Works


def test_a_job_of_a_killed_worker_is_done_by_another_once(works: Works) -> None:
    first, job = works.worker(), works.submit()
    assert first.pid == works.started_by(1)
    first.end(signal.SIGKILL)
    second = works.worker()
    taken_by = works.started_by(2)
    works.let_go()
    done = works.ended(job)

    assert (Status.FINISHED, 2, second.pid) == (done.status, done.attempt, taken_by)
    assert [b"2"] == works.results(done)


def test_a_job_that_kills_every_worker_fails_in_the_end(works: Works) -> None:
    job = works.submit()
    for attempt in range(1, works.settings.max_attempts + 1):
        worker = works.worker()
        works.started_by(attempt)
        worker.end(signal.SIGKILL)
    works.worker()
    failed = works.ended(job)

    assert failed.error is not None
    assert (Status.FAILED, "worker_lost") == (failed.status, failed.error.code)


def test_a_worker_told_to_end_hands_its_job_back(works: Works) -> None:
    """It ends with code 0, and says goodbye; the next worker does the job from its beginning."""
    first, job = works.worker(), works.submit()
    works.started_by(1)
    until(lambda: works.record.workers.live(timedelta(seconds=5)))
    assert 0 == first.end(signal.SIGTERM)
    waiting = works.service.get(job.id)
    assert (Status.QUEUED, 0.0) == (waiting.status, waiting.progress)
    assert [] == list(works.record.workers.live(timedelta(seconds=5)))
    works.worker()
    works.let_go()

    assert 2 == works.ended(job).attempt


def test_a_running_job_is_cancelled_within_a_step(works: Works) -> None:
    works.worker()
    job = works.submit()
    works.started_by(1)
    works.service.cancel(job.id)

    assert Status.CANCELLED is works.ended(job).status


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


def test_a_broker_that_forgot_everything_loses_no_job(yard: Yard) -> None:
    """It restarts empty under a worker at work and a job that waits; both are finished."""
    port = free_port()
    broker = yard.valkey(port)
    with all_works.opened(yard, f"redis://127.0.0.1:{port}/0") as works:
        worker = works.worker()
        running, waiting = works.submit(), works.submit()
        works.started_by(1)
        broker.end(signal.SIGKILL)
        yard.valkey(port)
        works.let_go()
        done = [works.ended(job) for job in (running, waiting)]

    assert [Status.FINISHED, Status.FINISHED] == [job.status for job in done]
    assert [1, 1] == [job.attempt for job in done]
    assert worker.process.poll() is None


def test_a_flushed_broker_loses_no_job(works: Works, valkey_url: str) -> None:
    job = works.submit()
    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()
    assert not works.queue.knows(job)
    works.worker()
    works.let_go()

    assert Status.FINISHED is works.ended(job).status
