"""A request with an Idempotency-Key makes one job, however often and however fast it is sent."""

import threading
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.http import sounds
from tests.http.conftest import MakeWorld
from tests.http.test_jobs import files
from tests.http.world import World

NAME = "Idempotency-Key"

DOORS = {
    "/jobs": "audio",
    "/transform": "audio",
    "/api/juce/transform_audio": "audio_data",
}
"""Where jobs are asked for, and where the sound goes there."""


def ask(here: World, route: str, key: str, **changes: Any) -> TestResponse:
    """Send the same request, but for the changes."""
    order = {DOORS[route]: sounds.base64_wav(), "variation": "celtic", "async": True, **changes}
    if route != "/transform":
        del order["async"]
    return here.client.post(route, json=order, headers={NAME: key})


def newest(here: World) -> list[str]:
    return [job.id for job in here.jobs.waiting()]


def test_the_same_request_again_is_answered_with_the_same_job(here: World) -> None:
    """202, then 200; whatever was drawn for the first one holds."""
    here.queue.hold()
    first, again = (ask(here, "/jobs", "once") for _ in range(2))
    stored = files(here)
    one, two = here.json(first, status=202), here.json(again, status=200)

    assert (one["id"], one["seed"]) == (two["id"], two["seed"])
    assert first.headers["Location"] == again.headers["Location"]
    assert [one["id"]] == newest(here)
    assert 1 == stored


def test_it_is_the_same_job_also_when_it_has_ended(here: World) -> None:
    """A client that missed the answer asks again and has the result."""
    receipt = here.json(ask(here, "/jobs", "once"), status=202)
    here.finished(receipt["id"])
    again = here.json(ask(here, "/jobs", "once"))

    assert (receipt["id"], "finished") == (again["id"], again["status"])
    assert 1 == len(here.engine.briefs)


@pytest.mark.parametrize(
    "change", [{"seed": 7}, {"audio": sounds.base64_wav(0.6)}, {"session_id": "other"}]
)
def test_another_body_under_the_same_key_is_refused(here: World, change: dict[str, Any]) -> None:
    """409: this is a mistake of the client's, and no second job is what it wants."""
    here.queue.hold()
    ask(here, "/jobs", "once")
    refused = here.json(ask(here, "/jobs", "once", **change), status=409)

    assert ("key_reused", NAME) == (refused["error"]["code"], refused["error"]["field"])
    assert 1 == len(newest(here))


def test_other_keys_and_none_make_jobs_of_their_own(here: World) -> None:
    """The negative control: the body is the same."""
    here.queue.hold()
    ask(here, "/jobs", "one")
    ask(here, "/jobs", "two")
    here.submit()
    here.submit()

    assert 4 == len(newest(here))


@pytest.mark.parametrize("route", DOORS)
def test_ten_at_once_make_one_job_and_leave_one_sound(here: World, route: str) -> None:
    """Through every door; whoever comes second takes its sound with it."""
    here.queue.hold()
    together = threading.Barrier(10)
    statuses: list[int] = []

    def send() -> None:
        together.wait()
        statuses.append(ask(here, route, "once").status_code)

    threads = [threading.Thread(target=send) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {200, 202} >= set(statuses)
    assert (1, 1) == (len(newest(here)), files(here))


def test_a_plugin_that_asks_twice_has_one_session(here: World) -> None:
    """Also where it names none: it is told the one that was made up at first."""
    here.queue.hold()
    first, again = (here.json(ask(here, "/api/juce/transform_audio", "once")) for _ in range(2))

    assert first == again


def test_an_older_client_that_asks_twice_has_one_result(here: World) -> None:
    """The second answer is the same sound, without a second run."""
    first, again = (ask(here, "/transform", "once", **{"async": False}) for _ in range(2))

    assert here.json(first)["audio"] == here.json(again)["audio"]
    assert 1 == len(here.engine.briefs)


def test_a_refused_request_leaves_its_key_free(here: World) -> None:
    """What was no job can be sent again, mended."""
    here.queue.hold()
    refused = ask(here, "/jobs", "once", variation="nope")
    mended = ask(here, "/jobs", "once")

    assert (422, 202) == (refused.status_code, mended.status_code)


def test_the_same_request_is_the_same_job_where_nothing_more_is_taken(
    make_world: MakeWorld,
) -> None:
    """A full queue is no reason to deny the place that was given."""
    here = make_world(max_waiting_jobs=1)
    here.queue.hold()
    ask(here, "/jobs", "once")

    assert [200, 429] == [ask(here, "/jobs", key).status_code for key in ("once", "other")]


@pytest.mark.parametrize("key", ["two words", "x" * 201, "caf\u00e9", ""])
@pytest.mark.parametrize("route", DOORS)
def test_a_key_has_visible_ascii_characters_and_not_too_many(
    here: World, route: str, key: str
) -> None:
    """422 where clients know it, and the header is named."""
    response = ask(here, route, key)
    body = here.json(response, status=422 if route == "/jobs" else 400)

    assert NAME == (body["error"] if route == "/jobs" else body)["field"]


@pytest.mark.parametrize("key", ["!", "~" * 200])
def test_the_ends_of_what_a_key_may_be_are_in_it(here: World, key: str) -> None:
    """One character, and two hundred."""
    here.queue.hold()
    assert 202 == ask(here, "/jobs", key).status_code


def test_a_part_without_a_name_is_no_reason_to_stumble(here: World) -> None:
    """Programs that write forms by hand send such; it is refused like any field of no meaning."""
    ends = "--end\r\nContent-Disposition: form-data\r\n\r\nx\r\n--end\r\n"
    named = 'Content-Disposition: form-data; name="variation"\r\n\r\nceltic\r\n--end--\r\n'
    answer = here.client.post(
        "/transform",
        data=(ends + named).encode(),
        headers={NAME: "once", "Content-Type": "multipart/form-data; boundary=end"},
    )

    assert 400 == answer.status_code
