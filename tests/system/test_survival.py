"""Whatever is killed in the middle of a job: it is done, once, and nobody waits for it for ever.

Every story is told twice: with a record in a file, and with one in a PostgreSQL.
"""

import signal
import time
from collections.abc import Iterator

import pytest

from server.jobs.record import Status
from tests.http import sounds
from tests.http.legacy.listener import Listener
from tests.system import house as houses
from tests.system import works
from tests.system.house import House
from tests.system.processes import until
from tests.system.works import Figure


@pytest.fixture(name="house", scope="module", params=["sqlite", "postgresql"])
def _house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    url = None
    if request.param == "postgresql":
        url = works.emptied(request.getfixturevalue("postgres_url"))
    with houses.opened(tmp_path_factory.mktemp("house"), database_url=url) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _let_go(house: House) -> Iterator[None]:
    yield
    house.release()


def _followed(house: House, job_id: str) -> Listener:
    follower = house.connect()
    follower.say("follow", {"job_id": job_id})
    return follower


def _has_heard(follower: Listener, status: Status) -> bool:
    return any(view["status"] == status for view in follower.all_of("job"))


def test_a_killed_worker_s_job_begins_anew_and_its_followers_hear_of_it(
    house: House, figure: Figure
) -> None:
    """One result, of the second attempt; progress starts over."""
    house.hold()
    job_id = house.submit()
    follower = _followed(house, job_id)
    house.half_way(job_id)
    house.start_spare()
    house.worker_of(job_id).end(signal.SIGKILL)
    killed_at = time.monotonic()
    follower.awaited("restarted")
    house.half_way(job_id)
    figure("kill -9 to half way again, lease of 2 s", time.monotonic() - killed_at)
    house.release()
    done = house.ended(job_id)
    follower.await_that(lambda: _has_heard(follower, Status.FINISHED))
    restart = follower.names.index("restarted")
    after = [view["progress"] for name, view in follower.heard[restart:] if name == "job"]

    assert (Status.FINISHED, 2, 1) == (done.status, done.attempt, len(done.outputs))
    assert ["queued", "started", "restarted", "started", "finished"] == house.events(job_id)
    assert 0.0 == after[0]
    assert sorted(after) == after


def test_a_broker_that_is_away_when_a_job_ends_loses_nothing(house: House, figure: Figure) -> None:
    """It comes back empty. The job has ended meanwhile, another one waits, clients stay connected.

    While it is away nothing new is taken, in words and with a time to come back.
    """
    house.hold()
    job_id = house.submit()
    follower, caller = _followed(house, job_id), house.connect()
    house.half_way(job_id)
    waiting = house.submit()
    caller.order(sounds.base64_wav())
    session_id = caller.awaited("transform_audio_received")["session_id"]
    house.broker.end(signal.SIGKILL)
    refused = house.post_job()
    house.release()
    done = house.ended(job_id)
    house.start_broker()
    back_at = time.monotonic()
    follower.await_that(lambda: _has_heard(follower, Status.FINISHED))
    figure("broker back to its ending told", time.monotonic() - back_at)
    later = house.ended(waiting)
    figure("broker back, empty, to the waiting job done", time.monotonic() - back_at)

    assert (503, "wire_down") == (refused.status_code, refused.json()["error"]["code"])
    assert int(refused.headers["Retry-After"]) > 0
    assert (Status.FINISHED, 1, 1) == (done.status, done.attempt, len(done.outputs))
    assert (Status.FINISHED, 1) == (later.status, later.attempt)
    assert session_id == caller.awaited("job_complete")["session_id"]


def test_a_web_process_that_is_killed_takes_no_job_with_it(house: House, figure: Figure) -> None:
    """The client connects again, says what it knows, and gets what it missed."""
    house.hold()
    job_id = house.submit()
    seen = house.connect().say("follow", {"job_id": job_id})
    house.half_way(job_id)
    house.kill_web()
    house.release()
    done = house.ended(job_id)
    began = time.monotonic()
    house.start_web()
    house.await_ready()
    figure("web killed to answering again", time.monotonic() - began)
    told = house.connect().say("follow", {"job_id": job_id, "after": seen["version"]})
    events = house.ask("GET", f"/jobs/{job_id}/events?after={seen['version']}").json()["events"]

    assert (Status.FINISHED, 1) == (done.status, done.attempt)
    assert ("finished", done.version) == (told["status"], told["version"])
    assert told["events"] == events
    assert "finished" == events[-1]["event"]
    assert all(each["version"] > seen["version"] for each in events)


def test_a_worker_that_is_told_to_end_hands_its_job_back(house: House, figure: Figure) -> None:
    """At once: nobody waits for a lease to run out."""
    house.hold()
    job_id = house.submit()
    house.half_way(job_id)
    house.start_spare()
    worker = house.worker_of(job_id)
    asked_at = time.monotonic()
    code = worker.end(signal.SIGTERM)
    figure("SIGTERM to the end of the worker", time.monotonic() - asked_at)
    until(lambda: house.job(job_id).attempt == 2)
    figure("SIGTERM to the next start of its job", time.monotonic() - asked_at)
    house.release()
    done = house.ended(job_id)

    assert 0 == code
    assert ["queued", "started", "restarted", "started", "finished"] == house.events(job_id)
    assert (Status.FINISHED, 2, 1) == (done.status, done.attempt, len(done.outputs))


def test_cancelling_stops_what_waits_and_what_runs(house: House, figure: Figure) -> None:
    """At once, or with the next step; twice is fine, and what is finished stays so."""
    house.hold()
    running, waiting = house.submit(), house.submit()
    house.half_way(running)
    at_once = house.ask("DELETE", f"/jobs/{waiting}")
    asked_at = time.monotonic()
    soon = house.ask("DELETE", f"/jobs/{running}")
    stopped = house.ended(running)
    figure("cancel to the end of a running job", time.monotonic() - asked_at)
    twice = house.ask("DELETE", f"/jobs/{running}")
    house.release()
    finished = house.ended(house.submit())
    late = house.ask("DELETE", f"/jobs/{finished.id}")

    assert [200, 202, 200, 409] == [each.status_code for each in (at_once, soon, twice, late)]
    assert "cancelled" == at_once.json()["status"]
    assert (Status.CANCELLED, 0) == (stopped.status, len(stopped.outputs))
    assert Status.FINISHED is house.job(finished.id).status


def test_a_job_ends_with_its_client_only_where_that_was_asked_for(house: House) -> None:
    house.hold()
    kept, needed = house.submit(), house.submit()
    listener, owner = house.connect(), house.connect()
    listener.say("follow", {"job_id": kept})
    owner.say("follow", {"job_id": needed, "cancel_on_disconnect": True})
    for each in (listener, owner):
        each.close()
    cancelled = house.ended(needed)
    house.release()

    assert Status.CANCELLED is cancelled.status
    assert Status.FINISHED is house.ended(kept).status
