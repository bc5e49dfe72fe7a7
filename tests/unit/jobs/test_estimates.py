"""What is estimated comes from what jobs took; without that nothing is."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.adapters.tables import events
from server.adapters.tables import jobs as table
from server.jobs.estimates import FRESH_SECONDS, NOTHING, Estimates
from server.jobs.record import Job, Status, now
from tests.unit.jobs.workshop import KEEP, LEASE, Workshop


def took(workshop: Workshop, seconds: float, *, engine: str = "arranger", **facts: object) -> None:
    """Record a finished job that took so long."""
    job = workshop.queued(**facts)
    done = replace(job.started(worker="w", lease=LEASE), version=0)
    done = replace(done.ended(Status.FINISHED, keep=KEEP), engine=engine)
    ended = now()
    workshop.jobs.update(
        job, replace(done, started_at=ended - timedelta(seconds=seconds), ended_at=ended)
    )


def running(workshop: Workshop, *, since: float, progress: float = 0.0) -> Job:
    """Record a job that began so many seconds ago."""
    job = workshop.started(owner=None)
    began = now() - timedelta(seconds=since)
    after = replace(job.evolved(progress=progress), started_at=began)
    workshop.jobs.update(job, after)
    return after


def test_without_history_nothing_is_made_up(workshop: Workshop) -> None:
    """A place there is all the same."""
    jobs = [workshop.queued() for _ in range(2)]
    outlook = Estimates(workshop.jobs).outlook(jobs[1])

    assert (1, 2) == (outlook.ahead, outlook.total)
    assert outlook.eta_seconds is None
    assert Estimates(workshop.jobs).seconds(jobs[0]) is None


def test_a_job_takes_the_median_of_the_last_ones(workshop: Workshop) -> None:
    """One that stood still for an hour does not count for much."""
    for seconds in (4.0, 6.0, 3600.0):
        took(workshop, seconds)

    assert 6.0 == Estimates(workshop.jobs).seconds(workshop.queued())


def test_twice_as_long_a_source_takes_twice_as_long(workshop: Workshop) -> None:
    """Where lengths are known; else by seconds alone."""
    took(workshop, 3.0, source_seconds=10.0)
    took(workshop, 6.0, source_seconds=20.0)
    estimates = Estimates(workshop.jobs)

    assert 12.0 == pytest.approx(estimates.seconds(workshop.queued(source_seconds=40.0)))
    assert 4.5 == estimates.seconds(workshop.queued())


def test_each_engine_has_its_own_history(workshop: Workshop) -> None:
    """That of the one that would do the job as workers are now."""
    took(workshop, 2.0, engine="arranger")
    took(workshop, 90.0, engine="melodyflow")
    job = workshop.queued()

    assert 90.0 == Estimates(workshop.jobs, expected=lambda _: "melodyflow").seconds(job)
    assert 2.0 == Estimates(workshop.jobs, expected=lambda _: "arranger").seconds(job)
    assert Estimates(workshop.jobs, expected=lambda _: "of the future").seconds(job) is None


def test_only_finished_jobs_count(workshop: Workshop) -> None:
    """A job that was cancelled at once says nothing of how long others take."""
    took(workshop, 8.0)
    job = workshop.started()
    workshop.jobs.update(job, job.ended(Status.CANCELLED, keep=KEEP))

    assert 8.0 == Estimates(workshop.jobs).seconds(workshop.queued())


@pytest.mark.parametrize(("workers", "waits"), [(1, [6.0, 16.0, 26.0]), (2, [0.0, 6.0, 10.0])])
def test_those_who_wait_share_the_workers(
    workshop: Workshop, workers: int, waits: list[float]
) -> None:
    """Ten seconds each; one began four seconds ago."""
    took(workshop, 10.0)
    running(workshop, since=4.0)
    for _ in range(3):
        workshop.queued()
    line = Estimates(workshop.jobs, lanes=lambda: workers).line()

    assert waits == pytest.approx([each.wait_seconds for _, each in line], abs=0.5)
    assert [each + 10.0 for each in waits] == pytest.approx(
        [each.eta_seconds for _, each in line], abs=0.5
    )


def test_a_running_jobs_own_progress_says_more_than_others(workshop: Workshop) -> None:
    """Half done after thirty seconds is thirty more, whatever others took."""
    took(workshop, 1.0)
    estimates = Estimates(workshop.jobs)
    half = estimates.outlook(running(workshop, since=30.0, progress=0.5))
    late = estimates.outlook(running(workshop, since=30.0, progress=0.01))

    assert half.eta_seconds == pytest.approx(30.0, abs=0.5)
    assert (None, 0.0) == (half.ahead, late.eta_seconds)


def test_before_an_ended_job_lies_nothing(workshop: Workshop) -> None:
    job = workshop.started()
    assert NOTHING == Estimates(workshop.jobs).outlook(job.ended(Status.CANCELLED, keep=KEEP))


def test_a_new_job_would_wait_for_all_that_wait(workshop: Workshop) -> None:
    """The forecast leaves no trace."""
    took(workshop, 5.0)
    workshop.queued()
    forecast = Estimates(workshop.jobs, expected=lambda _: "arranger").forecast(
        Job(kind="scripted", spec={})
    )

    assert (5.0, 5.0, "arranger") == (forecast.seconds, forecast.wait_seconds, forecast.engine)
    assert 1 == workshop.jobs.count_waiting()


def test_the_record_is_asked_every_few_seconds_only(workshop: Workshop) -> None:
    """What was found holds for that long; that nothing was found does not."""
    at = [0.0]
    estimates, job = Estimates(workshop.jobs, clock=lambda: at[0]), workshop.queued()
    before = estimates.seconds(job)
    took(workshop, 4.0)
    first = estimates.seconds(job)
    took(workshop, 8.0)
    soon, at[0] = estimates.seconds(job), FRESH_SECONDS + 1
    later = estimates.seconds(job)

    assert (None, 4.0, 4.0, 6.0) == (before, first, soon, later)


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=5), st.integers(1, 3), st.integers(0, 6))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_nobody_is_said_to_begin_before_those_ahead(
    workshop: Workshop, seconds: list[float], workers: int, count: int
) -> None:
    """Whatever jobs took and however many work."""
    with workshop.database.transaction() as connection:
        connection.execute(events.delete())
        connection.execute(table.delete())
    for each in seconds:
        took(workshop, each)
    for _ in range(count):
        workshop.queued()
    line = Estimates(workshop.jobs, lanes=lambda: workers).line()
    waits = [each.wait_seconds or 0.0 for _, each in line]

    assert list(range(count)) == [each.ahead for _, each in line]
    assert sorted(waits) == waits
    assert [0.0] * min(workers, count) == waits[:workers]
