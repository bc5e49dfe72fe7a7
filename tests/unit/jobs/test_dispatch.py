"""The wire carries what may run now, and the next job of an owner as soon as one leaves."""

import pytest

from server import errors
from server.jobs.dispatch import Dispatch
from server.jobs.record import Status
from tests.unit.jobs.workshop import ScriptedKind, Words, Workshop

KIND = ScriptedKind()


def dispatch(workshop: Workshop) -> Dispatch:
    return Dispatch(jobs=workshop.jobs, queue=workshop.line)


def on_the_wire(workshop: Workshop) -> list[str]:
    return [job_id for job_id, _ in workshop.line.held]


def test_one_job_of_an_owner_is_on_the_wire(workshop: Workshop) -> None:
    """A backlog stays in the record; others come right behind the first of it."""
    service = workshop.service()
    adas = [service.submit(KIND, Words(), owner="ada") for _ in range(4)]
    bobs = service.submit(KIND, Words(), owner="bob")

    assert [adas[0].id, bobs.id] == on_the_wire(workshop)
    assert 1 == service.outlook(bobs).ahead


def test_jobs_without_an_owner_are_all_on_the_wire(workshop: Workshop) -> None:
    service = workshop.service()
    jobs = [service.submit(KIND, Words()) for _ in range(4)]

    assert [job.id for job in jobs] == on_the_wire(workshop)


def test_the_end_of_a_job_brings_its_owners_next(workshop: Workshop) -> None:
    """As a worker does it."""
    service, runner = workshop.service(), workshop.runner(on_left=dispatch(workshop).after)
    first, second = (service.submit(KIND, Words(), owner="ada") for _ in range(2))
    runner.run(first.id)

    assert [first.id, second.id] == on_the_wire(workshop)
    runner.run(second.id)
    assert Status.FINISHED is workshop.jobs.get(second.id).status


def test_a_job_is_refused_while_its_owners_other_one_runs(workshop: Workshop) -> None:
    """Also where it came onto the wire all the same; it goes back into the line."""
    workshop.started(owner="ada")
    second = workshop.queued(owner="ada")
    workshop.runner().run(second.id)

    assert (Status.QUEUED, 0) == (workshop.jobs.get(second.id).status, second.attempt)


def test_cancelling_the_one_on_the_wire_brings_the_next(workshop: Workshop) -> None:
    service = workshop.service()
    first, second = (service.submit(KIND, Words(), owner="ada") for _ in range(2))
    service.cancel(first.id)

    assert second.id in on_the_wire(workshop)


def test_a_job_that_is_handed_back_is_handed_out_again_at_once(workshop: Workshop) -> None:
    """It need not wait for a janitor."""
    running = workshop.started(worker="w")
    back = running.handed_back()
    workshop.jobs.update(running, back)
    dispatch(workshop).after(back)

    assert [(back.id, 1)] == workshop.line.held


def test_a_dead_wire_is_found_out_by_who_submits_and_by_nobody_else(workshop: Workshop) -> None:
    """A submission is refused even if it would only wait; what left a worker is told later."""
    service = workshop.service()
    first = service.submit(KIND, Words(), owner="ada")
    workshop.line.is_up = False
    dispatch(workshop).after(first)
    with pytest.raises(errors.WireDown):
        service.submit(KIND, Words(), owner="ada")

    assert [first.id] == [job.id for job in workshop.jobs.waiting()]


def test_a_sweep_hands_over_only_what_may_run(workshop: Workshop) -> None:
    """Whatever the wire forgot, and of each owner no more than its turn."""
    jobs = [workshop.queued(owner=owner) for owner in ("ada", "ada", "bob", None)]
    workshop.janitor().sweep()

    assert [jobs[0].id, jobs[2].id, jobs[3].id] == on_the_wire(workshop)


def test_two_workers_never_run_two_jobs_of_an_owner(workshop: Workshop) -> None:
    """The script of the first job finds no way to start the second."""
    second = workshop.queued(owner="ada")
    inner = workshop.runner()
    seen: list[Status] = []

    def script(_ctx: object) -> None:
        inner.run(second.id)
        seen.append(workshop.jobs.get(second.id).status)

    first = workshop.queued(owner="ada")
    workshop.runner(script).run(first.id)

    assert [Status.QUEUED] == seen
