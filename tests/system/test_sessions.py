"""What a plugin's session remembers, and what older services and health tell, of real processes."""

import json
from collections.abc import Iterator
from typing import Any

import pybase64
import pytest
import redis
import requests

from server.media import codec
from tests.http.legacy.listener import PATIENCE_SECONDS
from tests.system import site as sites
from tests.system.processes import until
from tests.system.site import Site


@pytest.fixture(name="site", scope="module")
def _site(tmp_path_factory: pytest.TempPathFactory, valkey: str) -> Iterator[Site]:
    with sites.opened(tmp_path_factory.mktemp("site"), valkey) as opened:
        yield opened


def _level(polled: dict[str, Any]) -> float:
    clip = codec.decode(pybase64.b64decode(polled["audio_data"]))
    return float(abs(clip.samples).max())


def test_a_session_survives_the_end_of_every_process(site: Site) -> None:
    """The last result, transform-again, an ending nobody received, undo: all still there."""
    session_id = site.submit()
    before = site.completed(session_id)
    site.start_again()
    after = site.poll(session_id)
    site.post("/api/juce/transform_audio", session_id=session_id, variation="celtic")
    again = site.completed(session_id)
    back = site.connect()
    back.say("verify_session", {"session_id": session_id})
    undone = site.post("/api/juce/undo_transform", session_id=session_id)

    assert before == after
    assert _level(again) == pytest.approx(_level(before) / 2, rel=0.01)
    assert again["audio_data"] == back.awaited("audio_transformed")["audio_data"]
    assert before["audio_data"] == undone["audio_data"]


def _health(site: Site) -> dict[str, Any]:
    answer = requests.get(f"{site.url}/health", timeout=PATIENCE_SECONDS)
    assert 200 == answer.status_code
    body: dict[str, Any] = answer.json()
    return body


def _key(url: str, name: str) -> dict[str, Any]:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        value = client.get(name)
    found: dict[str, Any] = json.loads(str(value)) if value else {}
    return found


def test_health_answers_while_a_model_loads_and_a_job_computes(site: Site) -> None:
    """The plugin sees a warm-up, then progress; the server is live all the time."""
    loading = site.yard.data / "loading"
    loading.touch()
    site.post("/cleanup")
    until(lambda: not _health(site)["model_loaded"], every=0.1)
    session_id = site.submit()
    warming = until(lambda: _in_state(site, session_id, "warming"))
    health = [_health(site)]
    site.hold()
    loading.unlink()
    processing = until(lambda: _in_state(site, session_id, "processing"))
    health.append(_health(site))
    site.release()
    site.completed(session_id)

    assert ["live", "live"] == [each["status"] for each in health]
    assert "warming" == warming["queue_status"]["status"]
    assert warming["transform_in_progress"] is processing["transform_in_progress"] is True
    assert warming["progress"] <= processing["progress"] < 100


def _in_state(site: Site, session_id: str, state: str) -> dict[str, Any] | None:
    polled = site.poll(session_id)
    return polled if polled["status"] == state else None


def test_older_services_find_place_and_estimate(site: Site) -> None:
    """Under the keys they read, for the one that runs and for the one that waits.

    A job that ended before is what the estimate comes from.
    """
    site.completed(site.submit())
    site.hold()
    ahead = site.submit()
    until(lambda: _key(site.redis_url, f"queue_status:{ahead}").get("status") == "processing")
    waiting = site.submit()
    place = until(lambda: _key(site.redis_url, f"queue_status:{waiting}"))
    site.release()
    site.completed(waiting)
    until(lambda: _key(site.redis_url, f"status:{waiting}").get("status") == "completed")

    assert ("queued", 1) == (place["status"], place["position"])
    assert place["estimated_seconds"] > 0
    assert _key(site.redis_url, f"queue_status:{waiting}")["status"] == "completed"
