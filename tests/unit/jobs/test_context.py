"""What a running job may do, and how it learns that it should stop."""

import threading
from collections.abc import Callable

import pytest

from server import errors
from server.engines.protocols import OnStep
from server.jobs import context as contexts
from server.jobs.context import Context
from server.jobs.events import Event
from server.jobs.record import Role, Status
from tests.unit.jobs.workshop import WORDS, Workshop


@pytest.fixture(autouse=True)
def _every_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contexts, "REPORT_INTERVAL_SECONDS", 0.0)


@pytest.fixture(name="ctx")
def _ctx(workshop: Workshop) -> Context:
    return workshop.context(workshop.started(session_id="s"))


def test_progress_is_recorded_and_told(workshop: Workshop, ctx: Context) -> None:
    ctx.report(0.5, stage="transforming")

    stored = workshop.jobs.get(ctx.job.id)
    assert (0.5, "transforming") == (stored.progress, stored.stage)
    assert ["progress"] == workshop.heard.names


def test_progress_never_goes_back(workshop: Workshop, ctx: Context) -> None:
    ctx.report(0.5)
    ctx.report(0.2)
    ctx.report(0.1, stage="storing")

    assert 0.5 == workshop.jobs.get(ctx.job.id).progress
    assert "storing" == ctx.job.stage


def test_mere_progress_is_recorded_now_and_then(
    workshop: Workshop, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of steps a second are no reason for thousands of writes."""
    monkeypatch.setattr(contexts, "REPORT_INTERVAL_SECONDS", 3600.0)
    ctx.report(0.01, stage="transforming")
    for step in range(2, 100):
        ctx.report(step / 100)

    assert 1 == len(workshop.heard.events)


def test_a_stage_is_a_share_of_the_job(ctx: Context) -> None:
    on_step = ctx.stage("transforming", 0.2, 0.6)
    seen = [ctx.job.progress]
    for done, total in ((1, 4), (2, 4), (9, 4), (0, 0)):
        on_step(done, total)
        seen.append(ctx.job.progress)

    assert [0.2, 0.3, 0.4, 0.6, 0.6] == pytest.approx(seen)


def test_a_cancelled_job_learns_of_it_at_its_next_step(workshop: Workshop, ctx: Context) -> None:
    workshop.jobs.request_cancel(ctx.job.id)

    with pytest.raises(errors.Cancelled):
        ctx.report(0.5)


def test_a_late_job_learns_of_it_at_its_next_step(workshop: Workshop) -> None:
    late = workshop.context(workshop.started(), timeout_seconds=-1.0)

    with pytest.raises(errors.TimedOut):
        late.report(0.5)


@pytest.mark.parametrize(
    "stop", [errors.Cancelled, errors.TimedOut, errors.Interrupted, errors.DeviceLost]
)
def test_no_library_can_swallow_a_stop(stop: type[BaseException]) -> None:
    assert not issubclass(stop, Exception)


def test_what_is_shown_is_in_the_record_while_the_job_runs(
    workshop: Workshop, ctx: Context
) -> None:
    """As news of its own, and without moving the progress."""
    ctx.report(0.5)
    ctx.save(b"rough", name="preview.wav", media_type=WORDS, role=Role.PREVIEW)
    before = workshop.jobs.get(ctx.job.id)
    ctx.show()
    ctx.report(0.6)
    stored = workshop.jobs.get(ctx.job.id)

    assert () == before.outputs
    assert ["preview.wav"] == [output.name for output in stored.outputs]
    assert ["progress", "preview", "progress"] == workshop.heard.names
    assert [0.5, 0.5, 0.6] == [event.job.progress for event in workshop.heard.events]


def test_a_refused_write_leaves_the_job_as_it_was(workshop: Workshop, ctx: Context) -> None:
    """So that its ending is refused as well: somebody else has it."""
    before = ctx.job
    workshop.jobs.update(before, before.handed_back())

    with pytest.raises(errors.Conflict):
        ctx.show()
    assert before == ctx.job


def test_the_engine_is_named_in_the_record(workshop: Workshop, ctx: Context) -> None:
    ctx.engine("auto", "transforms")

    assert "scripted" == workshop.jobs.get(ctx.job.id).engine


def test_an_engine_in_memory_needs_no_warming(workshop: Workshop, ctx: Context) -> None:
    ctx.report(0.5, stage="listening")
    ctx.engine("auto", "transforms")

    assert ("listening", 0.5) == (ctx.job.stage, ctx.job.progress)


def test_a_load_is_a_stage_with_progress(workshop: Workshop) -> None:
    """A small share of it: the work counts the same whether its engine was warm or not."""
    seen = []

    def load(on_step: OnStep) -> None:
        for done, total in ((0, 1), (1, 4), (4, 4)):
            on_step(done, total)
            seen.append(workshop.jobs.get(ctx.job.id))

    ctx = workshop.context(workshop.started(), load=load)
    ctx.report(0.5, stage="reading")
    ctx.engine("auto", "transforms")
    share = contexts.WARMING_SHARE

    assert ["warming"] * 3 == [job.stage for job in seen]
    assert [0.5, 0.5 + share / 4, 0.5 + share] == pytest.approx([job.progress for job in seen])
    assert "scripted" == workshop.jobs.get(ctx.job.id).engine


def test_a_silent_load_is_told_of_again_and_again(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients take a server for dead that says nothing, and a load may take minutes."""
    monkeypatch.setattr(contexts, "HEARTBEAT_SECONDS", 0.001)
    beats = threading.Event()

    def publish(event: Event) -> None:
        workshop.heard.events.append(event)
        if len(workshop.heard.events) > 3:
            beats.set()

    monkeypatch.setattr(workshop.heard, "publish", publish)

    def load(on_step: OnStep) -> None:
        on_step(0, 1)
        assert beats.wait(20)

    ctx = workshop.context(workshop.started(), load=load)
    ctx.engine("auto", "transforms")
    count = len(workshop.heard.events)
    last = workshop.heard.events[-1]
    versions = [event.job.version for event in workshop.heard.events]

    assert {"warming"} == {event.job.stage for event in workshop.heard.events}
    assert {"progress"} == set(workshop.heard.names)
    assert sorted(versions) == versions
    assert (count, "scripted") == (len(workshop.heard.events), last.job.engine)


def test_a_load_can_be_cancelled_between_its_steps(workshop: Workshop) -> None:
    steps = []

    def load(on_step: OnStep) -> None:
        for done in range(4):
            on_step(done, 4)
            steps.append(done)
            workshop.jobs.request_cancel(ctx.job.id)

    ctx = workshop.context(workshop.started(), load=load)
    with pytest.raises(errors.Cancelled):
        ctx.engine("auto", "transforms")

    assert [0] == steps


def test_what_is_saved_can_be_read_and_belongs_to_the_job(ctx: Context) -> None:
    artifact = ctx.save(b"sound", name="a.wav", media_type=WORDS)

    assert b"sound" == ctx.read(artifact.id)
    assert [("a.wav", artifact.id)] == [(o.name, o.artifact_id) for o in ctx.job.outputs]


def test_saving_a_name_again_replaces_the_output(ctx: Context) -> None:
    ctx.save(b"one", name="a.wav", media_type=WORDS)
    second = ctx.save(b"two", name="a.wav", media_type=WORDS)

    assert [second.id] == [output.artifact_id for output in ctx.job.outputs]


def test_a_session_remembers_input_and_result(workshop: Workshop, ctx: Context) -> None:
    ctx.remember(last_input="in", last_processed="out")

    session = workshop.sessions.find("s")
    assert session is not None
    assert ("in", "out", "in") == (
        session.last_input,
        session.last_processed,
        session.transform_input,
    )


def test_a_job_without_session_remembers_nothing(workshop: Workshop) -> None:
    workshop.context(workshop.started()).remember(last_input="in", last_processed="out")

    assert workshop.sessions.find("s") is None


def test_the_conclusion_waits_for_the_ending(workshop: Workshop, ctx: Context) -> None:
    ctx.conclude(seed=7, report={"kept": 1}, recipe={"kind": "scripted"})

    assert (7, {"kept": 1}) == (ctx.job.seed, ctx.job.report)
    assert workshop.jobs.get(ctx.job.id).report is None


def _take_away(workshop: Workshop, ctx: Context) -> None:
    job = workshop.jobs.get(ctx.job.id)
    workshop.jobs.update(job, job.handed_back())


def _end(workshop: Workshop, ctx: Context) -> None:
    job = workshop.jobs.get(ctx.job.id)
    workshop.jobs.update(job, job.moved(Status.FAILED))


@pytest.mark.parametrize("meanwhile", [_take_away, _end])
def test_who_lost_the_job_cannot_write_it(
    workshop: Workshop, ctx: Context, meanwhile: Callable[[Workshop, Context], None]
) -> None:
    meanwhile(workshop, ctx)

    with pytest.raises(errors.Conflict):
        ctx.report(0.9, stage="storing")
