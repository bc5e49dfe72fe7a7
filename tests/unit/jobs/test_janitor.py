"""What crashes and restarts leave behind is put right, by any number of janitors."""

from datetime import timedelta

import pytest

from server import errors
from server.jobs.ports import Session
from server.jobs.record import Role, Status, now
from tests.unit.jobs.workshop import KEEP, WORDS, Workshop, names

GONE = timedelta(seconds=-1)
"""A lease that has run out."""


def test_a_job_of_a_dead_worker_waits_again(workshop: Workshop) -> None:
    job = workshop.started(lease=GONE)
    workshop.janitor().sweep()
    after = workshop.jobs.get(job.id)

    assert (Status.QUEUED, 1) == (after.status, after.attempt)
    assert ["restarted"] == workshop.heard.names
    assert [(job.id, 1)] == workshop.line.held


def test_what_a_dead_worker_let_be_heard_goes_with_it(workshop: Workshop) -> None:
    """The next attempt makes its own preview."""
    ctx = workshop.context(workshop.started(lease=GONE))
    preview = ctx.save(b"rough", name="preview.wav", media_type=WORDS, role=Role.PREVIEW)
    ctx.show()
    workshop.janitor().sweep()

    assert () == workshop.jobs.get(ctx.job.id).outputs
    with pytest.raises(errors.NotFound):
        workshop.artifacts.get(preview.id)


def test_a_job_of_a_live_worker_is_left_alone(workshop: Workshop) -> None:
    job = workshop.started()
    workshop.janitor().sweep()

    assert job == workshop.jobs.get(job.id)


def test_a_job_that_kills_its_workers_fails_in_the_end(workshop: Workshop) -> None:
    job = workshop.started(lease=GONE)
    workshop.janitor(max_attempts=1).sweep()
    failed = workshop.jobs.get(job.id)

    assert failed.error is not None
    assert (Status.FAILED, "worker_lost") == (failed.status, failed.error.code)


def test_two_janitors_take_a_job_back_once(workshop: Workshop) -> None:
    job = workshop.started(lease=GONE)
    stale = workshop.jobs.abandoned(now())
    workshop.janitor().sweep()
    workshop.janitor()._take_back(stale[0])

    assert ["restarted"] == workshop.heard.names
    assert 2 == workshop.jobs.get(job.id).version


def test_jobs_that_the_wire_forgot_are_handed_to_it_again(workshop: Workshop) -> None:
    job = workshop.queued()
    workshop.janitor().sweep()
    workshop.janitor().sweep()

    assert [(job.id, 0)] == workshop.line.held


def test_while_the_wire_is_down_jobs_keep_waiting(workshop: Workshop) -> None:
    job = workshop.started(lease=GONE)
    workshop.line.is_up = False
    workshop.janitor().sweep()

    assert [job.id] == names(workshop.jobs.waiting())


def test_expired_sounds_are_removed_and_others_kept(workshop: Workshop) -> None:
    old = workshop.artifacts.save(b"old", name="a", media_type=WORDS, expires_at=now())
    new = workshop.artifacts.save(b"new", name="b", media_type=WORDS)
    workshop.janitor().sweep()

    assert [] == list(workshop.artifacts.expired(now()))
    assert b"new" == workshop.artifacts.read(new.id)
    with pytest.raises(errors.Expired):
        workshop.artifacts.get(old.id)


def test_sessions_outlive_their_sounds_and_are_then_forgotten(workshop: Workshop) -> None:
    ages = {"used": timedelta(0), "just kept": KEEP, "unused": KEEP + timedelta(hours=1, seconds=1)}
    for name, age in ages.items():
        workshop.sessions.put(Session(id=name, updated_at=now() - age))
    workshop.janitor().sweep()

    assert ["used", "just kept"] == [name for name in ages if workshop.sessions.find(name)]
