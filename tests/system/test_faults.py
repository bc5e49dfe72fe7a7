"""Workers are killed, brokers forget, shutdowns come in the middle: a job is done once."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
import redis

from server import bootstrap
from server.adapters.rq_queue import RqQueue
from server.config import Settings
from server.jobs.record import Job, Status
from server.jobs.service import JobService
from tests.system import slow_worker
from tests.system.processes import PATIENCE_SECONDS, Running, Yard, free_port, until
from tests.system.slow_worker import KINDS, Slow, SlowSpec
from tests.unit.jobs.workshop import Heard


class Works:
    """A record, a broker, and workers that come and go."""

    def __init__(self, yard: Yard, redis_url: str) -> None:
        self._yard, self._redis_url = yard, redis_url
        self.settings = Settings.from_environment(
            data_dir=yard.data, redis_url=redis_url, lease_seconds=1.5
        )
        self.record = bootstrap.open_record(self.settings)
        self.marks = yard.directory / "marks"
        self.marks.mkdir()
        self.queue = RqQueue(redis_url, kinds=KINDS)
        self.service = JobService(
            jobs=self.record.jobs,
            queue=self.queue,
            events=Heard(),
            max_waiting=8,
            keep=timedelta(hours=24),
        )

    def worker(self) -> Running:
        """Start one more."""
        environment = {
            "REDIS_URL": self._redis_url,
            "MELODYFLOW_DATA_DIR": str(self.settings.data_dir),
            "MELODYFLOW_LEASE_SECONDS": str(self.settings.lease_seconds),
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2])]),
        }
        return self._yard.start(slow_worker.__file__, **environment)

    def submit(self, go: str = "go") -> Job:
        """Submit a job that waits for a file."""
        spec = SlowSpec(marks=str(self.marks), go=str(self._yard.directory / go))
        return self.service.submit(Slow(), spec)

    def let_go(self, go: str = "go") -> None:
        """Let jobs finish."""
        (self._yard.directory / go).touch()

    def started_by(self, attempt: int) -> int:
        """Wait for an attempt and return who makes it."""
        mark = until(lambda: next(self.marks.glob(f"{attempt}-*"), None))
        return int(mark.name.split("-")[1])

    def ended(self, job: Job) -> Job:
        """Wait for the ending."""
        return self.service.wait(job.id, seconds=PATIENCE_SECONDS)


@pytest.fixture(name="works")
def _works(yard: Yard, valkey_url: str) -> Iterator[Works]:
    works = Works(yard, valkey_url)
    with closing(works.record.database):
        yield works


def _results(works: Works, job: Job) -> list[bytes]:
    return [works.record.artifacts.read(output.artifact_id) for output in job.outputs]


def test_a_job_of_a_killed_worker_is_done_by_another_once(works: Works) -> None:
    first, job = works.worker(), works.submit()
    assert first.pid == works.started_by(1)
    first.end(signal.SIGKILL)
    second = works.worker()
    taken_by = works.started_by(2)
    works.let_go()
    done = works.ended(job)

    assert (Status.FINISHED, 2, second.pid) == (done.status, done.attempt, taken_by)
    assert [b"2"] == _results(works, done)


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


def test_a_frozen_worker_that_wakes_up_finds_its_job_gone(works: Works) -> None:
    """It was silent for longer than its lease; its result is not the job's."""
    sleeper, job = works.worker(), works.submit()
    works.started_by(1)
    psutil.Process(sleeper.pid).suspend()
    works.worker()
    works.started_by(2)
    psutil.Process(sleeper.pid).resume()
    works.let_go()
    done = works.ended(job)

    assert (Status.FINISHED, 2, [b"2"]) == (done.status, done.attempt, _results(works, done))


def test_a_broker_that_forgot_everything_loses_no_job(yard: Yard) -> None:
    """It restarts empty under a worker at work and a job that waits; both are finished."""
    port = free_port()
    broker = yard.valkey(port)
    works = Works(yard, f"redis://127.0.0.1:{port}/0")
    with closing(works.record.database):
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
