"""A worker takes jobs, nothing but jobs, and lets go when told to."""

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer

from server import errors
from server.adapters import crew, rq_queue, worker
from server.adapters.attendance import Attendance
from server.adapters.database import Database
from server.adapters.rq_queue import RqQueue
from server.adapters.worker import ResidentWorker, Shift
from server.adapters.worker_store import SqlWorkers
from server.config import Settings
from server.engines.residency import Residency
from server.jobs.context import Context
from server.jobs.record import Job, Status
from tests.unit.jobs.workshop import LEASE, ScriptedKind, Workshop

NOBODY = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


class Engines:
    """What is in memory; ends the shift once it was unloaded."""

    def __init__(self, shift: Shift) -> None:
        self.unloaded = self.rested = 0
        self._shift = shift

    def available(self) -> list[str]:
        return ["scripted"]

    def unload(self) -> list[str]:
        self.unloaded += 1
        self._shift.end()
        return ["scripted"]

    def rest(self) -> None:
        self.rested += 1

    def unload_idle(self) -> list[str]:
        return []


class Yard:
    """A worker in this process and the queue in front of it."""

    def __init__(self, workshop: Workshop, url: str) -> None:
        self.workshop, self.url = workshop, url
        self.shift = Shift()
        self.engines = Engines(self.shift)
        self.queue = RqQueue(url, kinds={ScriptedKind.NAME: ScriptedKind()})

    def enqueued(self) -> Job:
        """Record and enqueue a job."""
        job = self.workshop.queued()
        self.queue.enqueue(job)
        return job

    def serve(
        self,
        script: Callable[[Context], None],
        *,
        companions: tuple[AbstractContextManager[object], ...] = (),
    ) -> int:
        """Work until the script or the engines end the shift; return the exit code."""
        runner = self.workshop.runner(
            script,
            is_stopping=self.shift.is_over,
            on_device_lost=self.shift.end_for_a_fresh_start,
        )
        rq_queue.install(runner)
        return ResidentWorker(
            ["audio"],
            redis_url=self.url,
            name="worker-under-test",
            shift=self.shift,
            engines=self.engines,
            companions=companions,
        ).serve()


@pytest.fixture(name="yard")
def _yard(database: Database, valkey_url: str) -> Yard:
    return Yard(Workshop(database), valkey_url)


def test_jobs_are_done_in_order_in_this_process(yard: Yard) -> None:
    jobs = [yard.enqueued() for _ in range(3)]
    done: list[tuple[str, str | None, int]] = []

    def script(ctx: Context) -> None:
        done.append((ctx.job.id, yard.shift.job_id, os.getpid()))
        if len(done) == len(jobs):
            yard.shift.end()

    yard.serve(script)

    assert [(job.id, job.id, os.getpid()) for job in jobs] == done
    assert yard.shift.job_id is None
    assert Status.FINISHED is yard.workshop.jobs.get(jobs[0].id).status


def test_a_job_in_progress_is_handed_back_at_the_end_of_the_shift(yard: Yard) -> None:
    job, next_one = yard.enqueued(), yard.enqueued()

    def script(ctx: Context) -> None:
        yard.shift.end()
        ctx.report(0.5)

    yard.serve(script)

    assert (Status.QUEUED, 1) == (
        yard.workshop.jobs.get(job.id).status,
        yard.workshop.jobs.get(job.id).attempt,
    )
    assert yard.queue.knows(next_one)


def _touch(path: str) -> None:
    Path(path).touch()


class Crafted:
    """What somebody who reaches the broker would like to have unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (_touch, (str(self._path),))


def test_nothing_but_jobs_is_ever_called(yard: Yard, tmp_path: Path) -> None:
    """Neither another function, nor another call of ours, nor a pickle."""
    trace = tmp_path / "called"
    with redis.Redis.from_url(yard.url) as client:
        foreign = Queue("audio", connection=client, serializer=JSONSerializer)
        foreign.enqueue("os.mkdir", str(trace))
        foreign.enqueue(rq_queue.RUN_JOB, "a", "b")
        pickled = foreign.enqueue("os.mkdir", str(trace))
        client.hset(pickled.key, "data", pickle.dumps(Crafted(trace)))
    job = yard.enqueued()
    yard.serve(lambda _ctx: yard.shift.end())

    assert not trace.exists()
    assert Status.FINISHED is yard.workshop.jobs.get(job.id).status


def test_engines_are_unloaded_when_somebody_asks(yard: Yard) -> None:
    job = yard.enqueued()
    yard.serve(lambda _ctx: yard.queue.ask_unload())

    assert 1 == yard.engines.unloaded
    assert Status.FINISHED is yard.workshop.jobs.get(job.id).status


def test_engines_rest_after_every_job(yard: Yard) -> None:
    """A card has room for somebody else between jobs."""
    first, _ = yard.enqueued(), yard.enqueued()
    yard.serve(lambda ctx: yard.shift.end() if ctx.job.id != first.id else None)

    assert 2 == yard.engines.rested


def _lose_the_card(ctx: Context) -> None:
    raise errors.DeviceLost("the card is on fire")


def test_a_worker_without_its_card_hands_the_job_back_and_ends(yard: Yard) -> None:
    """It takes no other job, and says by its code that another process should begin at once."""
    job, next_one = yard.enqueued(), yard.enqueued()
    code = yard.serve(_lose_the_card)
    waiting = yard.workshop.jobs.get(job.id)

    assert crew.FRESH_START == code
    assert (Status.QUEUED, 1) == (waiting.status, waiting.device_losses)
    assert yard.queue.knows(next_one)


def test_a_card_may_be_lost_between_jobs(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    def unload_idle() -> list[str]:
        raise errors.DeviceLost

    monkeypatch.setattr(yard.engines, "unload_idle", unload_idle)
    job = yard.enqueued()

    assert crew.FRESH_START == yard.serve(lambda _ctx: None)
    assert Status.FINISHED is yard.workshop.jobs.get(job.id).status


def test_a_worker_waits_for_its_broker(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "RECONNECT_SECONDS", 0.01)
    yard = Yard(Workshop(database), NOBODY)

    @contextmanager
    def end_soon() -> Iterator[None]:
        timer = threading.Timer(0.2, yard.shift.end)
        timer.start()
        yield
        timer.join()

    yard.serve(lambda _ctx: None, companions=(end_soon(),))

    assert "the broker does not answer" in caplog.text


def test_a_signal_ends_the_shift_and_limits_the_grace(yard: Yard) -> None:
    def script(ctx: Context) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        ctx.report(0.5)

    job = yard.enqueued()
    yard.serve(script)

    assert Status.QUEUED is yard.workshop.jobs.get(job.id).status
    assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= worker.GRACE_SECONDS


def test_a_worker_tells_of_itself(database: Database) -> None:
    workers, shift = SqlWorkers(database), Shift()
    shift.job_id = "j"
    engines = Residency(Settings.from_environment(), engines={})
    attendance = Attendance("w", ["audio"], workers=workers, engines=engines, shift=shift)
    attendance.announce()
    notes = list(workers.live(LEASE))
    attendance.leave()

    assert [("w", ("audio",), "j")] == [(note.id, note.queues, note.job_id) for note in notes]
    assert [] == list(workers.live(LEASE))
