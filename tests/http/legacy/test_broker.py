"""Real connections to a real server; news of jobs come through a real broker."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pybase64
import pytest
import redis
import requests
from flask import Flask
from werkzeug.serving import make_server

from server.adapters.fan_out import FanOut
from server.adapters.socketio_events import SocketioEvents
from server.jobs.estimates import Estimates
from server.jobs.events import Event, EventName
from server.jobs.ports import Events
from server.jobs.record import Job, Output, Status
from server.web import emissions
from server.web.hearing import CHANNEL
from tests.http import sounds
from tests.http.conftest import stores
from tests.http.legacy.listener import PATIENCE_SECONDS, Listener
from tests.http.world import Stores, World, world


class Site:
    """A world behind a port."""

    def __init__(self, started: World, events: Events, url: str, stack: ExitStack) -> None:
        self.world = started
        self.events = events
        self.url = url
        self._stack = stack

    def connect(self) -> Listener:
        """Connect a client that hangs up with the test."""
        return self._stack.enter_context(closing(Listener(self.url)))


@pytest.fixture
def site(tmp_path: Path, empty_record: Path, valkey_url: str) -> Iterator[Site]:
    """Serve a world with few threads; its worker tells through the broker."""
    with ExitStack() as stack:
        opened = stack.enter_context(stores(tmp_path, empty_record))
        events = stack.enter_context(closing(_events(valkey_url, opened)))
        started = stack.enter_context(
            world(tmp_path, opened, events=events, message_queue=valkey_url, web_threads=80)
        )
        url = stack.enter_context(served(started.client.application))
        with ExitStack() as connections:
            site = Site(started, events, url, connections)
            site.connect()  # the first one has the server subscribe
            _await_subscription(valkey_url)
            yield site
        # its subscription outlives the test, and would lament the broker's end
        started.client.application.extensions["socketio"].server.logger.setLevel("CRITICAL")


def _events(url: str, opened: Stores) -> FanOut:
    translators = emissions.translators(opened.artifacts, Estimates(opened.jobs))
    return FanOut([SocketioEvents(url, translators)], patience_seconds=PATIENCE_SECONDS)


def _await_subscription(url: str) -> None:
    with redis.Redis.from_url(url) as broker:
        while not broker.pubsub_numsub(CHANNEL)[0][1]:
            threading.Event().wait(0.01)


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Serve an app on a free port."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, name="server")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_news_come_in_order_to_their_room_alone(site: Site) -> None:
    """Two sessions at once: each hears its own job, confirmed first and the result near the end."""
    callers = [site.connect(), site.connect()]
    for caller in callers:
        caller.order(sounds.base64_wav())
    sessions = [caller.awaited("job_complete")["session_id"] for caller in callers]

    assert sessions[0] != sessions[1]
    for caller, session_id in zip(callers, sessions, strict=True):
        assert {session_id} == {payload["session_id"] for _, payload in caller.heard}
        assert ["transform_audio_received", "queue_status"] == caller.names[:2]
        assert ["audio_transformed", "transform_complete", "job_complete"] == caller.names[-3:]
        percents = [each["progress"] for name, each in caller.heard if name == "progress_update"]
        assert [0, *sorted(set(percents))[1:]] == percents


def test_a_bystander_hears_nothing(site: Site) -> None:
    """Not even when a job without a listener is told of."""
    bystander, caller = site.connect(), site.connect()
    caller.order(sounds.base64_wav())
    caller.awaited("job_complete")
    bystander.say("begin_restore_audio", {})

    assert ["ready_for_chunks"] == bystander.names


def test_a_follower_hears_a_job_to_its_end(site: Site) -> None:
    """The views come through the broker, too."""
    site.world.queue.hold()
    receipt = site.world.submit()
    follower = site.connect()
    acknowledged = follower.say("follow", {"job_id": receipt["id"]})
    site.world.queue.release()
    site.world.finished(receipt["id"])
    while follower.heard[-1:] == [] or follower.heard[-1][1]["status"] != "finished":
        follower.awaited("job")

    assert "queued" == acknowledged["status"]
    assert {"job"} == set(follower.names)


def _deafened(broker_url: str) -> None:
    """End every subscription, as a broker's restart does."""
    with redis.Redis.from_url(broker_url) as broker:
        assert broker.execute_command("CLIENT", "KILL", "TYPE", "pubsub")


def test_what_was_lost_on_the_broker_is_told_again(site: Site, valkey_url: str) -> None:
    """To followers and to sessions: both jobs ended while nobody could hear of it."""
    site.world.queue.hold()
    caller, follower = site.connect(), site.connect()
    caller.order(sounds.base64_wav())
    receipt = site.world.submit()
    follower.say("follow", {"job_id": receipt["id"]})
    _deafened(valkey_url)
    site.world.queue.release()
    site.world.finished(receipt["id"])
    caller.awaited("job_complete")
    follower.await_that(lambda: follower.heard[-1][1].get("status") == "finished")

    assert "audio_transformed" in caller.names


def test_those_who_wait_are_told_so_again(site: Site, valkey_url: str) -> None:
    """Nothing is over yet: the place in the line, and how far it is."""
    site.world.queue.hold()
    caller = site.connect()
    caller.order(sounds.base64_wav())
    caller.awaited("queue_position")
    before = len(caller.all_of("progress_update"))
    _deafened(valkey_url)
    caller.await_that(lambda: len(caller.all_of("progress_update")) > before)
    site.world.queue.release()

    assert "queued" == caller.all_of("queue_status")[-1]["status"]


def test_half_a_minute_of_stereo_goes_both_ways(site: Site) -> None:
    """Seven million characters each way, where the library's default ends the connection."""
    sound = pybase64.b64encode(sounds.wav(30, rate=44_100, channels=2)).decode()
    caller = site.connect()
    caller.say("update_cropped_audio", {"session_id": "daw", "audio_data": sound})
    session = site.world.services.sessions.find("daw")
    assert session is not None
    result = Output("transformed.wav", str(session.last_processed))
    job = Job(kind="transform", spec={"variation": "celtic"}, session_id="daw", outputs=(result,))
    site.events.publish(Event(EventName.FINISHED, replace(job, status=Status.FINISHED)))

    assert len(sound) > 7_000_000
    assert sound == caller.awaited("audio_transformed")["audio_data"]


def test_connections_leave_threads_to_everything_else(site: Site) -> None:
    """With 80 threads the 17th connection is refused in words, and others live on."""
    others = [site.connect() for _ in range(15)]
    refused = site.connect()
    health = requests.get(f"{site.url}/health", timeout=PATIENCE_SECONDS).json()

    assert ["Server is currently at capacity. Please try again later."] == [
        each["message"] for each in refused.refusals
    ]
    assert 16 <= health["connections"] <= 17
    assert others[-1].say("begin_restore_audio", {}) is None
