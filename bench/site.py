"""A whole site as processes, so that questions can be asked of it: broker, web, any workers."""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import redis

from server.adapters import embedded
from server.cli.client import Client, await_ready
from server.config import Settings

READY_SECONDS = 60
WORKER = ("-m", "server", "worker")


@dataclass
class Site:
    """Processes over one folder; ends with `opened`.

    Attributes:
        workers: those that are alive, as far as nobody killed them.
    """

    settings: Settings
    broker_port: int
    threads: int = 1
    broker: subprocess.Popen[bytes] | None = None
    web: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def redis_url(self) -> str:
        """Where the broker answers."""
        return f"redis://127.0.0.1:{self.broker_port}/0"

    @property
    def url(self) -> str:
        """Where the web process answers."""
        return f"http://127.0.0.1:{self.settings.port}"

    def start_broker(self) -> None:
        """Start the bundled Valkey over its append-only file and wait until it answers."""
        directory = self.settings.data_dir / "broker"
        directory.mkdir(exist_ok=True)
        options = ["--port", self.broker_port, "--dir", directory, "--save", ""]
        options += ["--appendonly", "yes", "--appendfsync", "everysec", "--loglevel", "warning"]
        command = [str(embedded.binary()), *map(str, options)]
        self.broker = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        with redis.Redis(port=self.broker_port) as client:
            while not _answers(client):
                time.sleep(0.02)

    def restart_broker(self) -> None:
        """Kill the broker and start it again on what it had written."""
        if self.broker is not None:
            self.broker.kill()
            self.broker.wait()
        self.start_broker()

    def start_web(self) -> None:
        """Start the web process."""
        self.web = self._started("-m", "server", "web")

    def start_worker(self, *command: str) -> None:
        """Start one more worker; another program than ours where one is named."""
        self.workers.append(self._started(*(command or WORKER)))

    def kill_worker(self, which: int) -> None:
        """Kill a worker without a word, and put another one in its place."""
        worker = self.workers.pop(which)
        with suppress(psutil.NoSuchProcess):
            for each in reversed(_family(worker)):
                each.kill()
        worker.wait()
        self.start_worker()

    def end(self) -> None:
        """End everything."""
        rest = [each for each in (*self.workers, self.web, self.broker) if each is not None]
        for each in rest:
            each.terminate()
        for each in rest:
            each.wait(timeout=READY_SECONDS)

    def memory_mb(self, process: subprocess.Popen[bytes] | None) -> float:
        """Return what the largest of a process and its children holds, in MiB; 0 if it is gone."""
        with suppress(psutil.NoSuchProcess):
            sizes = [int(each.memory_info().rss) for each in _family(process)]
            return max(sizes, default=0) / 2**20
        return 0.0

    def _started(self, *command: str) -> subprocess.Popen[bytes]:
        environment = {
            **self.settings.as_environment(),
            "REDIS_URL": self.redis_url,
            "OMP_NUM_THREADS": str(self.threads),
        }
        return subprocess.Popen(
            [sys.executable, *command],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@contextmanager
def opened(*, workers: int = 2, **settings: Any) -> Iterator[Site]:
    """Open a site in a folder of its own and end it; `workers` is how many of ours."""
    with tempfile.TemporaryDirectory() as folder:
        made = Settings(data_dir=Path(folder), port=_free_port(), **settings)
        site = Site(made, _free_port())
        try:
            site.start_broker()
            site.start_web()
            for _ in range(workers):
                site.start_worker()
            yield site
        finally:
            site.end()


def await_workers(site: Site, client: Client) -> None:
    """Return once jobs are taken.

    Raises:
        TimeoutError: they never are.
    """
    web = site.web
    is_alive = lambda: web is not None and web.poll() is None  # noqa: E731 - asked again and again
    if not await_ready(client, seconds=READY_SECONDS, is_alive=is_alive):
        raise TimeoutError("The site takes no jobs.")


def _family(process: subprocess.Popen[bytes] | None) -> list[psutil.Process]:
    if process is None:
        return []
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
