"""`python -m server serve`: the whole product as processes, from the first request to the end."""

import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import psutil
import pytest
import requests
import socketio

from server.adapters import http_server
from server.media import codec
from server.media.clip import Clip
from tests import music
from tests.system.processes import PATIENCE_SECONDS, Running, Yard, until

FINAL = {"finished", "failed", "cancelled"}


@dataclass(frozen=True)
class Served:
    """A whole server that is ready for work."""

    yard: Yard
    running: Running
    url: str


def _served(yard: Yard, *arguments: object) -> Served:
    running = yard.serve(*arguments)
    url = yard.url(running)
    until(lambda: _status(f"{url}/health/ready") == 200, every=0.25)
    return Served(yard, running, url)


@pytest.fixture(scope="module", name="served")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Run one server for the tests that leave it alive."""
    with ExitStack() as ended:
        yield _served(Yard(tmp_path_factory.mktemp("served"), ended), "--port", 0)


@pytest.fixture(name="url")
def _url(served: Served) -> str:
    return served.url


@pytest.fixture(name="socket_client")
def _socket_client(url: str) -> Iterator[socketio.SimpleClient]:
    with socketio.SimpleClient() as client:
        client.connect(url, transports=["websocket"])
        yield client


def _submit(url: str, clip: Clip) -> dict[str, Any]:
    """Upload a clip and submit its transform; return the receipt."""
    wav = {"audio": ("riff.wav", codec.encode(clip, "wav"), "audio/wav")}
    uploaded = requests.post(f"{url}/artifacts", files=wav, timeout=30).json()
    order = {"kind": "transform", "source": uploaded["id"], "variation": "strings_quartet"}
    answer = requests.post(f"{url}/jobs", json=order, timeout=30)
    assert 202 == answer.status_code, answer.text
    receipt: dict[str, Any] = answer.json()
    return receipt


def _followed(client: socketio.SimpleClient, job_id: str) -> list[dict[str, Any]]:
    """Return the views of a job, from the first to its ending."""
    views = [client.call("follow", {"job_id": job_id}, timeout=PATIENCE_SECONDS)]
    while views[-1]["status"] not in FINAL:
        name, view = client.receive(timeout=PATIENCE_SECONDS)
        if name == "job":
            views.append(view)
    return views


def test_a_file_goes_in_and_comes_out_in_another_voice(
    url: str, socket_client: socketio.SimpleClient
) -> None:
    clip = music.riff(seconds=3.0).clip
    views = _followed(socket_client, _submit(url, clip)["id"])
    progress = [view["progress"] for view in views]
    assert "finished" == views[-1]["status"], views[-1]["error"]
    assert sorted(progress) == progress
    assert len(set(progress)) >= 3

    result = requests.get(url + views[-1]["artifacts"][0]["url"], timeout=30).content
    made = codec.decode(result)
    assert (clip.length, clip.sample_rate) == (made.length, made.sample_rate)


@pytest.mark.skipif(find_spec("eventlet") is None, reason="the extra `eventlet` brings it")
def test_the_other_way_to_run_sockets_does_the_same(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MELODYFLOW_ASYNC_MODE", "eventlet")
    served = _served(yard, "--port", 0)
    with socketio.SimpleClient() as client:
        client.connect(served.url, transports=["websocket"])
        views = _followed(client, _submit(served.url, music.riff(seconds=3.0).clip)["id"])

    assert "finished" == views[-1]["status"], views[-1]["error"]
    assert 0 == served.running.end()


def test_a_web_process_that_dies_comes_back_at_the_same_address(served: Served) -> None:
    before = served.running.child("web")
    before.kill()
    until(lambda: not before.is_running())
    until(lambda: _status(f"{served.url}/health/live") == 200, every=0.25)

    assert before.pid != served.running.child("web").pid


def test_a_worker_that_dies_comes_back(served: Served) -> None:
    before = served.running.child("worker")
    before.kill()
    until(lambda: not before.is_running())

    assert before.pid != until(lambda: _child(served.running, "worker")).pid


def _child(server: Running, command: str) -> psutil.Process | None:
    try:
        return server.child(command)
    except (StopIteration, psutil.NoSuchProcess):
        return None


def test_a_second_server_on_the_same_data_is_refused(served: Served) -> None:
    second = served.yard.serve("--port", 0)
    _, told = second.process.communicate(timeout=PATIENCE_SECONDS)

    assert (1, None) == (second.process.returncode, served.running.process.poll())
    assert "Another server is using" in told


def test_a_taken_port_is_said_and_another_one_used(yard: Yard) -> None:
    with http_server.listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        served = _served(yard, "--port", port)
    assert 0 == served.running.end(signal.SIGINT)
    said, told = served.running.process.communicate(timeout=PATIENCE_SECONDS)

    assert f"MelodyFlow is at {served.url}\n" == said
    assert f"Port {port} of 127.0.0.1 cannot be used" in told
    assert f":{port}" not in served.url


def test_when_it_is_told_to_end_everything_ends(yard: Yard) -> None:
    served = _served(yard, "--port", 0, "--workers", 2)
    family = served.running.family()
    code = served.running.end(signal.SIGTERM)

    assert 0 == code
    assert len(family) >= 6
    assert [] == psutil.wait_procs(family, timeout=1)[1]
    assert not (yard.data / "server.json").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help exists on Linux alone")
def test_when_it_is_killed_everything_ends_as_well(yard: Yard) -> None:
    family = (served := _served(yard, "--port", 0)).running.family()
    served.running.end(signal.SIGKILL)

    assert len(family) >= 5
    assert [] == psutil.wait_procs(family, timeout=15)[1]


@pytest.mark.parametrize("command", ["web", "worker"])
def test_processes_without_a_broker_say_what_they_need(yard: Yard, command: str) -> None:
    alone = yard.start("-m", "server", command, MELODYFLOW_DATA_DIR=str(yard.data))
    _, told = alone.process.communicate(timeout=PATIENCE_SECONDS)

    assert 1 == alone.process.returncode
    assert "REDIS_URL is not set" in told


def test_web_and_worker_meet_at_a_broker(yard: Yard, valkey_url: str) -> None:
    """What `serve` puts together can run apart: here without it, on a port of its own."""
    environment = {"REDIS_URL": valkey_url, "MELODYFLOW_DATA_DIR": str(yard.data)}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    web = yard.start("-m", "server", "web", "--port", port, **environment)
    worker = yard.start("-m", "server", "worker", "--queues", "audio", **environment)
    url = f"http://127.0.0.1:{port}"
    until(lambda: _status(f"{url}/health/ready") == 200, every=0.25)

    assert [0, 0] == [each.end() for each in (worker, web)]


def _status(url: str) -> int | None:
    try:
        return requests.get(url, timeout=5).status_code
    except (requests.ConnectionError, requests.Timeout):
        return None
