"""What the record says about all jobs together, for whoever watches the server from outside."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, Self

BOUNDS_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
"""Waits and durations are counted up to each of these, and beyond the last."""


@dataclass(slots=True)
class Distribution:
    """How many took how long.

    Attributes:
        counts: up to each bound, not counting those of smaller ones; the last is beyond all.
        seconds: all together.
    """

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_SECONDS) + 1))
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one; clocks that disagree make no time negative."""
        self.counts[bisect_left(BOUNDS_SECONDS, seconds)] += 1
        self.seconds += max(seconds, 0.0)


class Ending(NamedTuple):
    """What ended jobs have in common; `code` is empty unless they failed."""

    kind: str
    engine: str
    status: str
    code: str


@dataclass(slots=True)
class Tally:
    """What became of the jobs that ended in one way.

    Attributes:
        waits: from submission to the last start.
        durations: from the last start to the ending.
        restarts: starts beyond the first of each.
        device_losses: how often the card was lost under one.
    """

    number: int = 0
    waits: Distribution = field(default_factory=Distribution)
    durations: Distribution = field(default_factory=Distribution)
    restarts: int = 0
    device_losses: int = 0

    def copy(self) -> Self:
        """Return one that can be added to by itself."""
        return type(self)(
            self.number,
            Distribution(list(self.waits.counts), self.waits.seconds),
            Distribution(list(self.durations.counts), self.durations.seconds),
            self.restarts,
            self.device_losses,
        )


@dataclass(frozen=True, slots=True)
class Backlog:
    """Unfinished jobs of one kind and status, and the age of the oldest."""

    kind: str
    status: str
    number: int
    oldest_seconds: float
    restarts: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything at one moment."""

    backlogs: Sequence[Backlog]
    endings: Mapping[Ending, Tally]


class Statistics(Protocol):
    """Counts what the record holds."""

    def read(self) -> Standing:
        """Count. Raises `errors.Unavailable`."""
        ...
