"""The queue over a real broker: once an attempt, and never lost for good."""

import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer

from server import errors
from server.adapters import rq_queue
from server.adapters.rq_queue import RqQueue, rq_name
from server.jobs.record import Job

NOBODY = "redis://127.0.0.1:1/0"


def _job(*, kind: str = "transform", attempt: int = 0) -> Job:
    return Job(kind=kind, spec={}, attempt=attempt)


def _waiting(url: str) -> list[str]:
    with redis.Redis.from_url(url) as client:
        return Queue("audio", connection=client, serializer=JSONSerializer).job_ids


def test_the_same_attempt_twice_is_once(valkey_url: str) -> None:
    queue, job = RqQueue(valkey_url), _job()
    queue.enqueue(job)
    queue.enqueue(job)

    assert [rq_name(job)] == _waiting(valkey_url)
    assert queue.knows(job)


def test_the_next_attempt_is_another(valkey_url: str) -> None:
    queue, first = RqQueue(valkey_url), _job()
    again = Job(id=first.id, kind="transform", spec={}, attempt=1)
    queue.enqueue(first)
    queue.enqueue(again)

    assert [rq_name(first), rq_name(again)] == _waiting(valkey_url)


def test_an_attempt_whose_worker_died_before_it_began_is_handed_out_again(valkey_url: str) -> None:
    """RQ still knows the job, but nobody has it: it was taken from the list and never started."""
    queue, job = RqQueue(valkey_url), _job()
    queue.enqueue(job)
    with redis.Redis.from_url(valkey_url) as client:
        client.delete("rq:queue:audio")
    assert not queue.knows(job)
    queue.enqueue(job)

    assert [rq_name(job)] == _waiting(valkey_url)


def test_only_an_id_goes_through_the_broker(valkey_url: str) -> None:
    """No parameters, no sound, no pickle."""
    job = _job()
    RqQueue(valkey_url).enqueue(job)
    with redis.Redis.from_url(valkey_url) as client:
        fetched = Queue("audio", connection=client, serializer=JSONSerializer).fetch_job(
            rq_name(job)
        )

    assert fetched is not None
    assert (rq_queue.RUN_JOB, [job.id], {}) == (fetched.func_name, fetched.args, fetched.kwargs)


def test_a_job_of_an_unknown_kind_reaches_a_worker_that_says_so(valkey_url: str) -> None:
    queue, job = RqQueue(valkey_url), _job(kind="of the future")
    queue.enqueue(job)

    assert queue.knows(job)


def test_a_job_may_be_for_the_workers_of_an_engine(valkey_url: str) -> None:
    """Where it is found again, unless the workers changed meanwhile."""
    routes: list[str | None] = ["melodyflow"]
    queue, job = RqQueue(valkey_url, route=lambda _job: routes[-1]), _job()
    queue.enqueue(job)
    found = queue.knows(job)
    routes.append(None)

    assert found
    assert not queue.knows(job)
    assert [] == _waiting(valkey_url)


def test_a_job_whose_workers_went_away_waits_for_others(valkey_url: str) -> None:
    routes: list[str | None] = ["melodyflow"]
    queue, job = RqQueue(valkey_url, route=lambda _job: routes[-1]), _job()
    queue.enqueue(job)
    routes.append(None)
    queue.enqueue(job)

    assert [rq_name(job)] == _waiting(valkey_url)


def test_everything_that_is_asked_of_a_dead_wire_says_so() -> None:
    queue = RqQueue(NOBODY)
    for ask in (queue.enqueue, queue.knows, lambda _job: queue.ask_unload()):
        with pytest.raises(errors.WireDown):
            ask(_job())
    assert not queue.ping()


def test_a_live_wire_answers(valkey_url: str) -> None:
    queue = RqQueue(valkey_url)
    queue.ask_unload()

    assert queue.ping()


def test_only_a_worker_runs_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rq_queue, "_runner", None)  # a test before may have made this one a worker

    with pytest.raises(errors.Unavailable, match="runs no jobs"):
        rq_queue.run_job("anything")
