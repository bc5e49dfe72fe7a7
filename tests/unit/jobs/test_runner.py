"""Every way a job can end, and who may write it down."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from server import errors
from server.jobs.context import Context
from server.jobs.record import Job, Role, Status, now
from tests.unit.jobs.workshop import KEEP, LEASE, WORDS, Workshop


def _run(workshop: Workshop, script: Callable[[Context], None]) -> Job:
    job = workshop.queued()
    workshop.runner(script).run(job.id)
    return workshop.jobs.get(job.id)


def _raising(error: BaseException) -> Callable[[Context], None]:
    def script(ctx: Context) -> None:
        raise error

    return script


def _until(is_true: Callable[[], bool]) -> None:
    for _ in range(2000):
        if is_true():
            return
        threading.Event().wait(0.01)
    raise TimeoutError("nothing came of it")


def test_a_job_runs_to_its_end(workshop: Workshop) -> None:
    def script(ctx: Context) -> None:
        ctx.report(0.4, stage="transforming")
        ctx.save(b"sound", name="a.wav", media_type=WORDS)
        ctx.conclude(seed=7, report={"kept": True}, recipe={"seed": 7})

    done = _run(workshop, script)

    assert (Status.FINISHED, 1.0, 1, 7) == (done.status, done.progress, done.attempt, done.seed)
    assert ["started", "progress", "finished"] == workshop.heard.names
    assert b"sound" == workshop.artifacts.read(done.outputs[0].artifact_id)


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (errors.EngineFailed("It is silent."), "engine_failed", "It is silent."),
        (errors.UnreadableAudio(), "unreadable_audio", "The audio could not be read."),
        (errors.StorageFailed(), "storage", "The result could not be stored."),
        (MemoryError(), "out_of_memory", "There was not enough memory for this."),
        (KeyError("/etc/secret"), "internal", "Something went wrong on the server."),
    ],
)
def test_a_failure_has_a_code_and_a_sentence(
    workshop: Workshop, raised: Exception, code: str, message: str
) -> None:
    failed = _run(workshop, _raising(raised))

    assert failed.error is not None
    assert (Status.FAILED, code, message) == (
        failed.status,
        failed.error.code,
        failed.error.message,
    )


def test_an_unknown_kind_fails_like_any_defect(workshop: Workshop) -> None:
    job = Job(kind="of the future", spec={})
    workshop.jobs.add(job)
    workshop.runner().run(job.id)

    assert Status.FAILED is workshop.jobs.get(job.id).status


def test_a_cancelled_job_stops_at_its_next_step(workshop: Workshop) -> None:
    def script(ctx: Context) -> None:
        workshop.jobs.request_cancel(ctx.job.id)
        ctx.report(0.5)
        pytest.fail("went on after it was cancelled")

    assert Status.CANCELLED is _run(workshop, script).status
    assert "cancelled" == workshop.heard.names[-1]


def test_a_job_past_its_deadline_fails(workshop: Workshop) -> None:
    job = workshop.queued()
    workshop.runner(lambda ctx: ctx.report(0.5), timeout_seconds=-1.0).run(job.id)
    failed = workshop.jobs.get(job.id)

    assert failed.error is not None
    assert "timed_out" == failed.error.code


class Guard:
    """Keeps what gives a job up."""

    def __init__(self) -> None:
        self.give_up: Callable[[], None] = lambda: None

    def __call__(self, give_up: Callable[[], None]) -> AbstractContextManager[object]:
        self.give_up = give_up
        return nullcontext()


def test_a_job_that_never_comes_back_is_ended_by_its_guard(workshop: Workshop) -> None:
    """From another thread; what its own would write, should it wake up, is thrown away."""
    guard, job = Guard(), workshop.queued()

    def script(ctx: Context) -> None:
        guard.give_up()
        ctx.save(b"late", name="a.wav", media_type=WORDS)

    replace(workshop.runner(script), guard=guard).run(job.id)
    failed = workshop.jobs.get(job.id)

    assert failed.error is not None
    assert (Status.FAILED, "timed_out", ()) == (failed.status, failed.error.code, failed.outputs)
    assert ["started", "failed"] == workshop.heard.names


def test_a_guard_that_comes_too_late_changes_nothing(workshop: Workshop) -> None:
    guard, job = Guard(), workshop.queued()
    replace(workshop.runner(), guard=guard).run(job.id)
    done = workshop.jobs.get(job.id)
    guard.give_up()

    assert done == workshop.jobs.get(job.id)


def test_a_worker_that_stops_hands_its_job_back(workshop: Workshop) -> None:
    job = workshop.queued()
    workshop.runner(lambda ctx: ctx.report(0.5), is_stopping=lambda: True).run(job.id)
    waiting = workshop.jobs.get(job.id)

    assert (Status.QUEUED, 1, None) == (waiting.status, waiting.attempt, waiting.worker)
    assert ["started", "restarted"] == workshop.heard.names


def test_a_job_whose_card_is_lost_is_handed_back_once(workshop: Workshop) -> None:
    """Whoever starts it next is told of every loss; a second one is its ending."""
    lost: list[int] = []
    job = workshop.queued()
    runner = workshop.runner(_raising(errors.DeviceLost()), on_device_lost=lambda: lost.append(1))
    runner.run(job.id)
    waiting = workshop.jobs.get(job.id)
    runner.run(job.id)
    failed = workshop.jobs.get(job.id)

    assert (Status.QUEUED, 1, None) == (waiting.status, waiting.device_losses, waiting.worker)
    assert failed.error is not None
    assert (Status.FAILED, 2, "engine_failed") == (
        failed.status,
        failed.device_losses,
        failed.error.code,
    )
    assert "fault of the server" in failed.error.message
    assert ["started", "restarted", "started", "failed"] == workshop.heard.names
    assert [1, 1] == lost


def test_a_lost_card_is_a_failure_where_no_other_process_takes_over(workshop: Workshop) -> None:
    """As in a command that plays one file."""
    failed = _run(workshop, _raising(errors.DeviceLost()))

    assert failed.error is not None
    assert (Status.FAILED, "engine_failed") == (failed.status, failed.error.code)


def test_a_job_that_is_not_queued_is_left_alone(workshop: Workshop) -> None:
    job = workshop.started()
    workshop.runner(_raising(AssertionError("ran"))).run(job.id)

    assert job == workshop.jobs.get(job.id)
    assert [] == workshop.heard.events


def test_one_of_two_workers_gets_the_job(workshop: Workshop) -> None:
    """Both read it as queued; only the first to write starts it."""
    job = workshop.queued()
    ran: list[str] = []
    runner = workshop.runner(lambda ctx: ran.append(ctx.job.id))
    together = threading.Barrier(2)

    def compete() -> None:
        together.wait()
        runner.run(job.id)

    threads = [threading.Thread(target=compete) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [job.id] == ran


def test_a_result_that_comes_too_late_is_thrown_away(workshop: Workshop) -> None:
    """The janitor gave the job to somebody else; one job has one result."""
    stored: list[str] = []

    def script(ctx: Context) -> None:
        stored.append(ctx.save(b"late", name="a.wav", media_type=WORDS).id)
        job = workshop.jobs.get(ctx.job.id)
        workshop.jobs.update(job, job.handed_back())

    after = _run(workshop, script)

    assert (Status.QUEUED, ()) == (after.status, after.outputs)
    with pytest.raises(errors.NoSuchArtifact):
        workshop.artifacts.get(stored[0])


def _previewing(stop: errors.Stop) -> Callable[[Context], None]:
    """Return a script that lets something be heard, and is stopped then."""

    def script(ctx: Context) -> None:
        ctx.save(b"rough", name="preview.wav", media_type=WORDS, role=Role.PREVIEW)
        ctx.show()
        raise stop

    return script


def test_a_cancelled_job_keeps_its_preview(workshop: Workshop) -> None:
    """It may be what made somebody cancel."""
    (preview,) = _run(workshop, _previewing(errors.Cancelled())).outputs

    assert b"rough" == workshop.artifacts.read(preview.artifact_id)


def test_a_job_handed_back_leaves_no_preview(workshop: Workshop) -> None:
    """The next attempt makes its own."""
    after = _run(workshop, _previewing(errors.Interrupted()))
    (shown,) = (event.job.outputs for event in workshop.heard.events if event.name == "preview")

    assert (Status.QUEUED, ()) == (after.status, after.outputs)
    with pytest.raises(errors.NotFound):
        workshop.artifacts.get(shown[0].artifact_id)


def test_a_long_step_keeps_its_lease(workshop: Workshop) -> None:
    """A step longer than the lease is no dead worker."""
    short = timedelta(milliseconds=80)

    def script(ctx: Context) -> None:
        first = workshop.jobs.get(ctx.job.id).lease_expires_at
        _until(lambda: workshop.jobs.get(ctx.job.id).lease_expires_at != first)

    job = workshop.queued()
    workshop.runner(script, lease=short).run(job.id)

    assert Status.FINISHED is workshop.jobs.get(job.id).status


def _rename(workshop: Workshop, old: str, new: str) -> None:
    with workshop.database.transaction() as connection:
        connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))


def test_a_lease_outlives_a_database_that_was_away(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    def script(ctx: Context) -> None:
        first = workshop.jobs.get(ctx.job.id).lease_expires_at
        _rename(workshop, "jobs", "hidden")
        _until(lambda: "lease could not be renewed" in caplog.text)
        _rename(workshop, "hidden", "jobs")
        _until(lambda: workshop.jobs.get(ctx.job.id).lease_expires_at != first)

    job = workshop.queued()
    workshop.runner(script, lease=timedelta(milliseconds=200)).run(job.id)

    assert Status.FINISHED is workshop.jobs.get(job.id).status


def test_progress_does_not_shorten_a_renewed_lease(workshop: Workshop) -> None:
    """The runner writes the record it started with; the lease thread has moved on since."""
    job = workshop.started(lease=timedelta(seconds=1))
    later = now() + LEASE
    workshop.jobs.extend_lease(job.id, str(job.worker), later)
    workshop.jobs.update(job, job.evolved(progress=0.5))

    assert later == workshop.jobs.get(job.id).lease_expires_at


def test_a_lease_that_was_lost_is_not_renewed(workshop: Workshop) -> None:
    job = workshop.started()
    workshop.jobs.update(job, job.handed_back())

    assert not workshop.jobs.extend_lease(job.id, str(job.worker), now() + LEASE)


def test_an_unknown_job_is_an_error(workshop: Workshop) -> None:
    with pytest.raises(errors.NoSuchJob):
        workshop.runner().run("nobody")


def test_the_ending_says_how_long_results_live(workshop: Workshop) -> None:
    done = _run(workshop, lambda ctx: None)

    assert done.ended_at is not None
    assert done.ended_at + KEEP == done.expires_at
