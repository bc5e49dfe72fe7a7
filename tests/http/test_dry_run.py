"""Asking before asking: everything is checked, nothing is kept, and estimates come from history."""

from typing import Any

import pytest

from tests.http import sounds
from tests.http.test_jobs import GOOD, REFUSED, files
from tests.http.world import World


def ask(here: World, **changes: Any) -> dict[str, Any]:
    """Ask what would become of a good order, but for the changes."""
    return here.json(here.client.post("/jobs?dry_run=1", json={**GOOD, **changes}))


def test_without_history_a_good_order_is_good_and_nobody_knows_how_long_it_takes(
    here: World,
) -> None:
    """Null, never a guess; nobody is waiting, so that is known."""
    assert {
        "valid": True,
        "estimated_seconds": None,
        "estimated_wait_seconds": 0.0,
        "engine": "arranger",
    } == ask(here)


def test_nothing_is_stored_and_nothing_is_submitted(here: World) -> None:
    """However often one asks; no session is made, no key is used up."""
    here.queue.hold()
    ask(here, session_id="daw")
    here.client.post("/jobs?dry_run=true", json=GOOD, headers={"Idempotency-Key": "k"})

    assert (0, 0) == (here.jobs.count_waiting(), files(here))
    kept = here.client.post("/jobs", json=GOOD, headers={"Idempotency-Key": "k"})
    assert (202, 1) == (kept.status_code, files(here))


def test_estimates_come_from_what_jobs_took(here: World) -> None:
    """Twice as long a sound, twice as long; a receipt and a view say when the end is expected."""
    here.finished(here.submit()["id"])
    short, long = ask(here), ask(here, audio=sounds.base64_wav(1.0))
    here.queue.hold()
    receipt = here.submit()
    view = here.json(here.client.get(receipt["links"]["self"]))

    assert long["estimated_seconds"] == pytest.approx(2 * short["estimated_seconds"], abs=0.11)
    assert receipt["eta_seconds"] is not None
    assert (0, 0) == (view["position"], receipt["position"])


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_be_refused_is_refused(here: World, case: str) -> None:
    """With the same status and field; the sound is looked at too."""
    changes, status, field = REFUSED[case]
    response = here.client.post("/jobs?dry_run=1", json={**GOOD, **changes})

    assert field == here.json(response, status=status)["error"]["field"]


def test_an_unknown_way_of_asking_is_refused(here: World) -> None:
    """`dry_run` is yes or no."""
    refused = here.json(here.client.post("/jobs?dry_run=perhaps", json=GOOD), status=422)

    assert "dry_run" == refused["error"]["field"]
