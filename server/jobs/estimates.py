"""How long jobs take and wait, judged by what the last ones took. Nothing is ever made up.

Where there is no history there is no estimate. A job's own speed is that of the last finished ones
of its kind on its engine: a median of seconds for a second of source, or of seconds alone where no
length is known. Positions count everybody's jobs; that workers may differ is left out of them.
"""

import heapq
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from server.jobs.ports import JobStore, Took
from server.jobs.record import Job, Status, now

LAST = 20
"""How many finished jobs are asked."""

FRESH_SECONDS = 5.0
"""How long an answer of the record is believed."""

TELLING_PROGRESS = 0.1
"""From here on a running job's own progress says more than the history of others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What lies before an unfinished job; seconds are None where there is no history.

    Attributes:
        ahead: how many queued jobs go first; None once it runs.
        total: how many are queued.
        wait_seconds: until it begins.
        eta_seconds: until it ends.
    """

    ahead: int | None
    total: int
    wait_seconds: float | None
    eta_seconds: float | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would become of a job that came now; seconds are None where there is no history."""

    seconds: float | None
    wait_seconds: float | None
    engine: str | None


NOTHING = Outlook(ahead=None, total=0, wait_seconds=None, eta_seconds=None)
"""Before a job that has ended."""


def _nobody_knows(_job: Job) -> None:
    """Be the expectation where nothing is known of workers."""


class Estimates:
    """Looks ahead for jobs."""

    def __init__(
        self,
        jobs: JobStore,
        *,
        expected: Callable[[Job], str | None] = _nobody_knows,
        lanes: Callable[[], int] = lambda: 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the record, who would do a job, how many jobs run at once, and a clock."""
        self._jobs = jobs
        self._expected = expected
        self._lanes = lanes
        self._clock = clock
        self._known: dict[tuple[str, str | None], tuple[float, Sequence[Took]]] = {}

    def engine(self, job: Job) -> str | None:
        """Return who does a job, or would do it as workers are now; None if nobody."""
        return job.engine or self._expected(job)

    def seconds(self, job: Job) -> float | None:
        """Return how long a job takes from its start, None without history."""
        history = self._history(job.kind, self.engine(job))
        if job.source_seconds:
            speeds = [took.seconds / took.source_seconds for took in history if took.source_seconds]
            if speeds:
                return median(speeds) * job.source_seconds
        return median(took.seconds for took in history) if history else None

    def outlook(self, job: Job) -> Outlook:
        """Return what lies before a job."""
        if job.status is Status.RUNNING:
            left = _known(self._left(job))
            return Outlook(ahead=None, total=0, wait_seconds=None, eta_seconds=left)
        if job.status is not Status.QUEUED:
            return NOTHING
        return next((outlook for each, outlook in self.line() if each.id == job.id), NOTHING)

    def line(self) -> Sequence[tuple[Job, Outlook]]:
        """Return every queued job with what lies before it, in the order of their turns."""
        waiting = self._jobs.waiting()
        free_at = self._free_at()
        found = []
        for ahead, job in enumerate(waiting):
            wait = free_at[0]
            end = wait + _or_never(self.seconds(job))
            heapq.heapreplace(free_at, end)
            outlook = Outlook(
                ahead=ahead,
                total=len(waiting),
                wait_seconds=_known(wait),
                eta_seconds=_known(end),
            )
            found.append((job, outlook))
        return found

    def forecast(self, job: Job) -> Forecast:
        """Return what would become of a job if it came now."""
        free_at = self._free_at()
        for each in self._jobs.waiting():
            heapq.heapreplace(free_at, free_at[0] + _or_never(self.seconds(each)))
        seconds = _known(_or_never(self.seconds(job)))
        return Forecast(seconds, _known(free_at[0]), self.engine(job))

    def wait_for_a_place(self) -> float | None:
        """Return in how many seconds the first of those who wait begins, None if nobody knows."""
        return _known(self._free_at()[0])

    def _free_at(self) -> list[float]:
        """Return in how many seconds each worker takes another job: a heap."""
        busy = [self._left(job) for job in self._jobs.running()]
        free_at = busy + [0.0] * max(0, max(self._lanes(), 1) - len(busy))
        heapq.heapify(free_at)
        return free_at

    def _left(self, job: Job) -> float:
        """Return the seconds until a running job ends; infinite if nobody knows."""
        began = job.started_at or now()
        gone = (now() - began).total_seconds()
        if job.progress >= TELLING_PROGRESS:
            return max(0.0, gone / job.progress - gone)
        return max(0.0, _or_never(self.seconds(job)) - gone)

    def _history(self, kind: str, engine: str | None) -> Sequence[Took]:
        asked_at, took = self._known.get((kind, engine), (-math.inf, ()))
        if not took or self._clock() - asked_at > FRESH_SECONDS:
            took = self._jobs.took(kind, engine, most=LAST)
            self._known[kind, engine] = (self._clock(), took)
        return took


def _or_never(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds


def _known(seconds: float) -> float | None:
    return None if math.isinf(seconds) else round(seconds, 1)
