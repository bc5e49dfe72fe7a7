"""What happened to a job can be read again, from any version on."""

import threading

from tests.http.world import World


def test_a_job_tells_all_that_happened_to_it(here: World) -> None:
    job = here.finished(here.submit()["id"])
    body = here.json(here.client.get(f"/jobs/{job['id']}/events"))
    names = [each["event"] for each in body["events"] if each["event"] != "progress"]
    versions = [each["version"] for each in body["events"]]
    last = body["events"][-1]

    assert job["id"] == body["job_id"]
    assert ["queued", "started", "finished"] == names
    assert sorted(set(versions)) == versions
    assert (job["version"], "finished", 1.0, 1, "arranger") == (
        last["version"],
        last["status"],
        last["progress"],
        last["attempt"],
        last["engine"],
    )


def test_events_are_told_from_a_version_on(here: World) -> None:
    """Of an ended job nothing more comes: who waits for that is answered at once."""
    job = here.finished(here.submit()["id"])
    route = f"/jobs/{job['id']}/events"
    every = here.json(here.client.get(route))["events"]
    rest = here.json(here.client.get(f"{route}?after={every[0]['version']}"))["events"]
    none = here.json(here.client.get(f"{route}?after={job['version']}&wait=20"))["events"]

    assert every[1:] == rest
    assert [] == none


def test_who_waits_is_answered_with_the_next_event(here: World) -> None:
    here.queue.hold()
    job = here.submit()
    timer = threading.Timer(0.2, here.queue.release)
    timer.start()
    body = here.json(here.client.get(f"/jobs/{job['id']}/events?after=0&wait=20"))
    timer.join()

    assert "started" == body["events"][0]["event"]


def test_unknown_jobs_have_no_events(here: World) -> None:
    assert 404 == here.client.get("/jobs/nobody/events").status_code
    assert 422 == here.client.get("/jobs/nobody/events?after=x").status_code
