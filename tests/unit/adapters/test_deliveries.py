"""The outbox of webhooks, in SQLite and in PostgreSQL alike."""

import json
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from server import errors
from server.adapters.database import Database
from server.adapters.deliveries import SqlDeliveries
from server.adapters.job_store import SqlJobs
from server.jobs.record import Job, JobError, Output, Role, Status, now
from server.jobs.webhooks import Delivery, DeliveryState

LEASE = timedelta(seconds=60)
KEEP = timedelta(hours=24)
URL = "https://example.org/hook"


@pytest.fixture(name="jobs")
def _jobs(record: Database) -> SqlJobs:
    return SqlJobs(record)


@pytest.fixture(name="outbox")
def _outbox(record: Database) -> SqlDeliveries:
    return SqlDeliveries(record)


def running(jobs: SqlJobs, **facts: Any) -> Job:
    """Return a job that a worker has taken."""
    job = replace(Job(kind="transform", spec={}, webhook=URL), **facts)
    jobs.add(job)
    started = job.started(worker="w", lease=LEASE)
    jobs.update(job, started)
    return started


def ended(jobs: SqlJobs, status: Status = Status.FINISHED, **facts: Any) -> Job:
    """Return a job that has ended."""
    job = running(jobs, **facts)
    after = job.ended(status, keep=KEEP)
    jobs.update(job, after)
    return after


def promised(outbox: SqlDeliveries, job: Job) -> Delivery:
    """Return the delivery of a job's ending."""
    delivery = outbox.of_job(job.id)
    assert delivery is not None
    return delivery


@pytest.mark.parametrize("status", [Status.FINISHED, Status.FAILED, Status.CANCELLED])
def test_an_ending_is_promised_with_the_ending(
    jobs: SqlJobs, outbox: SqlDeliveries, status: Status
) -> None:
    """Whatever ending it is."""
    job = ended(jobs, status)
    delivery = promised(outbox, job)

    assert (URL, None, 0) == (delivery.url, delivery.owner, delivery.attempts)
    assert str(status) == json.loads(delivery.body)["event"]
    assert DeliveryState.WAITING is delivery.state


def test_what_is_told_says_what_became_of_the_job(jobs: SqlJobs, outbox: SqlDeliveries) -> None:
    """Facts and links; not what was asked for, and no preview."""
    job = running(jobs, owner="k1", session_id="s")
    files = (Output("a.wav", "1"), Output("b.wav", "2", Role.PREVIEW))
    after = job.ended(
        Status.FAILED, keep=KEEP, outputs=files, error=JobError("storage", "No room.")
    )
    jobs.update(job, after)
    told = json.loads(promised(outbox, after).body)

    assert {"code": "storage", "message": "No room."} == told["job"]["error"]
    assert [{"id": "1", "name": "a.wav", "url": "/artifacts/1"}] == told["job"]["artifacts"]
    assert {"self": f"/jobs/{job.id}"} == told["links"]
    assert "k1" == promised(outbox, after).owner
    assert "spec" not in told["job"]


def test_nothing_else_is_promised(jobs: SqlJobs, outbox: SqlDeliveries) -> None:
    """Neither a start, nor the ending of a job that has no webhook."""
    silent = ended(jobs, webhook=None)
    started = running(jobs)

    assert outbox.of_job(silent.id) is None
    assert outbox.of_job(started.id) is None


def test_a_result_that_is_discarded_is_not_told(jobs: SqlJobs, outbox: SqlDeliveries) -> None:
    """The write that is refused takes its promise with it."""
    job = running(jobs)
    jobs.update(job, job.handed_back())

    with pytest.raises(errors.Conflict):
        jobs.update(job, job.ended(Status.FINISHED, keep=KEEP))

    assert outbox.of_job(job.id) is None


def test_what_is_due_is_claimed_once(jobs: SqlJobs, outbox: SqlDeliveries) -> None:
    """And each claim counts as an attempt."""
    job = ended(jobs)
    (claimed,) = outbox.claim(5, lease=LEASE)

    assert (job.id, 1) == (claimed.job_id, claimed.attempts)
    assert [] == list(outbox.claim(5, lease=LEASE))


def test_couriers_at_the_same_time_share(jobs: SqlJobs, outbox: SqlDeliveries) -> None:
    """No attempt is begun by two."""
    wanted = {ended(jobs).id for _ in range(6)}
    claimed: list[str] = []
    start = threading.Barrier(4)

    def claim() -> None:
        start.wait(10)
        for _ in range(3):
            claimed.extend(each.job_id for each in outbox.claim(6, lease=LEASE))

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert sorted(wanted) == sorted(claimed)


def test_an_attempt_that_was_cut_off_comes_again(jobs: SqlJobs, outbox: SqlDeliveries) -> None:
    """Its courier died: after the lease it is due once more."""
    ended(jobs)
    (first,) = outbox.claim(1, lease=timedelta(0))
    (second,) = outbox.claim(1, lease=LEASE)

    assert (first.id, 2) == (second.id, second.attempts)
    outbox.settle(first, "200", due_at=None)
    assert DeliveryState.WAITING is promised(outbox, Job(kind="", spec={}, id=first.job_id)).state


def test_fresh_ones_come_before_those_that_were_tried(jobs: SqlJobs, outbox: SqlDeliveries) -> None:
    """A receiver that is down holds nobody up."""
    tried = ended(jobs)
    (claimed,) = outbox.claim(1, lease=LEASE)
    outbox.settle(claimed, "500", due_at=now())
    fresh = ended(jobs)

    assert [fresh.id, tried.id] == [each.job_id for each in outbox.claim(2, lease=LEASE)]


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        ("204", DeliveryState.DELIVERED),
        ("500", DeliveryState.GIVEN_UP),
        ("not allowed", DeliveryState.GIVEN_UP),
    ],
)
def test_a_settled_delivery_is_due_no_more(
    jobs: SqlJobs, outbox: SqlDeliveries, outcome: str, state: DeliveryState
) -> None:
    """It tells how it ended, is counted, and is forgotten in the end."""
    job = ended(jobs)
    (claimed,) = outbox.claim(1, lease=timedelta(0))
    outbox.settle(claimed, outcome, due_at=None)

    assert [] == list(outbox.claim(1, lease=LEASE))
    assert (state, outcome) == (promised(outbox, job).state, promised(outbox, job).last_outcome)
    assert {state} == {each for each, number in outbox.counts().items() if number}
    outbox.forget_ended(now() + timedelta(seconds=1))
    assert outbox.of_job(job.id) is None


def test_what_waits_is_not_forgotten(jobs: SqlJobs, outbox: SqlDeliveries) -> None:
    job = ended(jobs)
    outbox.forget_ended(now() + timedelta(days=9))

    assert outbox.of_job(job.id) is not None
    assert 1 == outbox.counts()[DeliveryState.WAITING]
