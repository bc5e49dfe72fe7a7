"""Health: what is up, whatever the workers do."""

import itertools
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server.engines.catalog import Device
from server.web import pulse
from tests.http.conftest import MakeWorld
from tests.http.scripted import WORKER, worker_note
from tests.http.world import World


def test_a_server_that_answers_is_live(here: World) -> None:
    """With everything older clients read."""
    body = here.json(here.client.get("/health"))

    assert body["status"] == "live"
    assert {"cpu_percent", "memory_percent", "gpu_memory_used_mb"} == set(body["system_resources"])
    assert (False, "production", 0) == (
        body["gpu_available"],
        body["environment"],
        body["connections"],
    )
    assert body["uptime"] >= 0


def test_what_is_up_is_told(here: World) -> None:
    """Wire, record, workers, queue, loaded engines."""
    here.queue.hold()
    here.submit()
    here.submit()
    here.workers.announce(worker_note(loaded=("arranger",)))
    body = here.json(here.client.get("/health"))

    assert (True, True, 1) == (body["redis"], body["database"], body["workers"])
    assert body["model_loaded"] is True
    assert body["queue_length"] == 2


def test_health_is_200_whatever_is_down(here: World) -> None:
    """Plugins take anything else for a dead server."""
    here.queue.is_up = False
    here.workers.leave(WORKER)
    body = here.json(here.client.get("/health"))

    assert ("live", False, 0) == (body["status"], body["redis"], body["workers"])


def test_a_live_process_says_so(here: World) -> None:
    """Nothing else is asked."""
    assert here.json(here.client.get("/health/live")) == {"status": "live"}


def test_a_server_with_everything_is_ready(here: World) -> None:
    """200 without reasons; an engine that no worker has keeps no job waiting."""
    body = here.json(here.client.get("/health/ready"))

    assert (True, []) == (body["ready"], body["reasons"])
    assert {"No worker has it."} >= set(body["engines"].values())
    assert "arranger" not in body["engines"]


def _pull_the_plug(here: World) -> None:
    here.queue.is_up = False


def _send_workers_home(here: World) -> None:
    here.workers.leave(WORKER)


def _take_the_engine(here: World) -> None:
    here.workers.announce(worker_note(available=False))


def test_readiness_may_be_asked_of_one_engine(here: World) -> None:
    """A balancer for those who pay for that one; for everybody else another engine will do."""
    good = here.json(here.client.get("/health/ready?engine=arranger"))
    bad = here.json(here.client.get("/health/ready?engine=melodyflow"), status=503)
    wrong = here.client.get("/health/ready?engine=piano")

    assert (True, False) == (good["ready"], bad["ready"])
    assert ["No worker has it."] == bad["reasons"]
    assert (422, "engine") == (wrong.status_code, wrong.get_json()["error"]["field"])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_pull_the_plug, "The queue cannot be reached."),
        (_send_workers_home, "No worker is running."),
        (_take_the_engine, "No worker has an engine that works."),
    ],
)
def test_a_server_that_lacks_something_is_not_ready(
    here: World, spoil: Callable[[World], None], reason: str
) -> None:
    """503 with the reason."""
    spoil(here)
    body = here.json(here.client.get("/health/ready"), status=503)

    assert not body["ready"]
    assert reason in body["reasons"]


def test_an_engine_that_could_not_be_loaded_is_no_secret(here: World) -> None:
    """The reason is at /health/ready and at /engines; presets are listed all the same."""
    here.workers.announce(worker_note(available=False))
    ready = here.json(here.client.get("/health/ready"), status=503)
    engines = here.json(here.client.get("/engines"))["engines"]
    (arranger,) = [engine for engine in engines if engine["name"] == "arranger"]

    assert ready["engines"]["arranger"] == "There is no sound bank."
    assert (arranger["available"], arranger["reason"]) == (False, "There is no sound bank.")
    assert here.json(here.client.get("/health/live")) == {"status": "live"}
    assert len(here.json(here.client.get("/variations"))["variations"]) >= 33


def _with_cards(here: World, name: str, *cards: Device) -> None:
    here.workers.announce(replace(worker_note(), id=name, devices=cards))


def test_cards_are_what_workers_see(here: World) -> None:
    """The web process sees none; one that two workers see counts once."""
    one = Device(id="GPU-1", name="A card", total_mb=8192.0, used_mb=2048.0)
    _with_cards(here, "a", one)
    _with_cards(here, "b", one, replace(one, id="GPU-2", used_mb=1024.0))
    health = here.json(here.client.get("/health"))
    cards = here.json(here.client.get("/resources"))["gpus"]

    assert health["gpu_available"] is True
    assert health["system_resources"]["gpu_memory_used_mb"] == 3072.0
    assert ["A card", "A card"] == [card["name"] for card in cards]
    assert [25.0, 12.5] == [card["memory"]["percent"] for card in cards]
    assert cards[0]["memory"]["total_bytes"] == 8192 * 2**20


def test_resources_are_told(here: World) -> None:
    """Processor, memory, disk, queue."""
    body = here.json(here.client.get("/resources"))

    assert 0 < body["disk"]["used_bytes"] <= body["disk"]["total_bytes"]
    assert 0 < body["memory"]["percent"] <= 100
    assert body["cpu"]["cores"] >= 1
    assert ([], 0) == (body["gpus"], body["queue_length"])


@pytest.fixture
def pool() -> ThreadPoolExecutor:
    """Return one thread to look things up in."""
    return ThreadPoolExecutor(max_workers=1)


def value(watched: pulse.Watched[Any]) -> Any:
    """Return a watched value once its look-up is done."""
    wait([watched.refresh()])
    return watched.value


def in_turn(answers: Iterator[Callable[[], int | bool]]) -> Callable[[], int | bool]:
    """Return what gives another answer each time."""

    def look() -> int | bool:
        return next(answers)()

    return look


def test_a_value_is_looked_up_once_in_a_while(pool: ThreadPoolExecutor) -> None:
    """Many readers, one look."""
    watched = pulse.Watched(itertools.count(1).__next__, pool)

    assert [1] * 5 == [value(watched) for _ in range(5)]


def test_an_old_value_is_looked_up_again(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is not fresh any more."""
    monkeypatch.setattr(pulse, "FRESH_SECONDS", -1)
    watched = pulse.Watched(itertools.count(1).__next__, pool)

    assert [1, 2, 3] == [value(watched) for _ in range(3)]


def test_what_fails_is_unknown(pool: ThreadPoolExecutor) -> None:
    """Whatever a look-up raises stays inside."""
    assert value(pulse.Watched(lambda: 1 // 0, pool)) is None


def test_a_look_up_that_hangs_holds_nobody(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers get the last value for a while, then they are told that it is unknown."""
    monkeypatch.setattr(pulse, "FRESH_SECONDS", -1)
    may_end = threading.Event()
    answers: Iterator[Callable[[], int | bool]] = iter([lambda: 5, may_end.wait])
    watched = pulse.Watched(in_turn(answers), pool)
    first = value(watched)
    watched.refresh()
    meanwhile = watched.value
    monkeypatch.setattr(pulse, "GIVEN_UP_SECONDS", 0)
    at_last = watched.value
    may_end.set()

    assert (5, 5, None) == (first, meanwhile, at_last)


def test_what_was_found_while_nobody_looked_counts(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow answer is known to the next reader, even though a new look-up has begun."""
    monkeypatch.setattr(pulse, "FRESH_SECONDS", -1)
    may_end = threading.Event()
    answers: Iterator[Callable[[], int | bool]] = iter([lambda: 5, lambda: 6, may_end.wait])
    watched = pulse.Watched(in_turn(answers), pool)
    value(watched)
    wait([watched.refresh()])
    watched.refresh()
    known = watched.value
    may_end.set()

    assert known == 6


def test_an_unknown_machine_is_no_failure(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """/health says null, /resources asks to come back."""
    monkeypatch.setattr(shutil, "disk_usage", None)
    health, resources = here.client.get("/health"), here.client.get("/resources")

    assert here.json(health)["system_resources"]["cpu_percent"] is None
    assert here.json(resources, status=503)["error"]["code"] == "unavailable"


def test_a_server_that_lacks_nothing_is_healthy(here: World) -> None:
    body = here.json(here.client.get("/health"))

    assert ("healthy", []) == (body["condition"], body["reasons"])


def test_a_server_without_workers_is_unhealthy(here: World) -> None:
    """And says why; the status is for clients that take anything but live for dead."""
    here.workers.leave(WORKER)
    body = here.json(here.client.get("/health"))

    assert ("live", "unhealthy") == (body["status"], body["condition"])
    assert "No worker is running." in body["reasons"]


def test_a_disk_that_is_nearly_full_degrades_the_server(make_world: MakeWorld) -> None:
    """Jobs still run: it is ready."""
    here = make_world(low_disk_megabytes=2**40)
    body = here.json(here.client.get("/health"))

    assert ("degraded", ["The disk is nearly full."]) == (body["condition"], body["reasons"])
    assert here.json(here.client.get("/health/ready"))["ready"]


def test_a_server_that_cannot_store_is_degraded_until_it_can(
    make_world: MakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file stands where the directory was; nothing is left of the attempts."""
    monkeypatch.setattr(pulse, "STORAGE_SECONDS", 0.001)
    here, place = make_world(), tmp_path / "sounds"
    shutil.rmtree(place)
    place.touch()
    body = here.json(here.client.get("/health"))
    ready = here.json(here.client.get("/health/ready"), status=503)
    place.unlink()
    place.mkdir()
    recovered = here.json(here.client.get("/health/ready"))

    assert ("degraded", ["Results cannot be stored."]) == (body["condition"], body["reasons"])
    assert ["Results cannot be stored."] == ready["reasons"]
    assert recovered["ready"]
    assert [] == [path for path in place.rglob("*") if path.is_file()]


def test_resources_tell_what_each_process_holds(here: World) -> None:
    """Workers as they say, this process as it is; not what they work at."""
    here.workers.announce(
        replace(worker_note(loaded=("arranger",)), id="w2", memory_mb=300, job_id="secret")
    )
    body = here.json(here.client.get("/resources"))
    (worker,) = [each for each in body["workers"] if each["id"] == "w2"]

    assert (300 * 2**20, True, ["arranger"]) == (
        worker["memory_bytes"],
        worker["is_busy"],
        worker["loaded"],
    )
    assert body["web_memory_bytes"] > 2**20
    assert body["disk_free_bytes"] > 0
    assert "secret" not in str(body)
