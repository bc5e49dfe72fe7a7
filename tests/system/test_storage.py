"""Disks run full under real processes: jobs end in words, nothing half is kept, all recovers.

No file of the process may grow any more: that is what a full disk looks like to it, needs no disk
of its own and no rights, and can be taken back while the process runs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
import requests

from tests.http import sounds
from tests.http.legacy.listener import PATIENCE_SECONDS
from tests.system import site
from tests.system.processes import until
from tests.system.site import Site

pytestmark = pytest.mark.skipif(not hasattr(psutil.Process, "rlimit"), reason="needs limits")

MEGABYTE = 2**20
ROOM = 5 * MEGABYTE
"""Enough for the record, whose journal is folded into it at 4 MB, and too little for the sound."""

SOUND = sounds.wav(10.0, rate=96_000, channels=4)
SHORT = sounds.wav(0.5)


@pytest.fixture(name="here", scope="module")
def _here(tmp_path_factory: pytest.TempPathFactory, valkey: str) -> Iterator[Site]:
    with site.opened(tmp_path_factory.mktemp("storage"), valkey) as opened:
        yield opened


@contextmanager
def little_room(process: psutil.Process, size: int) -> Iterator[None]:
    """Let no file of a process grow beyond a size while this lasts."""
    _, hard = process.rlimit(psutil.RLIMIT_FSIZE)
    process.rlimit(psutil.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        process.rlimit(psutil.RLIMIT_FSIZE, (hard, hard))


def files(here: Site) -> set[Path]:
    """Return every file in the store, those written aside included."""
    return {path for path in (here.yard.data / "artifacts").rglob("*") if path.is_file()}


def ask(here: Site, method: str, path: str, **request: Any) -> requests.Response:
    """Ask the server."""
    return requests.request(method, here.url + path, timeout=PATIENCE_SECONDS, **request)


def uploaded(here: Site, wav: bytes) -> str:
    """Upload a sound and return its id."""
    answer = ask(here, "POST", "/artifacts", data=wav, headers={"Content-Type": "audio/wav"})
    return str(answer.json()["id"])


def submitted(here: Site, source: str) -> requests.Response:
    """Submit a transform of a stored sound."""
    order = {"kind": "transform", "source": source, "variation": "celtic"}
    return ask(here, "POST", "/jobs", json=order)


def ended(here: Site, job: dict[str, Any]) -> dict[str, Any]:
    """Return a job once it has ended."""

    def look() -> dict[str, Any] | None:
        seen: dict[str, Any] = ask(here, "GET", f"/jobs/{job['id']}").json()
        return seen if seen["status"] in ("finished", "failed", "cancelled") else None

    return until(look, every=0.1)


def test_a_result_without_room_fails_its_job_alone(here: Site) -> None:
    """No part of it is kept; the same worker does the next job once there is room."""
    source, worker = uploaded(here, SOUND), psutil.Process(here.worker.pid)
    before = files(here)
    with little_room(worker, ROOM):
        failed = ended(here, submitted(here, source).json())
        left = files(here)
    finished = ended(here, submitted(here, source).json())

    assert ("failed", "storage") == (failed["status"], failed["error"]["code"])
    assert left == before
    assert ("finished", True) == (finished["status"], worker.is_running())


@pytest.mark.parametrize("room", [ROOM, 0], ids=["little", "none"])
@pytest.mark.parametrize("way", ["body", "form"])
def test_an_upload_without_room_is_507_and_leaves_nothing(here: Site, way: str, room: int) -> None:
    """Wherever it does not fit: where a body waits, or in the store."""
    before = files(here)
    request: dict[str, Any] = {"data": SOUND, "headers": {"Content-Type": "audio/wav"}}
    if way == "form":
        request = {"files": {"audio": ("a.wav", SOUND)}}
    with little_room(here.server(), room):
        refused = ask(here, "POST", "/artifacts", **request)
        left = files(here)

    assert (507, "storage") == (refused.status_code, refused.json()["error"]["code"])
    assert left == before
    assert 201 == ask(here, "POST", "/artifacts", **request).status_code


def test_a_record_without_room_takes_no_job_and_says_when_to_ask_again(here: Site) -> None:
    """A job that nobody can write down is not accepted; reading goes on."""
    source = uploaded(here, SHORT)
    known = ended(here, submitted(here, source).json())
    with little_room(here.server(), 0):
        refused = submitted(here, source)
        read = ask(here, "GET", f"/jobs/{known['id']}")
        healthy = ask(here, "GET", "/health")

    assert (503, "unavailable") == (refused.status_code, refused.json()["error"]["code"])
    assert int(refused.headers["Retry-After"]) > 0
    assert (200, 200) == (read.status_code, healthy.status_code)
    assert "finished" == ended(here, submitted(here, source).json())["status"]


def test_a_job_that_its_worker_cannot_write_down_waits_until_it_can(here: Site) -> None:
    """It was taken from the wire and could not be started; it is done once there is room."""
    source = uploaded(here, SHORT)
    worker = psutil.Process(here.worker.pid)
    with little_room(worker, 0), redis.Redis.from_url(here.redis_url) as wire:
        job = submitted(here, source).json()
        until(lambda: wire.llen("rq:queue:audio") == 0)
        waiting = ask(here, "GET", f"/jobs/{job['id']}").json()

    assert "queued" == waiting["status"]
    assert "finished" == ended(here, job)["status"]
    assert worker.is_running()
