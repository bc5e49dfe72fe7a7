"""A worker whose job never comes back is ended and started again; nobody waits for it for ever."""

import sys
import time
from collections.abc import Callable, Iterator

import pytest

from server.adapters.crew import Crew
from server.jobs.record import Job, Status
from tests.system import works as all_works
from tests.system.processes import Yard, until
from tests.system.works import Figure, Works

TIMEOUT_SECONDS = 1
STUCK_SECONDS = 0.5


@pytest.fixture(name="works")
def _works(yard: Yard, valkey_url: str) -> Iterator[Works]:
    limits = {"job_timeout_seconds": TIMEOUT_SECONDS, "stuck_seconds": STUCK_SECONDS}
    with all_works.opened(yard, valkey_url, **limits, max_attempts=1) as opened:
        yield opened


class Kept:
    """A worker with somebody who starts it again."""

    def __init__(self, works: Works) -> None:
        """Take the works; it is started with the first look."""
        self._works = works
        self.crew = Crew([works.member([sys.executable])])

    def started(self, job: Job) -> Job:
        """Return a job once somebody runs it."""
        return until(lambda: self._seen(job, lambda now: now.status is not Status.QUEUED))

    def ended(self, job: Job) -> Job:
        """Return a job once it has ended."""
        return until(lambda: self._seen(job, lambda now: now.status.is_final))

    def _seen(self, job: Job, is_so: Callable[[Job], bool]) -> Job | None:
        self.crew.look_after()
        now = self._works.service.get(job.id)
        return now if is_so(now) else None


@pytest.fixture(name="kept")
def _kept(works: Works) -> Iterator[Kept]:
    kept = Kept(works)
    yield kept
    kept.crew.end()


@pytest.mark.parametrize(
    ("way", "code"), [("asleep", "timed_out"), ("holding", "worker_lost")], ids=["asleep", "deaf"]
)
def test_a_stuck_worker_ends_and_another_goes_on(
    works: Works, kept: Kept, way: str, code: str, figure: Figure
) -> None:
    """Where threads have turns the job is ended in the record first; else its lease runs out."""
    stuck = works.submit(way=way)
    works.let_go()
    kept.started(stuck)
    began = time.monotonic()
    failed = kept.ended(stuck)
    figure(f"stuck, {way}: from start to ending", time.monotonic() - began)
    done = kept.ended(works.submit())
    workers = {mark.name.split("-")[1] for mark in works.marks.iterdir()}

    assert failed.error is not None
    assert (Status.FAILED, code, 1) == (failed.status, failed.error.code, failed.attempt)
    assert (Status.FINISHED, [b"1"]) == (done.status, works.results(done))
    assert 2 == len(workers)
