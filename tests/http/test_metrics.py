"""Prometheus is told how everything is."""

import logging
import re
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from server import errors
from server.engines.catalog import Device
from server.jobs import keys
from server.jobs.statistics import Standing
from tests.http.conftest import MakeWorld
from tests.http.scripted import worker_note
from tests.http.world import World

URL = "https://example.org/hook"


def scrape(here: World) -> dict[str, float]:
    """Return every sample by its name and labels, as Prometheus would read them."""
    response = here.client.get("/metrics")
    assert 200 == response.status_code
    assert response.content_type.startswith("text/plain; version=")
    return {
        _named(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(response.get_data(as_text=True))
        for sample in family.samples
    }


def _named(name: str, labels: dict[str, str]) -> str:
    return " ".join((name.removeprefix("melodyflow_"), *(f"{k}={v}" for k, v in labels.items())))


def test_jobs_are_told_by_kind_and_status(here: World) -> None:
    """While they wait, and with their times once they ended."""
    here.queue.hold()
    first, second = here.submit()["id"], here.submit(webhook=URL)["id"]
    here.client.delete(f"/jobs/{second}")
    waiting = scrape(here)
    here.finished_later(first)
    told = scrape(here)
    ended = "engine=arranger kind=transform status=finished"

    assert 1 == waiting["jobs kind=transform status=queued"]
    assert waiting["queue_oldest_seconds kind=transform"] >= 0
    assert "jobs kind=transform status=queued" not in told
    assert 1 == told[f"jobs_ended_total code= {ended}"]
    assert 1 == told["jobs_ended_total code= engine= kind=transform status=cancelled"]
    assert 1 == told[f"job_duration_seconds_count {ended}"]
    assert (
        1
        == told[
            "job_duration_seconds_bucket engine=arranger kind=transform le=+Inf status=finished"
        ]
    )
    assert 0 < told[f"job_wait_seconds_sum {ended}"] < 60
    assert (0, 1) == (told["job_restarts_total kind=transform"], told["webhooks state=waiting"])


def test_buckets_only_grow(here: World) -> None:
    """Each has what the smaller ones have."""
    for _ in range(3):
        here.finished(here.submit()["id"])
    told = scrape(here)
    found = {
        match[1]: value
        for name, value in told.items()
        if (match := re.match(r"job_duration_seconds_bucket .*le=(.*) status=finished", name))
    }

    count = told["job_duration_seconds_count engine=arranger kind=transform status=finished"]

    assert sorted(found.values()) == list(found.values())
    assert [3, 3] == [found["+Inf"], count]


def test_workers_and_cards_are_told(here: World) -> None:
    """As they say of themselves."""
    card = Device(id="GPU-1", name="A card", total_mb=8192.0, used_mb=2048.0)
    here.workers.announce(replace(worker_note(), id="w2", devices=(card,), memory_mb=300))
    here.client.get("/health")
    told = scrape(here)

    assert (2, 300 * 2**20) == (told["workers"], told["worker_memory_bytes worker=w2"])
    assert 2**31 == told["gpu_memory_used_bytes gpu=GPU-1 name=A card"]
    assert 2**33 == told["gpu_memory_total_bytes gpu=GPU-1 name=A card"]
    assert (1, 1, 0) == (told["wire_up"], told["record_up"], told["connections"])
    assert told["disk_free_bytes"] > 0
    assert told["process_resident_memory_bytes"] > 2**20


def test_requests_are_told_by_route_and_status(here: World) -> None:
    """A route is a pattern: neither an id nor what somebody makes up becomes a label."""
    here.client.get("/jobs/" + "0" * 32)
    here.client.get("/made/up?key=secret")
    here.client.get("/metrics")
    text = here.client.get("/metrics").get_data(as_text=True)
    told = scrape(here)

    assert 1 == told["http_requests_total method=GET route=/jobs/<id> status=404"]
    assert 1 == told["http_requests_total method=GET route=unmatched status=404"]
    assert told["http_request_seconds_count method=GET route=/metrics"] >= 2
    assert "secret" not in text
    assert "0" * 32 not in text


def test_a_record_that_is_away_is_told(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the rest is told what is known."""

    def away() -> Standing:
        raise errors.Unavailable

    monkeypatch.setattr(here.services.statistics, "read", away)
    here.queue.is_up = False
    told = scrape(here)

    assert (0, 0) == (told["record_up"], told["wire_up"])
    assert not any(name.startswith("jobs") for name in told)


def test_a_request_is_a_line(here: World, caplog: pytest.LogCaptureFixture) -> None:
    """With its route, status and job; neither keys nor what was asked for by query."""
    caplog.set_level(logging.INFO, logger="server.web.traffic")
    job_id = here.submit()["id"]
    here.client.get(f"/jobs/{job_id}?wait=20", headers={"Authorization": "Bearer secret"})
    here.client.get("/health")
    here.client.get("/nothing/here?key=secret")
    lines = [
        (line.facts["method"], line.facts["route"], line.facts["status"], line.job)  # type: ignore[attr-defined]
        for line in caplog.records
    ]

    assert [
        ("POST", "/jobs", 202, job_id),
        ("GET", "/jobs/<id>", 200, job_id),
        ("GET", "unmatched", 404, None),
    ] == lines
    assert "secret" not in caplog.text
    assert caplog.records[0].message.startswith("POST /jobs 202 ")


def test_numbers_are_for_admins_where_keys_are_asked_for(make_world: MakeWorld) -> None:
    """Neither a stranger nor a key that may only work sees them."""
    here = make_world(keys="on")
    statuses = []
    for is_admin in (False, True):
        key, text = keys.made("somebody", is_admin=is_admin)
        here.services.keys.add(key)
        bearer = {"Authorization": f"Bearer {text}"}
        statuses.append(here.client.get("/metrics", headers=bearer).status_code)

    assert 401 == here.client.get("/metrics").status_code
    assert [401, 200] == statuses
