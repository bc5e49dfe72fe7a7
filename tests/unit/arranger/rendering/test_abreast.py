"""Work side by side: in order, told of by the caller, and ended early where nobody waits."""

import threading
import time
from collections.abc import Callable

import pytest

from server.engines.arranger.abreast import AT_ONCE, in_order

_STEP_SECONDS = 0.02


def nothing() -> None:
    """Take news and do nothing with them."""


def slow(result: int, running: list[int], most: list[int]) -> Callable[[], int]:
    """Return work that takes the longer the earlier it is in line, and notes who runs beside it."""

    def work() -> int:
        running.append(result)
        most.append(len(running))
        time.sleep(_STEP_SECONDS * (6 - result))
        running.remove(result)
        return result

    return work


def test_results_come_in_the_order_of_the_work_and_few_run_at_once() -> None:
    running: list[int] = []
    most: list[int] = []
    pieces = [slow(number, running, most) for number in range(6)]

    assert [0, 1, 2, 3, 4, 5] == list(in_order(pieces, tell=nothing, abandon=nothing))
    assert AT_ONCE == max(most)


def test_only_the_callers_thread_is_asked_to_tell() -> None:
    tellers: set[int] = set()
    pieces = [slow(number, [], []) for number in range(3)]
    list(
        in_order(pieces, tell=lambda: tellers.add(threading.get_ident()), abandon=nothing),
    )

    assert {threading.get_ident()} == tellers


class Enough(BaseException):
    """What a caller raises who wants no more."""


def test_who_is_told_may_stop_the_work_and_pieces_that_run_are_asked_to_end() -> None:
    asked = threading.Event()
    begun: list[int] = []

    def endless(number: int) -> None:
        begun.append(number)
        asked.wait(10.0)

    def stop() -> None:
        raise Enough

    pieces = [lambda number=number: endless(number) for number in range(20)]
    with pytest.raises(Enough):
        list(in_order(pieces, tell=stop, abandon=asked.set))
    assert asked.is_set()
    assert len(begun) <= AT_ONCE


def test_a_piece_that_fails_ends_the_others_and_is_heard_of() -> None:
    asked = threading.Event()

    def fails() -> None:
        raise ValueError("a damaged recording")

    def waits() -> None:
        asked.wait(10.0)

    with pytest.raises(ValueError, match="a damaged recording"):
        list(in_order([fails, waits], tell=nothing, abandon=asked.set))
    assert asked.is_set()
