"""What ends a process whose job never comes back; with real processes in tests/system."""

import os
import threading
from typing import NoReturn

import pytest

from server import errors
from server.adapters import crew
from server.adapters.watchdog import Watchdog

FOREVER_SECONDS = 60.0


class Left:
    """Where `os._exit` would lead to."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.said: list[str] = []
        self.is_gone = threading.Event()

    def exit(self, code: int) -> None:
        """Note the code instead of leaving."""
        self.code = code
        self.is_gone.set()

    def farewell(self) -> None:
        """Note what is done last."""
        self.said.append("farewell")


@pytest.fixture(name="left")
def _left(monkeypatch: pytest.MonkeyPatch) -> Left:
    left = Left()
    monkeypatch.setattr(os, "_exit", left.exit)
    monkeypatch.setattr("logging.shutdown", lambda: None)
    return left


def _watchdog(left: Left) -> Watchdog:
    # the second watcher is not to be fooled: it must be far away
    return Watchdog(timeout_seconds=-29.95, stuck_seconds=30.0, farewell=left.farewell)


def test_a_job_that_does_not_come_back_is_given_up_and_the_process_left(left: Left) -> None:
    with _watchdog(left).guard(lambda: left.said.append("given up")):
        assert left.is_gone.wait(FOREVER_SECONDS)

    assert (crew.FRESH_START, ["given up", "farewell"]) == (left.code, left.said)


def test_the_process_is_left_even_where_the_record_cannot_be_reached(left: Left) -> None:
    def give_up() -> NoReturn:
        raise errors.Unavailable

    with _watchdog(left).guard(give_up):
        assert left.is_gone.wait(FOREVER_SECONDS)

    assert ["farewell"] == left.said


def test_a_job_that_comes_back_in_time_is_left_alone(left: Left) -> None:
    watchdog = Watchdog(timeout_seconds=FOREVER_SECONDS, stuck_seconds=FOREVER_SECONDS)
    with watchdog.guard(lambda: left.said.append("given up")):
        watching = next(each for each in threading.enumerate() if each.name == "watchdog")
    watching.join()

    assert ([], None) == (left.said, left.code)
