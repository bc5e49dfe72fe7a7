"""Does a piece of work in ever smaller ways until it fits the memory.

A ladder has rungs in order, each a way to the same result; what did not fit is tried on the next.
It remembers for a while which rung was too large for which size, so that the next piece of work
does not fail there first.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from server import errors
from server.engines.hardware.faults import Shortage, shortage_of

log = logging.getLogger(__name__)

T = TypeVar("T")

REMEMBERED_SECONDS = 900.0
"""After this long a rung that was too large is tried again: memory may have become free."""

SIMILAR = 0.9
"""Work of this share of a size that did not fit is expected not to fit either."""


@dataclass(frozen=True, slots=True)
class Rung(Generic[T]):
    """One way to do the work; `name` is for logs and reports."""

    name: str
    work: Callable[[], T]


@dataclass(frozen=True, slots=True)
class Climbed(Generic[T]):
    """What came out, the rung it came from, and those that were too large just now."""

    value: T
    rung: str
    failed: tuple[str, ...] = ()


class Ladder:
    """Remembers, for one kind of work in one process, what did not fit."""

    def __init__(
        self,
        what: str,
        *,
        release: Callable[[], None],
        free_mb: Callable[[], float | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Name the work, and take what frees unused memory and what measures the free."""
        self._what = what
        self._release = release
        self._free_mb = free_mb
        self._clock = clock
        self._too_large: dict[str, tuple[float, float]] = {}

    def climb(self, rungs: Sequence[Rung[T]], *, size: float) -> Climbed[T]:
        """Do the work on the first rung that it fits; the last is always tried.

        Only a lack of memory leads on to the next rung; everything else passes through.

        Raises:
            errors.OutOfMemory: not even the last rung was small enough.
        """
        failed: list[str] = []
        shortage = Shortage()
        for position, rung in enumerate(rungs):
            is_last = position == len(rungs) - 1
            if not is_last and self._is_too_large(rung.name, size):
                continue
            outcome = self._attempt(rung)
            if not isinstance(outcome, Shortage):
                return Climbed(outcome.value, outcome.rung, tuple(failed))
            # only out here: while an error is handled, it holds the tensors of every frame it left
            self._release()
            shortage = outcome
            failed.append(rung.name)
            self._remember(rung.name, size)
            log.warning("%s did not fit on rung %s: %s", self._what, rung.name, shortage)
        raise errors.OutOfMemory(f"There was not enough memory for this: {shortage}.")

    def forget(self) -> None:
        """Begin with the first rung again."""
        self._too_large.clear()

    def _attempt(self, rung: Rung[T]) -> Climbed[T] | Shortage:
        try:
            return Climbed(rung.work(), rung.name)
        except (MemoryError, RuntimeError) as error:
            shortage = shortage_of(error)
            if shortage is None:
                raise
        free = self._free_mb() if shortage.free_mb is None else shortage.free_mb
        return Shortage(needed_mb=shortage.needed_mb, free_mb=free)

    def _remember(self, name: str, size: float) -> None:
        smallest = min(size, self._too_large.get(name, (size, 0.0))[0])
        self._too_large[name] = (smallest, self._clock())

    def _is_too_large(self, name: str, size: float) -> bool:
        if name not in self._too_large:
            return False
        smallest, at = self._too_large[name]
        if self._clock() - at > REMEMBERED_SECONDS:
            del self._too_large[name]
            return False
        return size >= SIMILAR * smallest
