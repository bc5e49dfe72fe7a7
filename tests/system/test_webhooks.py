"""Endings are told by worker processes, whichever is there, and no receiver holds a job up."""

import json
import signal
from collections.abc import Iterator

import pytest

from server.adapters.secret_store import SqlSecrets
from server.adapters.webhook_signature import SECRET_NAME, secret_of, shown
from server.jobs.record import Job, Status
from server.jobs.webhooks import Delivery, DeliveryState
from tests.receiver import Received, Reply, hanging, receiving
from tests.system import works as all_works
from tests.system.processes import Yard, until
from tests.system.slow_worker import Slow, SlowSpec
from tests.system.works import Works
from tests.unit.adapters.test_courier import is_signed


@pytest.fixture(name="works")
def _works(yard: Yard, valkey_url: str) -> Iterator[Works]:
    """Open works that may tell this machine."""
    with all_works.opened(yard, valkey_url, webhook_hosts=("127.0.0.1",)) as opened:
        opened.let_go()
        yield opened


def submit(works: Works, url: str) -> Job:
    """Submit a job that tells its ending."""
    spec = SlowSpec(marks=str(works.marks), go=str(works.marks.parent / "go"), way="steps")
    return works.service.submit(Slow(), spec, webhook=url)


def told(works: Works, job: Job) -> Delivery:
    """Wait until a job's ending was told."""

    def look() -> Delivery | None:
        delivery = works.record.deliveries.of_job(job.id)
        is_told = delivery is not None and delivery.state is DeliveryState.DELIVERED
        return delivery if is_told else None

    return until(look)


def test_two_workers_tell_each_ending_once(works: Works) -> None:
    """Signed with the secret that the record keeps, with what became of the job."""
    with receiving() as receiver:
        for _ in range(2):
            works.worker()
        jobs = [submit(works, receiver.url) for _ in range(5)]
        for job in jobs:
            told(works, job)
    secret = secret_of(None, master=SqlSecrets(works.record.database).get(SECRET_NAME))
    bodies = [json.loads(each.body) for each in receiver.received]

    assert {job.id for job in jobs} == {body["job"]["id"] for body in bodies}
    assert {"finished"} == {body["event"] for body in bodies}
    assert len(jobs) == len(bodies)
    assert all(is_signed(each, shown(secret)) for each in receiver.received)


def test_a_worker_that_dies_leaves_its_telling_to_others(works: Works) -> None:
    """The first attempt failed, and then its worker was killed."""

    def fail_once(before: int) -> Reply:
        return (500, {}) if before == 0 else (200, {})

    with receiving(fail_once) as receiver:
        first, job = works.worker(), submit(works, receiver.url)
        before = receiver.next()
        until(lambda: works.record.deliveries.of_job(job.id).last_outcome)  # type: ignore[union-attr]
        first.end(signal.SIGKILL)
        works.worker()
        after: Received = receiver.next()
        delivery = told(works, job)

    assert (before.headers["webhook-id"], before.body) == (after.headers["webhook-id"], after.body)
    assert delivery.attempts == 2


def test_a_receiver_that_hangs_holds_no_job_up(works: Works) -> None:
    """The same worker does the next jobs, and tells of them, while it hangs."""
    with hanging() as silent, receiving() as receiver:
        works.worker()
        first = submit(works, silent.url)
        silent.next()
        second = submit(works, receiver.url)
        done, delivery = works.ended(second), told(works, second)
        hung = works.record.deliveries.of_job(first.id)

    assert (Status.FINISHED, 1) == (done.status, delivery.attempts)
    assert hung is not None
    assert DeliveryState.WAITING is hung.state
