"""Webhooks are told, signed, again and again for a while, and never to a private address."""

import base64
import hashlib
import hmac
import http.client
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from server import errors
from server.adapters import courier, webhook_signature
from server.adapters.courier import Answer, Courier, Patience, Post
from server.adapters.database import Database
from server.adapters.deliveries import SqlDeliveries
from server.adapters.job_store import SqlJobs
from server.adapters.secret_store import SqlSecrets
from server.jobs.record import Job, Status
from server.jobs.webhooks import Delivery, DeliveryState
from tests.receiver import Received, hanging, receiving

HERE = ("127.0.0.1",)
QUICK = Patience(first_seconds=0.01, most_seconds=0.02, lease=timedelta(seconds=30))
LEASE = timedelta(seconds=12)


@pytest.fixture(name="outbox")
def _outbox(database: Database) -> SqlDeliveries:
    return SqlDeliveries(database)


def ended(database: Database, url: str, *, owner: str | None = None) -> Job:
    """Keep a job that has ended and return it."""
    jobs = SqlJobs(database)
    job = Job(kind="transform", spec={}, webhook=url, owner=owner)
    jobs.add(job)
    started = job.started(worker="w", lease=LEASE)
    jobs.update(job, started)
    after = started.ended(Status.FINISHED, keep=timedelta(hours=1))
    jobs.update(started, after)
    return after


def state(outbox: SqlDeliveries, job: Job) -> Delivery:
    """Return how far the telling of a job is."""
    delivery = outbox.of_job(job.id)
    assert delivery is not None
    return delivery


@contextmanager
def at_work(
    outbox: SqlDeliveries,
    database: Database,
    *,
    patience: Patience = QUICK,
    post: Callable[[str, bytes, Mapping[str, str]], Answer] | None = None,
) -> Iterator[Courier]:
    """Do rounds until the end."""
    carrying = Courier(
        outbox,
        secrets=SqlSecrets(database),
        post=post or Post(allowed=HERE),
        patience=patience,
    )
    over = threading.Event()

    def rounds() -> None:
        while not over.wait(0.01):
            carrying.round()

    thread = threading.Thread(target=rounds)
    thread.start()
    try:
        yield carrying
    finally:
        over.set()
        thread.join()


def wait_until_ended(outbox: SqlDeliveries, job: Job) -> Delivery:
    """Wait until nothing more is tried."""
    give_up_at = time.monotonic() + 20
    while (delivery := state(outbox, job)).state is DeliveryState.WAITING:
        assert time.monotonic() < give_up_at, delivery
        time.sleep(0.01)
    return delivery


def is_signed(came: Received, secret: str) -> bool:
    """Judge a request the way the libraries of Standard Webhooks do."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{came.headers['webhook-id']}.{came.headers['webhook-timestamp']}.".encode()
    digest = hmac.new(key, signed + came.body, hashlib.sha256).digest()
    return came.headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()


def test_an_ending_is_told_once(outbox: SqlDeliveries, database: Database) -> None:
    """Signed with the owner's secret, dated, as JSON."""
    with receiving() as receiver, at_work(outbox, database):
        job = ended(database, receiver.url, owner="k1")
        came = receiver.next()
        delivery = wait_until_ended(outbox, job)
    secret = webhook_signature.secret_of("k1", master=SqlSecrets(database).get("webhooks"))
    others = webhook_signature.secret_of("k2", master=SqlSecrets(database).get("webhooks"))

    assert 1 == len(receiver.received)
    assert (DeliveryState.DELIVERED, "204", 1) == (
        delivery.state,
        delivery.last_outcome,
        delivery.attempts,
    )
    assert "/hook?token=1" == came.path
    assert ("application/json", delivery.id) == (
        came.headers["content-type"],
        came.headers["webhook-id"],
    )
    assert abs(time.time() - int(came.headers["webhook-timestamp"])) < 60
    assert job.id == json.loads(came.body)["job"]["id"]
    assert is_signed(came, webhook_signature.shown(secret))
    assert not is_signed(came, webhook_signature.shown(others))


def test_a_signature_is_the_one_that_the_standard_gives() -> None:
    """The example of the specification."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = webhook_signature.headers(
        secret,
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body=b'{"test": 2432232314}',
    )

    assert "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" == signed["webhook-signature"]


def test_a_receiver_that_fails_is_told_again(outbox: SqlDeliveries, database: Database) -> None:
    """With the same id and words, until it takes them."""
    answers = [500, 302, 404, 200]

    with (
        receiving(
            lambda before: (answers[before], {"Location": "http://127.0.0.1:1/"})
        ) as receiver,
        at_work(outbox, database),
    ):
        delivery = wait_until_ended(outbox, ended(database, receiver.url))

    assert (DeliveryState.DELIVERED, 4) == (delivery.state, delivery.attempts)
    assert 1 == len({(each.headers["webhook-id"], each.body) for each in receiver.received})
    assert {"/hook?token=1"} == {each.path for each in receiver.received}


def test_a_receiver_that_always_fails_is_given_up(
    outbox: SqlDeliveries, database: Database
) -> None:
    """After twelve tries."""
    with receiving(lambda _: (503, {})) as receiver, at_work(outbox, database):
        delivery = wait_until_ended(outbox, ended(database, receiver.url))

    assert (DeliveryState.GIVEN_UP, "503", 12) == (
        delivery.state,
        delivery.last_outcome,
        delivery.attempts,
    )
    assert 12 == len(receiver.received)


def test_a_receiver_that_is_gone_is_left_alone(outbox: SqlDeliveries, database: Database) -> None:
    with receiving(lambda _: (410, {})) as receiver, at_work(outbox, database):
        delivery = wait_until_ended(outbox, ended(database, receiver.url))

    assert (DeliveryState.GIVEN_UP, 1) == (delivery.state, len(receiver.received))


def test_a_private_address_is_told_nothing(outbox: SqlDeliveries, database: Database) -> None:
    """Nor tried again: whether something listens there stays unknown."""
    with receiving() as receiver, at_work(outbox, database, post=Post()):
        delivery = wait_until_ended(outbox, ended(database, receiver.url))

    assert [] == receiver.received
    assert ("not allowed", 1) == (delivery.last_outcome, delivery.attempts)


def test_receivers_that_hang_hold_nobody_up(outbox: SqlDeliveries, database: Database) -> None:
    """A round returns at once, and what goes elsewhere arrives while they hang."""
    with (
        hanging() as silent,
        receiving() as receiver,
        at_work(outbox, database, post=Post(allowed=HERE, seconds=0.5)),
    ):
        for _ in range(courier.AT_ONCE + 4):
            ended(database, silent.url)
        silent.next()
        job = ended(database, receiver.url)

        assert DeliveryState.DELIVERED is wait_until_ended(outbox, job).state
        assert len(silent.received) >= courier.AT_ONCE


def test_a_database_that_is_away_costs_no_thread(
    outbox: SqlDeliveries, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounds that fail leave all of them free."""

    def away(*_: Any, **__: Any) -> Sequence[Delivery]:
        raise errors.Unavailable

    carrying = Courier(
        outbox, secrets=SqlSecrets(database), post=lambda *_: Answer(204), patience=QUICK
    )
    with monkeypatch.context() as patched:
        patched.setattr(outbox, "claim", away)
        for _ in range(courier.AT_ONCE + 1):
            with pytest.raises(errors.Unavailable):
                carrying.round()
    job = ended(database, "https://example.org/")
    carrying.round()

    assert DeliveryState.DELIVERED is wait_until_ended(outbox, job).state


def test_a_receiver_that_does_not_speak_http_is_tried_again(
    outbox: SqlDeliveries, database: Database
) -> None:
    """And one that nobody finds."""
    troubles = iter([http.client.BadStatusLine("x"), socket.gaierror(), ConnectionResetError()])

    def post(*_: object) -> Answer:
        trouble = next(troubles, None)
        if trouble is not None:
            raise trouble
        return Answer(200)

    with at_work(outbox, database, post=post):
        delivery = wait_until_ended(outbox, ended(database, "https://example.org/"))

    assert (DeliveryState.DELIVERED, 4) == (delivery.state, delivery.attempts)


def test_delays_double_up_to_a_bound_and_last_long_enough() -> None:
    """Twelve tries take more than five minutes whatever chance says."""
    random.seed(5)
    patience = Patience()
    delays = [patience.delay(attempt).total_seconds() for attempt in range(1, patience.tries)]

    assert all(later > earlier * 1.2 for earlier, later in pairwise(delays[:9]))
    assert 300 < sum(delays) < 3600
    assert max(delays) <= patience.most_seconds * (1 + patience.spread)


def test_a_receiver_may_ask_for_more_time_within_bounds() -> None:
    patience = Patience()

    assert timedelta(seconds=120) == patience.delay(1, asked_seconds=120)
    assert timedelta(hours=1) == patience.delay(1, asked_seconds=1e9)
    assert patience.delay(1, asked_seconds=0.0) < timedelta(seconds=2)


def test_processes_sign_with_one_secret(record: Database) -> None:
    """Whoever asks first makes it up for all; other names have others."""
    made: list[bytes] = []
    start = threading.Barrier(4)

    def ask() -> None:
        start.wait(10)
        made.append(SqlSecrets(record).get("webhooks"))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert 1 == len(set(made))
    assert 32 == len(made[0])
    assert made[0] != SqlSecrets(record).get("downloads")
