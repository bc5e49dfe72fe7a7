"""The same application behind a second port: HTTP, websockets, and what happens if it is taken."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
import requests
import socketio
from flask import Flask, jsonify

from server.adapters import http_server
from server.config import Settings
from tests.http import sounds
from tests.system.processes import PATIENCE_SECONDS, Running, Yard, free_port, until

WITHOUT_EVENTLET = pytest.mark.skipif(find_spec("eventlet") is None, reason="no extra `eventlet`")


@pytest.fixture(name="second_port")
def _second_port(monkeypatch: pytest.MonkeyPatch) -> int:
    """Ask for a second port."""
    port = free_port()
    monkeypatch.setenv("MELODYFLOW_SECOND_PORT", str(port))
    return port


def heard_at(url: str) -> list[str]:
    """Order a crop through a websocket and return the names of what comes back."""
    with socketio.SimpleClient() as client:
        client.connect(url, transports=["websocket"])
        client.emit("update_cropped_audio", {"audio_data": sounds.base64_wav()})
        name, _ = client.receive(timeout=PATIENCE_SECONDS)
    return [name]


def _session_made_at(url: str) -> str:
    body = {"audio_data": sounds.base64_wav()}
    answer = requests.post(f"{url}/api/juce/update_cropped_audio", json=body, timeout=30)
    return str(answer.json()["session_id"])


def test_both_ports_are_one_server(yard: Yard, second_port: int) -> None:
    """What was begun at one is known at the other, over HTTP and over a websocket."""
    running = yard.serve("--port", 0)
    first, second = yard.url(running), f"http://127.0.0.1:{second_port}"
    session_id = _session_made_at(first)
    polled = requests.get(f"{second}/api/juce/poll_status/{session_id}", timeout=30)

    assert (200, session_id) == (polled.status_code, polled.json()["session_id"])
    assert ["update_cropped_audio_complete"] == heard_at(second)
    assert "live" == requests.get(f"{second}/health", timeout=30).json()["status"]

    assert 0 == running.end()
    said, _ = running.process.communicate(timeout=PATIENCE_SECONDS)
    assert f"MelodyFlow is at {first} and {second}\n" == said


def test_a_taken_second_port_costs_nobody_the_first(yard: Yard, second_port: int) -> None:
    """It is said, and the first port answers."""
    with http_server.listen("127.0.0.1", second_port):
        running = yard.serve("--port", 0)
        url = yard.url(running)
        answer = requests.get(f"{url}/health", timeout=30)
    running.end()
    said, told = running.process.communicate(timeout=PATIENCE_SECONDS)

    assert 200 == answer.status_code
    assert f"Port {second_port} of 127.0.0.1 cannot be used" in told
    assert f"MelodyFlow is at {url}\n" == said


def _web(yard: Yard, valkey_url: str, port: int) -> Running:
    environment = {"REDIS_URL": valkey_url, "MELODYFLOW_DATA_DIR": str(yard.data)}
    return yard.start("-m", "server", "web", "--port", port, **environment)


@pytest.mark.parametrize("mode", ["threading", pytest.param("eventlet", marks=WITHOUT_EVENTLET)])
def test_the_web_process_alone_has_it_too(
    yard: Yard, valkey_url: str, second_port: int, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in containers, in both ways to run sockets."""
    monkeypatch.setenv("MELODYFLOW_ASYNC_MODE", mode)
    running = _web(yard, valkey_url, port := free_port())
    for each in (port, second_port):
        until(lambda url=f"http://127.0.0.1:{each}/health/live": _answers(url))  # type: ignore[misc]

    assert ["update_cropped_audio_complete"] == heard_at(f"http://127.0.0.1:{second_port}")
    # only gunicorn has something to put in order before it ends
    assert running.end() == (0 if mode == "threading" else -signal.SIGTERM)


def test_a_web_process_without_its_first_port_says_so(yard: Yard, valkey_url: str) -> None:
    """It ends at once, with a sentence."""
    with http_server.listen("127.0.0.1", 0) as taken:
        running = _web(yard, valkey_url, port := taken.getsockname()[1])
        _, told = running.process.communicate(timeout=PATIENCE_SECONDS)

    assert 1 == running.process.returncode
    assert f"Port {port} of 127.0.0.1 cannot be used" in told


@contextmanager
def _served(run: Callable[[list[int]], None]) -> Iterator[list[str]]:
    """Serve on two sockets in a thread of this process that ends with the process."""
    listeners = [http_server.listen("127.0.0.1", 0) for _ in range(2)]
    urls = ["http://{}:{}".format(*each.getsockname()) for each in listeners]
    descriptors = [each.detach() for each in listeners]
    threading.Thread(target=run, args=(descriptors,), daemon=True).start()
    yield urls


def test_the_plainest_server_has_it_too() -> None:
    """Where there is no gunicorn, both sockets lead to the same application."""
    app = Flask("plain")
    app.add_url_rule("/", "whoami", lambda: jsonify(pid=os.getpid()))
    with _served(lambda descriptors: http_server._run_werkzeug(lambda: app, descriptors)) as urls:
        answers = [requests.get(url, timeout=PATIENCE_SECONDS).json() for url in urls]

    assert [{"pid": os.getpid()}] * 2 == answers


def test_without_the_setting_there_is_no_second_port(tmp_path: Path) -> None:
    """Nothing is opened that nobody asked for."""
    assert http_server.listen_second(Settings(data_dir=tmp_path, second_port=None)) is None


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == 200
    except requests.ConnectionError:
        return False
