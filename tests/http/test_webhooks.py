"""A client names an address, and sees how far the telling of it is."""

from datetime import timedelta

import pytest

from server.adapters.deliveries import SqlDeliveries
from server.jobs.record import now
from tests.http import sounds
from tests.http.conftest import MakeWorld
from tests.http.world import World

URL = "https://example.org/hook?token=secret"


def test_a_job_with_a_webhook_shows_how_far_it_is(here: World) -> None:
    """Before its ending, after it, and once it was told; never the address, which may be secret."""
    here.queue.hold()
    job_id = here.submit(webhook=URL)["id"]
    before = here.json(here.client.get(f"/jobs/{job_id}"))["webhook"]
    after = here.finished_later(job_id)["webhook"]
    outbox = here.webhooks
    assert isinstance(outbox, SqlDeliveries)
    (claimed,) = outbox.claim(1, lease=timedelta(seconds=9))
    outbox.settle(claimed, "503", due_at=now() + timedelta(minutes=1))
    failed = here.json(here.client.get(f"/jobs/{job_id}"))
    outbox.settle(claimed, "200", due_at=None)
    told = here.json(here.client.get(f"/jobs/{job_id}"))["webhook"]

    assert ("waiting", 0, None) == (before["state"], before["attempts"], before["next_attempt_at"])
    assert ("waiting", 0, None) == (after["state"], after["attempts"], after["last_outcome"])
    assert after["next_attempt_at"] is not None
    assert ("waiting", "503") == (failed["webhook"]["state"], failed["webhook"]["last_outcome"])
    assert ("delivered", 1, "200", None) == tuple(told.values())
    assert "secret" not in str(failed)


def test_a_job_without_a_webhook_tells_nobody(here: World) -> None:
    """Neither does a form's blank field."""
    for fields in ({}, {"webhook": ""}, {"webhook": None}):
        assert here.finished(here.submit(**fields)["id"])["webhook"] is None


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8002/cleanup",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://2130706433/",
        "ftp://example.org/",
        "http://user:word@example.org/",
        "https://example.org/" + "a" * 2000,
        7,
        ["https://example.org/"],
    ],
)
def test_an_address_that_is_not_public_is_refused(here: World, url: object) -> None:
    """Before anything is stored, naming the field, repeating nothing."""
    order = {"audio": sounds.base64_wav(), "variation": "strings_quartet", "webhook": url}
    refused = here.json(here.client.post("/jobs", json=order), status=422)["error"]

    assert "webhook" == refused["field"]
    assert "example.org" not in refused["message"]
    assert 0 == here.services.jobs.waiting()


def test_the_operator_may_allow_a_private_host(make_world: MakeWorld) -> None:
    here = make_world(webhook_hosts=("hooks.internal",))

    assert here.submit(webhook="http://hooks.internal:81/")["status"] == "queued"
