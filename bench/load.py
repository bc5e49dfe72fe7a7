"""What do many clients and large bodies do to the web process? Everything stays on this machine."""

import base64
import http.client
import io
import json
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any
from urllib.parse import urlsplit

import psutil
import socketio

from bench import pulse
from bench.crowd import Crowd
from server.adapters import embedded
from server.cli.client import Client, await_ready
from server.cli.demo import RIFF

TITLE = "Load"
HEAD = ("What", "Value")

CLIENTS = 200
JOBS = 4
UPLOADS = 16
UPLOAD_BYTES = 40_000_000
RECORDING_SECONDS = 180
RATE = 44_100
BYTES_A_SECOND = RATE * 2 * 2

PATIENCE_SECONDS = 120.0
IDLE_SECONDS = 2.0
EVERY_SECONDS = 0.05
POLL_SECONDS = 0.25

Rows = Iterator[tuple[str, ...]]


def rows() -> Rows:
    """Start a server of its own and load it: clients, uploads, a long recording."""
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded.valkey(Path(folder) / "broker") as redis_url,
        _served(Path(folder) / "data", redis_url) as (client, web),
    ):
        yield from _idle(web)
        yield from _crowded(client, redis_url, web)
        yield from _uploaded(client, web)
        yield from _recorded(client)


@contextmanager
def _served(data: Path, redis_url: str) -> Iterator[tuple[Client, psutil.Process]]:
    command = [sys.executable, "-m", "server", "serve", "--port", "0", "--data-dir", str(data)]
    environment = {**psutil.Process().environ(), "REDIS_URL": redis_url}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            if process.stdout is not None:
                process.stdout.readline()
            client = Client(json.loads((data / "server.json").read_text("utf-8"))["url"])
            await_ready(client, seconds=60, is_alive=lambda: process.poll() is None)
            children = psutil.Process(process.pid).children()
            yield client, next(each for each in children if "web" in each.cmdline())
        finally:
            process.terminate()


def _idle(web: psutil.Process) -> Rows:
    time.sleep(IDLE_SECONDS)
    (worker,) = web.children()
    yield "memory of the process that answers, idle", _megabytes(worker.memory_info().rss)
    shares = sum(each.memory_full_info().pss for each in (web, worker))
    yield "memory of it and of gunicorn's arbiter, shared pages counted once", _megabytes(shares)


def _crowded(client: Client, redis_url: str, web: psutil.Process) -> Rows:
    with Crowd.connected(client.url, redis_url, count=CLIENTS) as crowd:
        # made one after the other, so that all follow before much happens
        for number in range(JOBS):
            receipt = client.submit(RIFF, variation="strings_quartet", seed=number)
            crowd.follow(receipt["id"])
        with _watched(client, web) as seen:
            crowd.listen(seconds=PATIENCE_SECONDS)
    p50, p99 = _percentiles(crowd.delays)
    yield f"{CLIENTS} clients follow {JOBS} jobs: events heard", str(len(crowd.delays))
    yield "from the broker to a client, p50, p99", f"{p50:.0f} ms, {p99:.0f} ms"
    yield f"memory of web with {CLIENTS} clients, at most", _megabytes(seen["memory"])
    yield "`/health` meanwhile, p50, p99, worst", _health(seen)


def _uploaded(client: Client, web: psutil.Process) -> Rows:
    body = _wav(UPLOAD_BYTES / BYTES_A_SECOND)
    began = time.perf_counter()
    with _watched(client, web) as seen, ThreadPoolExecutor(UPLOADS) as pool:
        sent = [pool.submit(_upload, client.url, body) for _ in range(UPLOADS)]
        statuses = {each.result() for each in sent}
    took = time.perf_counter() - began
    name = f"{UPLOADS} uploads of {UPLOAD_BYTES // 10**6} MB at once"
    yield f"{name}: time, statuses", f"{took:.1f} s, {statuses}"
    yield f"{name}: memory of web, at most", _megabytes(seen["memory"])
    yield f"{name}: `/health`, p50, p99, worst", _health(seen)


def _recorded(client: Client) -> Rows:
    text = base64.b64encode(_wav(RECORDING_SECONDS)).decode("ascii")
    order = {"audio_data": text, "variation": "music_box", "strength": 0, "session_id": "bench"}
    name = f"recording of {len(text) / 10**6:.0f} MB as base64"
    for door, send in (("plugin", _through_the_plugin), ("websocket", _through_a_websocket)):
        began = time.perf_counter()
        accepted, result = send(client, order)
        took = time.perf_counter() - began
        told = f"{accepted:.1f} s, {took:.1f} s ({len(result) / 10**6:.0f} MB back)"
        yield f"{name}, {door}: confirmed, result", told


def _through_the_plugin(client: Client, order: Mapping[str, Any]) -> tuple[float, str]:
    began = time.perf_counter()
    _post_json(client.url, "/api/juce/transform_audio", order)
    accepted = time.perf_counter() - began
    polled: Mapping[str, Any] = {"transform_in_progress": True}
    while polled["transform_in_progress"]:
        time.sleep(POLL_SECONDS)
        polled = client.get(f"/api/juce/poll_status/{order['session_id']}")
    return accepted, str(polled["audio_data"])


def _through_a_websocket(client: Client, order: Mapping[str, Any]) -> tuple[float, str]:
    # validation of megabytes of text in pure Python takes seconds
    options = {"skip_utf8_validation": True}
    with socketio.SimpleClient(websocket_extra_options=options) as socket:
        socket.connect(client.url, transports=["websocket"])
        began, accepted = time.perf_counter(), 0.0
        socket.emit("transform_audio_request", order)
        while True:
            name, payload = socket.receive(timeout=PATIENCE_SECONDS)
            if name == "transform_audio_received":
                accepted = time.perf_counter() - began
            if name in ("audio_transformed", "error"):
                return accepted, str(payload.get("audio_data", ""))


@contextmanager
def _watched(client: Client, web: psutil.Process) -> Iterator[dict[str, Any]]:
    """Ask for health and look at the memory of the web process while this lasts.

    What was seen is complete once it is over.
    """
    seen: dict[str, Any] = {"memory": 0, "health": []}
    is_over = threading.Event()

    def look() -> None:
        seen["memory"] = max(seen["memory"], _memory(web))

    watcher = threading.Thread(target=_again, args=(look, is_over))
    watcher.start()
    try:
        with pulse.taken(client.url, every=EVERY_SECONDS) as seen["health"]:
            yield seen
    finally:
        is_over.set()
        watcher.join()


def _again(do: Callable[[], None], is_over: threading.Event) -> None:
    while not is_over.wait(EVERY_SECONDS):
        do()


def _memory(web: psutil.Process) -> int:
    return sum(int(each.memory_info().rss) for each in (web, *web.children()))


def _upload(url: str, body: bytes) -> int:
    return _request(url, "POST", "/artifacts", body, "audio/wav")[0]


def _post_json(url: str, path: str, order: Mapping[str, Any]) -> None:
    status, answer = _request(url, "POST", path, json.dumps(order).encode(), "application/json")
    if status != http.client.OK:
        raise SystemExit(f"{path}: {status} {answer[:200]!r}")


def _request(url: str, method: str, path: str, body: bytes, media_type: str) -> tuple[int, bytes]:
    # a connection of its own each time, as plugins do
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_SECONDS)
    try:
        connection.request(method, path, body, {"Content-Type": media_type})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _wav(seconds: float) -> bytes:
    """Return the riff's own bytes as stereo, again and again, as long as a recording."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(2)
        writer.setsampwidth(2)
        writer.setframerate(RATE)
        count = int(seconds * BYTES_A_SECOND) // 4 * 4
        noise = RIFF.read_bytes()
        writer.writeframes((noise * (count // len(noise) + 1))[:count])
    return file.getvalue()


def _percentiles(seconds: list[float]) -> tuple[float, float]:
    if len(seconds) < 2:
        return 0.0, 0.0
    cuts = quantiles(seconds, n=100, method="inclusive")
    return 1000 * cuts[49], 1000 * cuts[98]


def _health(seen: Mapping[str, Any]) -> str:
    p50, p99 = _percentiles(seen["health"])
    return f"{p50:.0f} ms, {p99:.0f} ms, {1000 * max(seen['health'], default=0):.0f} ms"


def _megabytes(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"
