"""Children and threads: started, looked after, ended."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping

import pytest

from server import errors
from server.adapters import children, crew, http_server
from server.adapters.crew import Crew, Member
from server.adapters.repeated import Repeated

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]

_STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""


def _until(is_true: Callable[[], bool], *, seconds: float = 20.0) -> None:
    give_up_at = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < give_up_at
        threading.Event().wait(0.01)


def test_something_is_repeated_until_the_end() -> None:
    done, often = [], threading.Event()

    def act() -> None:
        done.append(1)
        if len(done) >= 3:
            often.set()

    with Repeated(act, seconds=0.001, farewell=lambda: done.append(0)):
        assert often.wait(20)
    count = len(done)

    assert (0, count) == (done[-1], len(done))


def test_what_fails_now_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    tried, often = [], threading.Event()

    def act() -> None:
        tried.append(1)
        if len(tried) >= 3:
            often.set()
        raise errors.Unavailable

    with Repeated(act, seconds=0.001):
        assert often.wait(20)

    assert "will be tried again" in caplog.text


def test_a_child_ends_when_asked() -> None:
    child = children.start(SLEEP)
    children.end(child, seconds=20.0)
    children.end(child, seconds=20.0)

    assert -15 == child.returncode


def test_a_stubborn_child_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", _STUBBORN], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        children.end(child, seconds=0.2)

    assert -9 == child.returncode


def _member(command: list[str], environment: Mapping[str, str] | None = None) -> Member:
    return Member(name="child", command=command, environment=environment or {})


def test_a_child_that_died_is_started_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(crew, "FIRST_DELAY_SECONDS", 0.0)
    member = _member(SLEEP)
    all_of_them = Crew([member])
    all_of_them.look_after()
    first = member.process
    assert first is not None
    first.kill()
    first.wait()
    _until(lambda: all_of_them.look_after() or member.process not in {None, first})  # type: ignore[func-returns-value]
    all_of_them.end()

    assert "ended with code -9" in caplog.text
    assert member.process is not None
    assert member.process.poll() is not None


def test_a_child_that_keeps_dying_is_started_ever_more_slowly() -> None:
    member = _member(["false"])
    delays = []
    for _ in range(7):
        member._started_at = 0.0
        member._delay, delay = 0.0, member._delay
        member.look_after()
        member._delay = delay
        assert member.process is not None
        member.process.wait()
        member.look_after()
        delays.append(member._delay)

    assert [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0] == delays


def test_a_child_that_asks_for_a_fresh_start_gets_it_at_once_but_not_twice_running() -> None:
    """The first time costs nobody any time; what fails again has to wait like everybody."""
    member, is_back = _member([]), []
    for code in (crew.FRESH_START, crew.FRESH_START, 1, crew.FRESH_START):
        member.command = [sys.executable, "-c", f"raise SystemExit({code})"]
        member._delay = 0.0
        member.look_after()
        assert member.process is not None
        member.process.wait()
        member.command = SLEEP
        member.look_after()
        is_back.append(member.process is not None)
        Crew([member]).end()
        member.process = None

    assert [True, False, False, True] == is_back


def test_a_taken_port_is_an_error_and_zero_is_any() -> None:
    with http_server.listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            http_server.listen("127.0.0.1", port)

        assert listener.get_inheritable()


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_addresses_may_be_of_either_kind() -> None:
    with http_server.listen("::1", 0) as listener:
        assert socket.AF_INET6 == listener.family
