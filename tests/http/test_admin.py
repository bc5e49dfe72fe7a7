"""What operators see and do, and that nobody else does."""

from typing import Any

import pytest
from werkzeug.test import TestResponse

from server.jobs import keys
from server.jobs.record import WORKER_LOST, Job, JobError, Status
from tests.http.world import KEEP, World

TRANSFORM: dict[str, Any] = {"source": "0" * 32, "variation": "celtic"}


@pytest.fixture(name="admin")
def _admin(here: World) -> dict[str, str]:
    """Return the headers of an operator."""
    key, text = keys.made("operator", is_admin=True)
    here.services.keys.add(key)
    return {"X-API-Key": text}


def _dead(here: World, **facts: Any) -> Job:
    """Record a job that lost its last worker."""
    job = Job(kind="transform", spec=TRANSFORM, **facts)
    here.jobs.add(job)
    error = JobError(WORKER_LOST, "The job's worker died 3 times.")
    ended = job.ended(Status.FAILED, keep=KEEP, error=error)
    here.jobs.update(job, ended)
    return ended


def _listed(response: TestResponse) -> list[str]:
    assert 200 == response.status_code, response.text
    return [job["id"] for job in response.get_json()["jobs"]]


@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("GET", "/admin/jobs"),
        ("GET", "/admin/dead-letters"),
        ("POST", "/admin/dead-letters/nobody/replay"),
    ],
)
def test_operators_alone_get_in(
    here: World, admin: dict[str, str], method: str, route: str
) -> None:
    """Even where nobody else needs a key."""
    key, text = keys.made("somebody")
    here.services.keys.add(key)
    answers = [
        here.client.open(route, method=method, headers=headers)
        for headers in ({}, {"X-API-Key": text}, admin)
    ]

    assert [401, 401] == [answer.status_code for answer in answers[:2]]
    assert answers[2].status_code in (200, 404)


def test_jobs_are_listed_by_what_they_are(here: World, admin: dict[str, str]) -> None:
    """Newest first, a page at a time."""
    made = [_dead(here, owner="a"), _dead(here, owner="b")]
    waiting = Job(kind="transform", spec=TRANSFORM, owner="b")
    here.jobs.add(waiting)
    first, second, third = made[0].id, made[1].id, waiting.id

    def look(query: str) -> TestResponse:
        return here.client.get(f"/admin/jobs{query}", headers=admin)

    page = look("?limit=2").get_json()
    assert [third, second, first] == _listed(look(""))
    assert [third] == _listed(look("?status=queued"))
    assert [third, second] == _listed(look("?owner=b"))
    assert [] == _listed(look("?kind=another"))
    assert [first] == _listed(look(f"?limit=2&before={page['before']}"))
    assert look("?limit=2&before=nobody").status_code == 404
    assert look("").get_json()["before"] is None


def test_a_dead_letter_is_replayed_once_and_off_the_list(
    here: World, admin: dict[str, str]
) -> None:
    """For its owner, with its order; asked twice, the answer is the same job."""
    dead = _dead(here, owner="a", seed=7, session_id="daw", webhook="https://example.org/x")
    route = f"/admin/dead-letters/{dead.id}/replay"
    before = _listed(here.client.get("/admin/dead-letters", headers=admin))
    answers = [here.client.post(route, headers=admin) for _ in range(2)]
    new = here.jobs.get(answers[0].get_json()["id"])
    after = _listed(here.client.get("/admin/dead-letters", headers=admin))

    assert [202, 202] == [answer.status_code for answer in answers]
    assert answers[0].get_json()["id"] == answers[1].get_json()["id"] != dead.id
    assert (dead.id, dead.spec, "a", "daw", 7) == (
        new.replay_of,
        new.spec,
        new.owner,
        new.session_id,
        new.seed,
    )
    assert dead.webhook == new.webhook
    assert ([dead.id], []) == (before, after)


def test_a_replay_that_the_wire_did_not_take_leaves_the_dead_letter(
    here: World, admin: dict[str, str]
) -> None:
    dead = _dead(here)
    here.queue.is_up = False
    refused = here.client.post(f"/admin/dead-letters/{dead.id}/replay", headers=admin)
    listed = _listed(here.client.get("/admin/dead-letters", headers=admin))
    here.queue.is_up = True
    again = here.client.post(f"/admin/dead-letters/{dead.id}/replay", headers=admin)

    assert (503, 202) == (refused.status_code, again.status_code)
    assert [dead.id] == listed


def test_other_jobs_are_no_dead_letters(here: World, admin: dict[str, str]) -> None:
    finished = here.finished(here.submit()["id"])
    answer = here.client.post(f"/admin/dead-letters/{finished['id']}/replay", headers=admin)

    assert 409 == answer.status_code
    assert [] == _listed(here.client.get("/admin/dead-letters", headers=admin))
