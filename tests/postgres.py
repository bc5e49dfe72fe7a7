"""A PostgreSQL of our own for the tests that want one."""

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_BINARIES = ("/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin")


@contextmanager
def server() -> Iterator[str]:
    """Run one in a temporary directory and yield its URL; skip where that cannot be."""
    binaries, user = _binaries(), _user()
    directory = Path(tempfile.mkdtemp(prefix="melodyflow-postgres-"))
    try:
        if user is not None:
            shutil.chown(directory, user)
        _as(user, binaries / "initdb", "-D", directory, "-U", "tester", "-A", "trust", "--no-sync")
        port = _free_port()
        options = f"-p {port} -k {directory} -c listen_addresses=127.0.0.1 -c fsync=off"
        _as(user, binaries / "pg_ctl", "-D", directory, "-w", "-o", options, "start")
        try:
            yield f"postgres://tester@127.0.0.1:{port}/postgres"
        finally:
            _as(user, binaries / "pg_ctl", "-D", directory, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _binaries() -> Path:
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed: the extra `postgres` brings it")
    for pattern in _BINARIES:
        for folder in sorted(Path("/").glob(pattern[1:]), reverse=True):
            if (folder / "initdb").exists():
                return folder
    pytest.skip("there is no PostgreSQL on this machine")


def _user() -> str | None:
    """Return whom to run it as: PostgreSQL refuses to be run by root."""
    if os.getuid() != 0:
        return None
    if "postgres" not in {entry.pw_name for entry in pwd.getpwall()}:
        pytest.skip("PostgreSQL cannot be run by root, and there is no user for it")
    return "postgres"


def _as(user: str | None, *command: object) -> None:
    subprocess.run(
        [str(part) for part in command],
        user=user,
        check=True,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=60,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
