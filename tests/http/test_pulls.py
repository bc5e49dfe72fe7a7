"""Weights are ordered by operators, and by everybody on a server that asks for no keys."""

from server.jobs import keys
from tests.http.conftest import MakeWorld
from tests.http.world import World

ORDER = {"kind": "pull", "name": "facebook/musicgen-small"}


def test_a_key_that_is_no_operators_orders_no_weights(make_world: MakeWorld) -> None:
    """Not as a job, not as a dry run; an operator's does."""
    here, answers = make_world(keys="on"), []
    for is_admin in (False, True):
        key, text = keys.made("somebody", is_admin=is_admin)
        here.services.keys.add(key)
        for route in ("/jobs?dry_run=true", "/jobs"):
            sent = here.client.post(route, json=ORDER, headers={"X-API-Key": text})
            answers.append(sent.status_code)

    assert [401, 401, 200, 202] == answers


def test_a_worker_without_a_store_says_so_at_the_jobs_ending(here: World) -> None:
    receipt = here.json(here.client.post("/jobs", json=ORDER), status=202)

    job = here.finished(receipt["id"])

    assert ("failed", "unavailable") == (job["status"], job["error"]["code"])


def test_a_name_that_cannot_be_is_refused_by_its_field(here: World) -> None:
    answer = here.client.post("/jobs", json={**ORDER, "name": "../up"})

    assert (422, "name") == (answer.status_code, answer.get_json()["error"]["field"])
