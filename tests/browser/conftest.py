"""A server to talk to, and the JavaScript client that plugins are locked to."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import site as sites
from tests.system.site import Site

CLIENT = "socket.io-client@4.7.4"
INSTALL_SECONDS = 60


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the client; skip where there is no Node, or nowhere to get packages from."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node and npm are not installed")
    folder = tmp_path_factory.mktemp("node")
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)]
    try:
        done = subprocess.run(
            [npm, "install", *options, CLIENT],
            capture_output=True,
            env={**os.environ, "npm_config_fetch_retries": "0"},
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.skip("the registry of npm does not answer")
    if done.returncode != 0:
        pytest.skip("the registry of npm cannot be reached")
    return folder / "node_modules"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, valkey: str) -> Iterator[Site]:
    """Run a server for the tests of a module."""
    with sites.opened(tmp_path_factory.mktemp("site"), valkey) as opened:
        yield opened
