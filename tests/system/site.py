"""A web process and a scripted worker, meeting at a broker: a server for tests of the contract."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import redis
import requests

from server.media import reader
from tests.http import sounds
from tests.http.legacy.listener import PATIENCE_SECONDS, Listener
from tests.system.processes import Running, Yard, free_port, until

LEASE_SECONDS = 3


@dataclass
class Site:
    """Processes, and how a test holds, ends and restarts them."""

    yard: Yard
    redis_url: str
    mode: str
    port: int
    stack: ExitStack
    web: Running
    worker: Running
    listeners: list[Listener] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where the web process answers."""
        return f"http://127.0.0.1:{self.port}"

    def readers(self) -> list[psutil.Process]:
        """Return the processes that read uploads."""
        family = psutil.Process(self.web.pid).children(recursive=True)
        return [each for each in family if reader.__name__ in each.cmdline()]

    def server(self) -> psutil.Process:
        """Return the process that answers, which gunicorn's own one has started."""
        parent = psutil.Process(self.web.pid)
        return next((each for each in parent.children() if each not in self.readers()), parent)

    def connect(self) -> Listener:
        """Connect a client that hangs up with the site."""
        self.listeners.append(self.stack.enter_context(closing(Listener(self.url))))
        return self.listeners[-1]

    def hold(self) -> None:
        """Have the next job stop half way until `release`."""
        (self.yard.data / "held").touch()

    def release(self) -> None:
        """Let a held job go on."""
        (self.yard.data / "held").unlink(missing_ok=True)

    def post(self, route: str, **fields: Any) -> dict[str, Any]:
        """Post JSON and return the answer."""
        answer = requests.post(self.url + route, json=fields, timeout=PATIENCE_SECONDS)
        body: dict[str, Any] = answer.json()
        return body

    def submit(self, **fields: Any) -> str:
        """Submit as the plugin does and return the session."""
        asked = {"audio_data": sounds.base64_wav(), "variation": "celtic", **fields}
        return str(self.post("/api/juce/transform_audio", **asked)["session_id"])

    def poll(self, session_id: str) -> dict[str, Any]:
        """Poll as the plugin does."""
        route = f"{self.url}/api/juce/poll_status/{session_id}"
        body: dict[str, Any] = requests.get(route, timeout=PATIENCE_SECONDS).json()
        return body

    def completed(self, session_id: str) -> dict[str, Any]:
        """Poll until there is a result."""
        return until(lambda: _completed(self.poll(session_id)), every=0.1)

    def start_again(self) -> None:
        """End both processes and start them anew on the same data."""
        for each in (self.web, self.worker):
            each.end()
        self.web, self.worker = _started(self.yard, self.redis_url, self.mode, self.port)
        self.await_ready()

    def await_ready(self) -> None:
        """Return once jobs are taken."""
        until(lambda: _status(f"{self.url}/health/ready") == 200, every=0.1)


@contextmanager
def opened(
    folder: Path, redis_url: str, *, mode: str = "threading", **environment: str
) -> Iterator[Site]:
    """Start a site on data and a broker of its own, and end it; `environment` goes to the web."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    with ExitStack() as ended:
        yard, port = Yard(folder, ended), free_port()
        yard.data.mkdir()
        web, worker = _started(yard, redis_url, mode, port, **environment)
        with ExitStack() as stack:
            site = Site(yard, redis_url, mode, port, stack, web, worker)
            site.await_ready()
            yield site


def _started(
    yard: Yard, redis_url: str, mode: str, port: int, **more: str
) -> tuple[Running, Running]:
    environment = {
        "REDIS_URL": redis_url,
        "MELODYFLOW_DATA_DIR": str(yard.data),
        "MELODYFLOW_ASYNC_MODE": mode,
        "MELODYFLOW_LEASE_SECONDS": str(LEASE_SECONDS),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    web = yard.start("-m", "server", "web", "--port", port, **environment, **more)
    return web, yard.start("-m", "tests.system.scripted_worker", **environment)


def _completed(polled: dict[str, Any]) -> dict[str, Any] | None:
    return polled if polled["status"] == "completed" else None


def _status(url: str) -> int | None:
    try:
        return requests.get(url, timeout=5).status_code
    except (requests.ConnectionError, requests.Timeout):
        return None
