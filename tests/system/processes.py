"""Servers and workers as processes, and how tests wait for what they do."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil
import redis
import redis.exceptions

from server.adapters import embedded

T = TypeVar("T")

PATIENCE_SECONDS = 60.0


def until(look: Callable[[], T | None], *, every: float = 0.02) -> T:
    """Return what `look` finds as soon as it finds something."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        if time.monotonic() > give_up_at:
            raise TimeoutError("nothing came of it")
        threading.Event().wait(every)
    return found


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Running:
    """A process, and all that it started."""

    process: subprocess.Popen[str]

    @property
    def pid(self) -> int:
        return self.process.pid

    def family(self) -> list[psutil.Process]:
        """Return the process and everything below it."""
        parent = psutil.Process(self.pid)
        return [parent, *parent.children(recursive=True)]

    def child(self, command: str) -> psutil.Process:
        """Return the child that runs a subcommand."""
        children = psutil.Process(self.pid).children()
        return next(each for each in children if command in each.cmdline())

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=PATIENCE_SECONDS)


@dataclass(frozen=True)
class Yard:
    """Starts processes in a directory of one test; whatever is left at its end is killed."""

    directory: Path
    ended: ExitStack

    def start(self, *arguments: object, **environment: str) -> Running:
        """Start a Python process with a program of ours."""
        return self._started([sys.executable, *map(str, arguments)], environment)

    def serve(self, *arguments: object) -> Running:
        """Start a whole server on data of this test."""
        return self.start("-m", "server", "serve", "--data-dir", self.data, *arguments)

    def valkey(self, port: int) -> Running:
        """Start a broker that remembers nothing, and wait until it answers."""
        binary = str(embedded.binary())
        running = self._started([binary, "--port", str(port), "--save", ""], {})
        with redis.Redis(port=port) as client:
            until(lambda: _answers(client))
        return running

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def url(self, server: Running) -> str:
        """Return the address of a server once it answers."""
        file = self.data / "server.json"
        until(lambda: file.exists() or server.process.poll() is not None)
        facts = json.loads(file.read_text(encoding="utf-8"))
        return str(facts["url"])

    def _started(self, command: list[str], environment: dict[str, str]) -> Running:
        process = subprocess.Popen(
            command,
            env={**os.environ, "REDIS_URL": "", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running = Running(process)
        self.ended.callback(_kill, running)
        return running


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.exceptions.ConnectionError:
        return False


def _kill(running: Running) -> None:
    if running.process.poll() is None:
        for each in reversed(running.family()):
            each.kill()
    running.process.communicate(timeout=PATIENCE_SECONDS)
