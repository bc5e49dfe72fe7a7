"""What the record says about all jobs together, in SQLite and in PostgreSQL alike."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from server.adapters import statistics
from server.adapters.database import Database
from server.adapters.job_store import SqlJobs
from server.adapters.statistics import SqlStatistics
from server.adapters.tables import jobs as table
from server.jobs.record import Job, JobError, Status, now
from server.jobs.statistics import BOUNDS_SECONDS, Ending

LONG_AGO = timedelta(hours=1)


@pytest.fixture(name="jobs")
def _jobs(record: Database) -> SqlJobs:
    return SqlJobs(record)


def keep(
    jobs: SqlJobs, *, ago: timedelta = LONG_AGO, wait: float = 3, took: float = 40, **facts: Any
) -> Job:
    """Keep a job that ended some time ago, after it waited and worked for so many seconds."""
    ended = now() - ago
    started = ended - timedelta(seconds=took)
    job = Job(
        kind="transform",
        spec={},
        **{
            "status": Status.FINISHED,
            "engine": "arranger",
            "attempt": 1,
            "created_at": started - timedelta(seconds=wait),
            "started_at": started,
            "ended_at": ended,
            **facts,
        },
    )
    jobs.add(job)
    return job


FINISHED = Ending("transform", "arranger", "finished", "")


def test_endings_are_counted_with_their_times(jobs: SqlJobs, record: Database) -> None:
    """Old ones and fresh ones together, each once, however often one looks."""
    counted = SqlStatistics(record)
    keep(jobs)
    keep(jobs, ago=timedelta(0), wait=7, took=0.2)
    for _ in range(3):
        tally = counted.read().endings[FINISHED]
        waits = dict(zip((*BOUNDS_SECONDS, None), tally.waits.counts, strict=True))
        durations = dict(zip((*BOUNDS_SECONDS, None), tally.durations.counts, strict=True))

        assert (2, 0, 0) == (tally.number, tally.restarts, tally.device_losses)
        assert {5: 1, 10: 1} == {bound: number for bound, number in waits.items() if number}
        assert {0.25: 1, 60: 1} == {bound: number for bound, number in durations.items() if number}
        assert pytest.approx(10, abs=0.01) == tally.waits.seconds
        assert pytest.approx(40.2, abs=0.01) == tally.durations.seconds


def test_what_ends_between_two_looks_is_added(jobs: SqlJobs, record: Database) -> None:
    counted = SqlStatistics(record)
    counted.read()
    keep(jobs, ago=timedelta(0))

    assert 1 == counted.read().endings[FINISHED].number


def test_a_new_process_counts_the_same(jobs: SqlJobs, record: Database) -> None:
    keep(jobs)
    first = SqlStatistics(record)
    first.read()

    assert first.read() == SqlStatistics(record).read()


def test_what_the_record_forgets_stays_counted(jobs: SqlJobs, record: Database) -> None:
    """A counter never falls."""
    counted = SqlStatistics(record)
    keep(jobs)
    counted.read()
    with record.transaction() as connection:
        connection.execute(delete(table))

    assert 1 == counted.read().endings[FINISHED].number


def test_failures_are_told_apart(jobs: SqlJobs, record: Database) -> None:
    """By their codes, with what was tried."""
    lost = JobError("worker_lost", "It died.")
    keep(jobs, status=Status.FAILED, error=lost, attempt=3, device_losses=1)
    keep(jobs, status=Status.FAILED, error=JobError("storage", "No room."))
    endings = SqlStatistics(record).read().endings
    tally = endings[Ending("transform", "arranger", "failed", "worker_lost")]

    assert (1, 2, 1) == (tally.number, tally.restarts, tally.device_losses)
    assert Ending("transform", "arranger", "failed", "storage") in endings


def test_a_job_that_never_started_took_no_time(jobs: SqlJobs, record: Database) -> None:
    """Cancelled while it waited: it is counted, and in no distribution."""
    keep(jobs, status=Status.CANCELLED, engine=None, attempt=0, started_at=None)
    tally = SqlStatistics(record).read().endings[Ending("transform", "", "cancelled", "")]

    assert 1 == tally.number
    assert 0 == sum(tally.waits.counts) == sum(tally.durations.counts)


def test_unfinished_jobs_are_told_by_kind(jobs: SqlJobs, record: Database) -> None:
    """With the age of the oldest."""
    oldest = now() - timedelta(seconds=50)
    for created_at in (oldest, now()):
        jobs.add(Job(kind="transform", spec={}, created_at=created_at))
    running = replace(Job(kind="transform", spec={}), status=Status.RUNNING, attempt=3)
    jobs.add(running)
    standing = SqlStatistics(record).read()
    backlogs = {each.status: each for each in standing.backlogs}

    assert (2, 0) == (backlogs["queued"].number, backlogs["queued"].restarts)
    assert pytest.approx(50, abs=5) == backlogs["queued"].oldest_seconds
    assert (1, 2) == (backlogs["running"].number, backlogs["running"].restarts)
    assert not standing.endings


def test_an_ending_that_is_written_late_is_counted(jobs: SqlJobs, record: Database) -> None:
    """It carries the time before the write, which waits for others."""
    counted = SqlStatistics(record)
    counted.read()
    keep(jobs, ago=statistics.SETTLED / 2)

    assert 1 == counted.read().endings[FINISHED].number
