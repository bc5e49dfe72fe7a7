"""A running server for what the documents promise."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from server.cli.client import Client, await_ready

START_SECONDS = 60.0


@pytest.fixture(name="server_url", scope="package")
def _server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run `serve` on a free port with nothing but its own data."""
    data = tmp_path_factory.mktemp("server")
    unset = {"REDIS_URL", "DATABASE_URL"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    process = subprocess.Popen(
        [sys.executable, "-m", "server", "serve", "--port", "0", "--data-dir", str(data)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "MelodyFlow is at" in process.stdout.readline()
        yield str(json.loads((data / "server.json").read_text(encoding="utf-8"))["url"])
    finally:
        process.terminate()
        process.communicate(timeout=START_SECONDS)


@pytest.fixture(name="ready_url", scope="package")
def _ready_url(server_url: str) -> str:
    """The same server, once a worker is there."""
    assert await_ready(Client(server_url), seconds=START_SECONDS, is_alive=lambda: True)
    return server_url
