"""What plugins read of a job."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import errors
from server.jobs.estimates import Outlook
from server.jobs.record import Job, JobError, Status
from server.web.plugin import acts, wording

KEEP = timedelta(hours=1)
QUEUED = Job(kind="transform", spec={}, session_id="daw")
WARMING = QUEUED.started(worker="w", lease=KEEP)
PROCESSING = WARMING.evolved(stage="transforming", progress=0.426)
FINISHED = PROCESSING.ended(Status.FINISHED, keep=KEEP, progress=1.0)
FAILED = PROCESSING.ended(Status.FAILED, keep=KEEP, error=JobError("x", "No music was heard."))
CANCELLED = QUEUED.ended(Status.CANCELLED, keep=KEEP)
JOBS = (QUEUED, WARMING, PROCESSING, FINISHED, FAILED, CANCELLED)


@pytest.mark.parametrize(
    ("job", "state"),
    [
        (QUEUED, "queued"),
        (WARMING, "warming"),
        (PROCESSING, "processing"),
        (FINISHED, "completed"),
        (FAILED, "failed"),
        (CANCELLED, "failed"),
    ],
)
def test_every_job_has_a_state_and_a_sentence(job: Job, state: str) -> None:
    """Never empty: plugins give up on an empty one."""
    status = wording.queue_status(job)

    assert state == status["status"] == wording.state_of(job)
    assert status["message"]
    assert "daw" == status["session_id"]


def test_only_a_finished_job_is_at_a_hundred() -> None:
    """Whole percents, cut and not rounded."""
    nearly = replace(PROCESSING, progress=1.0)

    assert [0, 0, 42, 100, 42, 0] == [wording.percent(job) for job in JOBS]
    assert 99 == wording.percent(nearly)


def test_a_place_in_the_queue_counts_from_one() -> None:
    """With an estimate of the wait; a running job has neither."""
    before_it = Outlook(ahead=2, total=4, wait_seconds=30.0, eta_seconds=44.2)
    third = wording.queue_status(QUEUED, before_it)
    running = wording.queue_status(WARMING)

    assert (3, 4, 45) == (third["position"], third["total_queued"], third["estimated_seconds"])
    assert "about 45 seconds" == third["estimated_time"]
    assert (0, 0, None) == (
        running["position"],
        running["estimated_seconds"],
        running["estimated_time"],
    )


def test_without_history_nothing_is_estimated() -> None:
    """Null and 0, and the sentence leaves it out."""
    third = wording.queue_status(
        QUEUED, Outlook(ahead=2, total=4, wait_seconds=None, eta_seconds=None)
    )

    assert (None, 0) == (third["estimated_time"], third["estimated_seconds"])
    assert "You are number 3 in the queue." == third["message"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "about 0 seconds"),
        (1, "about 1 second"),
        (45, "about 45 seconds"),
        (60, "about 1 minute"),
        (65, "about 1 minute and 5 seconds"),
        (121, "about 2 minutes and 1 second"),
    ],
)
def test_a_wait_is_told_in_words(seconds: int, words: str) -> None:
    """As people say it."""
    assert words == wording.duration(seconds)


@given(st.text(), st.sampled_from(wording.WARM_UP_WORDS), st.text())
def test_no_final_message_sounds_like_a_warm_up(before: str, word: str, after: str) -> None:
    """In any case and place."""
    for message in (before + word + after, before + word.upper() + after):
        final = wording.final(message).lower()

        assert not any(each in final for each in wording.WARM_UP_WORDS)


def test_other_messages_stay_as_they_are() -> None:
    """The negative control."""
    assert "No music was heard." == wording.final("No music was heard.")


def test_none_of_our_own_messages_has_to_be_hidden() -> None:
    """Every default message of an error may be told as it is."""
    pending = [errors.MelodyflowError]
    while pending:
        kind = pending.pop()
        pending.extend(kind.__subclasses__())

        assert kind().message == wording.final(kind().message)


def test_every_ending_without_a_result_has_a_reason() -> None:
    """Also when nobody wrote one."""
    assert JobError("x", "No music was heard.") == wording.error_of(FAILED)
    assert JobError("cancelled", "The job was cancelled.") == wording.error_of(CANCELLED)


def test_a_busy_session_is_said_as_clients_know_it() -> None:
    """Other errors keep their words."""
    assert "Transform already in progress" == wording.sentence(errors.Busy())
    assert acts.CONTINUE.busy == wording.sentence(errors.Busy(acts.CONTINUE.busy))
    assert errors.TooLong().message == wording.sentence(errors.TooLong())


@pytest.mark.parametrize("act", acts.ACTS, ids=lambda act: act.name)
def test_nothing_that_is_said_of_an_act_sounds_like_a_warm_up(act: acts.Act) -> None:
    """Neither that it was taken, nor that it is under way, nor that it is in the way."""
    for words in (act.begun, act.doing, act.busy):
        assert words == wording.final(words)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("model", "model_name"), ("prompt", "description"), ("source", "audio_data"), ("seed",) * 2],
)
def test_fields_are_named_as_clients_sent_them(ours: str, theirs: str) -> None:
    """One that has the same name in both worlds keeps it."""
    assert theirs == wording.field_of(errors.InvalidInput(field=ours))
