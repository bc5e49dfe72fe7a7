"""News travel in order, hurt nobody, and are found where older services look."""

import json
import threading
from collections.abc import Iterable
from dataclasses import replace

import pytest
import redis

from server import errors
from server.adapters.fan_out import FanOut
from server.adapters.legacy_keys import LegacyKeys
from server.adapters.socketio_events import CHANNEL, SocketioEvents
from server.jobs.events import Emission, Event, EventName
from server.jobs.record import Job, JobError
from tests.unit.jobs.workshop import Heard

NOBODY = "redis://127.0.0.1:1/0"


def _event(name: EventName = EventName.PROGRESS, **facts: object) -> Event:
    job = Job(kind="transform", spec={}, session_id="s", progress=0.429, stage="transforming")
    return Event(name, replace(job, **facts))  # type: ignore[arg-type]


def _standings(_: Event) -> Iterable[dict[str, object]]:
    """The event's own session, and one that moved up."""
    yield {"session_id": "s", "status": "processing"}
    yield {"session_id": "t", "status": "queued", "position": 2}


class Failing:
    """A listener that always stumbles."""

    def publish(self, event: Event) -> None:
        raise KeyError(event.name)


class Slow:
    """A listener that waits until it is let go."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()

    def publish(self, event: Event) -> None:
        self.may_go_on.wait(30)


def test_every_listener_hears_everything_in_order() -> None:
    first, second = Heard(), Heard()
    told = FanOut([first, second])
    events = [_event(version=version) for version in range(50)]
    for event in events:
        told.publish(event)
    told.close()

    assert events == first.events == second.events


def test_a_listener_that_fails_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    heard = Heard()
    told = FanOut([Failing(), heard])
    told.publish(_event())
    told.publish(_event())
    told.close()

    assert 2 == len(heard.events)
    assert "an event could not be told" in caplog.text


def test_nobody_waits_for_a_slow_listener() -> None:
    slow, heard = Slow(), Heard()
    told = FanOut([slow, heard])
    told.publish(_event())
    slow.may_go_on.set()
    told.close()

    assert 1 == len(heard.events)


def test_the_patient_wait_until_they_were_heard() -> None:
    heard = Heard()
    told = FanOut([heard], patience_seconds=30.0)
    told.publish(_event())

    assert 1 == len(heard.events)
    told.close()


def _two_messages(event: Event) -> Iterable[Emission]:
    yield Emission("first", {"progress": event.job.progress}, "room")
    yield Emission("second", {}, "room")


def test_messages_go_to_whoever_holds_the_sockets(valkey_url: str) -> None:
    with redis.Redis.from_url(valkey_url, decode_responses=True) as client, client.pubsub() as ear:
        ear.subscribe(CHANNEL)
        ear.get_message(timeout=5)
        SocketioEvents(valkey_url, [_two_messages]).publish(_event())
        messages = [ear.get_message(timeout=5) for _ in range(2)]

    sent = [json.loads(message["data"]) for message in messages if message]
    assert [("first", "room", [{"progress": 0.429}]), ("second", "room", [{}])] == [
        (message["event"], message["room"], message["data"]) for message in sent
    ]


def test_messages_are_lost_while_the_wire_is_down() -> None:
    SocketioEvents(NOBODY, [_two_messages]).publish(_event())


@pytest.mark.parametrize(
    ("name", "facts", "status"),
    [
        (EventName.QUEUED, {}, "queued"),
        (EventName.STARTED, {}, "warming"),
        (EventName.PROGRESS, {"stage": "warming"}, "warming"),
        (EventName.PROGRESS, {}, "processing"),
        (EventName.RESTARTED, {}, "queued"),
        (EventName.FINISHED, {}, "completed"),
        (EventName.FAILED, {"error": JobError("storage", "No room.")}, "failed"),
        (EventName.CANCELLED, {}, "failed"),
    ],
)
def test_older_services_find_the_progress_of_a_session(
    valkey_url: str, name: EventName, facts: dict[str, object], status: str
) -> None:
    LegacyKeys(valkey_url, _standings).publish(_event(name, **facts))
    with redis.Redis.from_url(valkey_url, decode_responses=True) as client:
        progress, ttl = str(client.get("progress:s")), client.ttl("progress:s")
        told = json.loads(str(client.get("status:s")))

    assert ("42", status) == (progress, told["status"])
    assert 3590 < int(str(ttl)) <= 3600
    assert (status == "failed") == ("error" in told)


def test_older_services_find_the_place_of_everybody_who_moved(valkey_url: str) -> None:
    LegacyKeys(valkey_url, _standings).publish(_event(EventName.STARTED))
    with redis.Redis.from_url(valkey_url, decode_responses=True) as client:
        found = {each: json.loads(str(client.get(f"queue_status:{each}"))) for each in ("s", "t")}
        ttl = client.ttl("queue_status:t")

    assert ("processing", 2) == (found["s"]["status"], found["t"]["position"])
    assert found["t"]["timestamp"] > 0
    assert 3590 < int(str(ttl)) <= 3600


def test_jobs_without_a_session_write_no_keys(valkey_url: str) -> None:
    LegacyKeys(valkey_url, lambda _: ()).publish(_event(session_id=None))
    with redis.Redis.from_url(valkey_url) as client:
        assert 0 == client.dbsize()


def test_keys_that_cannot_be_written_are_a_known_trouble() -> None:
    with pytest.raises(errors.WireDown):
        LegacyKeys(NOBODY, _standings).publish(_event())
