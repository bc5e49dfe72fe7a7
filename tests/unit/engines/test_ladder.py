"""Work that does not fit the memory is done in a smaller way."""

import logging
from collections.abc import Callable

import pytest
import torch

from server import errors
from server.engines.hardware.faults import Shortage, is_fatal, shortage_of
from server.engines.hardware.ladder import REMEMBERED_SECONDS, Ladder, Rung

TORCH_SAYS = (
    "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 79.15 GiB of "
    "which 512.00 MiB is free. Process 4242 has 78.60 GiB memory in use."
)


class Card:
    """Raises torch's error for work above a size, and counts what is asked of it."""

    def __init__(self, room: float) -> None:
        self.room = room
        self.tried: list[str] = []
        self.releases = 0
        self.now = 0.0

    def rungs(self, size: float, *, shares: tuple[float, ...] = (1, 0.5, 0.1)) -> list[Rung[str]]:
        return [Rung(f"rung {n}", self._work(n, size * s)) for n, s in enumerate(shares)]

    def ladder(self) -> Ladder:
        return Ladder("decode", release=self._release, clock=lambda: self.now)

    def _work(self, number: int, needed: float) -> Callable[[], str]:
        def work() -> str:
            self.tried.append(f"rung {number}")
            if needed > self.room:
                raise torch.OutOfMemoryError(TORCH_SAYS)
            return f"done on {number}"

        return work

    def _release(self) -> None:
        self.releases += 1


@pytest.mark.parametrize(("room", "rung"), [(100, 0), (60, 1), (20, 2)])
def test_the_first_rung_that_fits_does_the_work(room: float, rung: int) -> None:
    card = Card(room)

    climbed = card.ladder().climb(card.rungs(100), size=100)

    assert (f"done on {rung}", f"rung {rung}") == (climbed.value, climbed.rung)
    assert tuple(f"rung {n}" for n in range(rung)) == climbed.failed
    assert rung == card.releases


def test_every_rung_that_fails_is_logged_with_what_was_missing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    card = Card(60)

    with caplog.at_level(logging.WARNING):
        card.ladder().climb(card.rungs(100), size=100)

    assert ["decode did not fit on rung rung 0: 2560 MB needed, 512 MB free"] == caplog.messages


def test_below_the_last_rung_the_error_says_what_was_missing() -> None:
    card = Card(1)

    with pytest.raises(errors.OutOfMemory, match="2560 MB needed, 512 MB free"):
        card.ladder().climb(card.rungs(100), size=100)

    assert 3 == card.releases


def test_work_of_a_similar_size_begins_where_the_last_one_ended() -> None:
    card = Card(60)
    ladder = card.ladder()
    ladder.climb(card.rungs(100), size=100)
    card.tried.clear()

    ladder.climb(card.rungs(95), size=95)
    ladder.climb(card.rungs(55), size=55)

    assert ["rung 1", "rung 0"] == card.tried


@pytest.mark.parametrize("how", ["a while passes", "it is told to forget"])
def test_what_did_not_fit_is_forgotten_when(how: str) -> None:
    card = Card(60)
    ladder = card.ladder()
    ladder.climb(card.rungs(100), size=100)
    card.room = 1000

    if how == "a while passes":
        card.now += REMEMBERED_SECONDS + 1
    else:
        ladder.forget()

    assert "rung 0" == ladder.climb(card.rungs(100), size=100).rung


def test_the_last_rung_is_tried_even_if_it_failed_before() -> None:
    card = Card(1)
    ladder = card.ladder()
    with pytest.raises(errors.OutOfMemory):
        ladder.climb(card.rungs(100), size=100)
    card.room = 60

    assert "rung 2" == ladder.climb(card.rungs(100), size=100).rung


@pytest.mark.parametrize(
    "error", [errors.Cancelled(), errors.EngineFailed("no sound"), RuntimeError("shape mismatch")]
)
def test_other_errors_pass_through_untouched(error: BaseException) -> None:
    card = Card(100)

    def work() -> str:
        raise error

    with pytest.raises(type(error)) as caught:
        card.ladder().climb([Rung("first", work), *card.rungs(1)], size=1)

    assert error is caught.value
    assert [] == card.tried


def test_nothing_of_the_failed_attempt_is_alive_when_memory_is_released() -> None:
    class Tensor:
        alive = 0

        def __init__(self) -> None:
            Tensor.alive += 1

        def __del__(self) -> None:
            Tensor.alive -= 1

    seen = []

    def work() -> str:
        held = Tensor()
        raise torch.OutOfMemoryError(f"{TORCH_SAYS} {held.alive}")

    ladder = Ladder("decode", release=lambda: seen.append(Tensor.alive))
    ladder.climb([Rung("large", work), Rung("small", lambda: "done")], size=1)

    assert [0] == seen


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError(TORCH_SAYS), Shortage(needed_mb=2560.0, free_mb=512.0)),
        (MemoryError(), Shortage()),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate "
                "memory: you tried to allocate 1048576 bytes. Error code 12"
            ),
            Shortage(needed_mb=1.0),
        ),
        (RuntimeError("CUDA error: out of memory"), Shortage()),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
            Shortage(),
        ),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), None),
        (ValueError("out of memory"), None),
    ],
)
def test_what_was_missing_is_read_from_the_message(
    error: BaseException, expected: Shortage | None
) -> None:
    assert expected == shortage_of(error)


@pytest.mark.parametrize(
    ("error", "is_poison"),
    [
        (RuntimeError("CUDA error: an illegal memory access was encountered"), True),
        (RuntimeError("CUDA error: device-side assert triggered"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling cublasSgemm"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"), True),
        (torch.AcceleratorError("CUDA error: unspecified launch failure"), True),
        (torch.OutOfMemoryError(TORCH_SAYS), False),
        (RuntimeError("CUDA error: out of memory"), False),
        (RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), False),
        (ValueError("CUDA error"), False),
        (errors.Cancelled(), False),
    ],
)
def test_an_error_that_poisons_the_card_is_told_from_others(
    error: BaseException, *, is_poison: bool
) -> None:
    assert is_poison is is_fatal(error)


def test_a_real_lack_of_memory_is_recognised() -> None:
    ladder = Ladder("encode", release=lambda: None)
    rungs = [
        Rung("absurd", lambda: torch.empty(2**46)),
        Rung("sensible", lambda: torch.empty(4)),
    ]

    assert "sensible" == ladder.climb(rungs, size=1).rung
