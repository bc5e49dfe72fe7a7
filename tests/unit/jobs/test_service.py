"""Submitting, looking, waiting and cancelling, also when others are quicker."""

import threading
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from server import errors
from server.jobs.record import Job, Status, now
from tests.unit.jobs.workshop import KEEP, LEASE, ScriptedKind, Words, Workshop

KIND = ScriptedKind()


def test_a_submitted_job_is_recorded_queued_and_told(workshop: Workshop) -> None:
    job = workshop.service().submit(KIND, Words(words="do re mi"), session_id="s", seed=7)

    assert job == workshop.jobs.get(job.id)
    assert ({"words": "do re mi"}, 7) == (job.spec, job.seed)
    assert [(job.id, 0)] == workshop.line.held
    assert ["queued"] == workshop.heard.names


def test_a_full_server_says_so(workshop: Workshop) -> None:
    service = workshop.service(max_waiting=1)
    service.submit(KIND, Words())

    with pytest.raises(errors.QueueFull):
        service.submit(KIND, Words())


def test_a_full_server_says_who_waits_and_when_to_come_back(workshop: Workshop) -> None:
    """From what jobs took, and never longer than a minute."""
    service = workshop.service(max_waiting=1)
    job = workshop.started()
    began = now() - timedelta(seconds=500)
    workshop.jobs.update(job, replace(job.evolved(progress=0.0), started_at=began, progress=0.5))
    service.submit(KIND, Words())
    with pytest.raises(errors.QueueFull) as refused:
        service.submit(KIND, Words())

    assert (1, 60) == (refused.value.position, refused.value.retry_after_seconds)
    assert 1 == service.waiting()


def test_without_history_the_usual_time_is_said(workshop: Workshop) -> None:
    service = workshop.service(max_waiting=1)
    workshop.started()
    service.submit(KIND, Words())
    with pytest.raises(errors.QueueFull) as refused:
        service.submit(KIND, Words())

    assert errors.QueueFull.retry_after_seconds == refused.value.retry_after_seconds


def test_an_owners_first_job_is_taken_whoever_filled_the_queue(workshop: Workshop) -> None:
    """The second is not."""
    service = workshop.service(max_waiting=2)
    for _ in range(2):
        service.submit(KIND, Words(), owner="ada")
    service.submit(KIND, Words(), owner="bob")

    for owner in ("ada", "bob", None):
        with pytest.raises(errors.QueueFull):
            service.submit(KIND, Words(), owner=owner)


ASKED = {"idempotency_key": "ada:once", "request_digest": "sum"}


def test_the_same_request_again_is_the_same_job(workshop: Workshop) -> None:
    """Also where nothing would be taken any more, and in a session that is busy with it."""
    service = workshop.service(max_waiting=1)
    first = service.submit(KIND, Words(), session_id="s", **ASKED)

    assert first == service.submit(KIND, Words(), session_id="s", **ASKED)
    assert ["queued"] == workshop.heard.names


def test_another_request_under_the_same_key_is_refused(workshop: Workshop) -> None:
    service = workshop.service()
    service.submit(KIND, Words(), **ASKED)

    with pytest.raises(errors.KeyReused) as refused:
        service.submit(KIND, Words(), **{**ASKED, "request_digest": "other"})
    assert "Idempotency-Key" == refused.value.field


def test_ten_of_the_same_request_at_once_make_one_job(workshop: Workshop) -> None:
    """Looking first is not enough; all ten get the job that there is."""
    service, together = workshop.service(), threading.Barrier(10)
    found: list[str] = []

    def submit() -> None:
        together.wait()
        found.append(service.submit(KIND, Words(), session_id="s", **ASKED).id)

    threads = [threading.Thread(target=submit) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (10, 1, 1) == (len(found), len(set(found)), service.waiting())


def test_a_request_that_met_a_dead_wire_may_be_sent_again(workshop: Workshop) -> None:
    """It was never a job, so its key is free."""
    service = workshop.service()
    workshop.line.is_up = False
    with pytest.raises(errors.WireDown):
        service.submit(KIND, Words(), **ASKED)
    workshop.line.is_up = True

    assert Status.QUEUED is service.submit(KIND, Words(), **ASKED).status


def test_a_session_has_one_job_at_a_time(workshop: Workshop) -> None:
    service = workshop.service()
    service.submit(KIND, Words(), session_id="s")

    with pytest.raises(errors.Busy):
        service.submit(KIND, Words(), session_id="s")


def test_two_requests_of_a_session_at_once_make_one_job(workshop: Workshop) -> None:
    """Plugins send twice; looking first is not enough."""
    service, together = workshop.service(), threading.Barrier(6)
    refused: list[str] = []

    def submit() -> None:
        together.wait()
        try:
            service.submit(KIND, Words(), session_id="s")
        except errors.Busy as error:
            refused.append(error.code)

    threads = [threading.Thread(target=submit) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (1, 5) == (service.waiting(), len(refused))


def test_a_session_may_go_on_after_its_job_ended(workshop: Workshop) -> None:
    service = workshop.service()
    first = service.submit(KIND, Words(), session_id="s")
    service.cancel(first.id)

    assert service.submit(KIND, Words(), session_id="s").id != first.id


def test_while_the_wire_is_down_nothing_is_left_waiting(workshop: Workshop) -> None:
    workshop.line.is_up = False
    with pytest.raises(errors.WireDown):
        workshop.service().submit(KIND, Words())

    assert [] == list(workshop.jobs.waiting())
    assert ["queued", "cancelled"] == workshop.heard.names


def test_a_job_that_the_wire_took_before_it_broke_is_submitted(workshop: Workshop) -> None:
    """The broker took it, a worker started it, then the answer was lost."""

    def take_and_break(job: Job) -> None:
        workshop.jobs.update(job, job.started(worker="w", lease=LEASE))
        workshop.line.is_up = False

    workshop.line.on_enqueue = take_and_break
    job = workshop.service().submit(KIND, Words())

    assert Status.RUNNING is workshop.jobs.get(job.id).status


def test_positions_count_those_ahead(workshop: Workshop) -> None:
    service = workshop.service()
    jobs = [service.submit(KIND, Words()) for _ in range(3)]
    service.cancel(jobs[0].id)

    assert [0, 1] == [service.outlook(job).ahead for job in jobs[1:]]
    assert service.outlook(service.get(jobs[0].id)).ahead is None


def test_waiting_ends_with_the_job(workshop: Workshop) -> None:
    service = workshop.service()
    job = service.submit(KIND, Words())
    worker = threading.Thread(target=workshop.runner().run, args=(job.id,))
    worker.start()
    done = service.wait(job.id, seconds=30.0)
    worker.join()

    assert Status.FINISHED is done.status


def test_waiting_gives_up_and_the_job_goes_on(workshop: Workshop) -> None:
    service = workshop.service()
    job = service.submit(KIND, Words())

    assert Status.QUEUED is service.wait(job.id, seconds=0.0).status


def test_a_queued_job_is_cancelled_at_once(workshop: Workshop) -> None:
    service = workshop.service()
    job = service.cancel(service.submit(KIND, Words()).id)

    assert Status.CANCELLED is workshop.jobs.get(job.id).status
    assert ["queued", "cancelled"] == workshop.heard.names


def test_a_running_job_is_asked_to_stop(workshop: Workshop) -> None:
    job = workshop.started()

    assert Status.RUNNING is workshop.service().cancel(job.id).status
    assert workshop.jobs.is_cancel_requested(job.id)


def test_cancelling_twice_is_no_error(workshop: Workshop) -> None:
    service = workshop.service()
    job = service.cancel(service.submit(KIND, Words()).id)

    assert job == service.cancel(job.id)


def test_what_has_ended_cannot_be_cancelled(workshop: Workshop) -> None:
    job = workshop.started()
    workshop.jobs.update(job, job.ended(Status.FINISHED, keep=KEEP))

    with pytest.raises(errors.Conflict, match="already finished"):
        workshop.service().cancel(job.id)


def test_a_job_that_starts_while_it_is_cancelled_is_asked_to_stop(workshop: Workshop) -> None:
    """Web and worker write at the same moment; whoever is first, the job is cancelled."""
    service, runner = workshop.service(), workshop.runner(lambda ctx: ctx.report(0.5))
    for _ in range(20):
        job, together = service.submit(KIND, Words()), threading.Barrier(2)

        def start(job: Job = job, together: threading.Barrier = together) -> None:
            together.wait()
            runner.run(job.id)

        worker = threading.Thread(target=start)
        worker.start()
        together.wait()
        with suppress(errors.Conflict):  # it had finished
            service.cancel(job.id)
        worker.join()
        status = workshop.jobs.get(job.id).status

        assert status in {Status.CANCELLED, Status.FINISHED}


def test_an_unknown_job_cannot_be_cancelled(workshop: Workshop) -> None:
    with pytest.raises(errors.NoSuchJob):
        workshop.service().cancel("nobody")


def test_the_newest_job_of_a_session_is_found(workshop: Workshop) -> None:
    service = workshop.service()
    service.cancel(service.submit(KIND, Words(), session_id="s").id)
    second = service.submit(KIND, Words(), session_id="s")

    assert second == service.newest_in_session("s")
    assert service.newest_in_session("other") is None
