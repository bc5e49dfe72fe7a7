"""`python -m server serve`: the whole product as processes, from the first request to the end."""

import signal
import socket
import sys
from collections.abc import Iterator
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


@pytest.fixture(name="server")
def _server(yard: Yard) -> Running:
    server = yard.serve("--port", 0)
    url = yard.url(server)
    until(lambda: requests.get(f"{url}/health/ready", timeout=5).status_code == 200)
    return server


@pytest.fixture(name="url")
def _url(yard: Yard, server: Running) -> str:
    return yard.url(server)


@pytest.fixture(name="socket_client")
def _socket_client(url: str) -> Iterator[socketio.SimpleClient]:
    with socketio.SimpleClient() as client:
        client.connect(url, transports=["websocket"])
        yield client


def _clip() -> Clip:
    return music.riff(seconds=3.0).clip


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


def test_a_file_goes_in_and_comes_out_and_everything_ends(
    yard: Yard, server: Running, url: str, socket_client: socketio.SimpleClient
) -> None:
    clip = _clip()
    receipt = _submit(url, clip)
    views = _followed(socket_client, receipt["id"])
    progress = [view["progress"] for view in views]
    assert "finished" == views[-1]["status"], views[-1]["error"]
    assert sorted(progress) == progress
    assert 1.0 == progress[-1]

    result = requests.get(url + views[-1]["artifacts"][0]["url"], timeout=30).content
    made = codec.decode(result)
    assert (clip.length, clip.sample_rate) == (made.length, made.sample_rate)

    family = server.family()
    assert 0 == server.end()
    assert [] == psutil.wait_procs(family, timeout=10)[1]
    assert not (yard.data / "server.json").exists()


def test_a_web_process_that_dies_comes_back_at_the_same_address(server: Running, url: str) -> None:
    before = server.child("web")
    before.kill()
    until(lambda: not before.is_running())
    until(lambda: requests.get(f"{url}/health/live", timeout=30).status_code == 200)

    assert before.pid != server.child("web").pid


def test_a_worker_that_dies_comes_back(server: Running) -> None:
    before = server.child("worker")
    before.kill()
    until(lambda: not before.is_running())

    assert before.pid != until(lambda: _child(server, "worker")).pid


def _child(server: Running, command: str) -> psutil.Process | None:
    try:
        return server.child(command)
    except (StopIteration, psutil.NoSuchProcess):
        return None


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help exists on Linux alone")
def test_a_server_that_is_killed_leaves_no_orphans(server: Running) -> None:
    family = server.family()
    server.end(signal.SIGKILL)

    assert len(family) >= 4
    assert [] == psutil.wait_procs(family, timeout=15)[1]


def test_ctrl_c_ends_it_with_code_zero(server: Running) -> None:
    assert 0 == server.end(signal.SIGINT)


def test_a_taken_port_is_said_and_another_one_used(yard: Yard) -> None:
    with http_server.listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        server = yard.serve("--port", port)
        url = yard.url(server)
        status = requests.get(f"{url}/health/live", timeout=30).status_code
        server.end()
    said, told = server.process.communicate(timeout=PATIENCE_SECONDS)

    assert 200 == status
    assert f"MelodyFlow is at {url}\n" == said
    assert f"Port {port} of 127.0.0.1 cannot be used" in told
    assert f":{port}" not in url


def test_a_second_server_on_the_same_data_is_refused(yard: Yard, server: Running) -> None:
    second = yard.serve("--port", 0)
    _, told = second.process.communicate(timeout=PATIENCE_SECONDS)

    assert (1, None) == (second.process.returncode, server.process.poll())
    assert "Another server is using" in told


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
    until(lambda: _status(f"{url}/health/ready") == 200)

    assert [0, 0] == [each.end() for each in (worker, web)]


def _status(url: str) -> int | None:
    try:
        return requests.get(url, timeout=5).status_code
    except requests.ConnectionError:
        return None
