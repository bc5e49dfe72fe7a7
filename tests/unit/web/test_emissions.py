"""What clients are sent when a job changes."""

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.adapters.artifacts import StoredArtifacts, open_store
from server.adapters.database import Database
from server.adapters.job_store import SqlJobs
from server.jobs.estimates import NOTHING, Estimates
from server.jobs.events import Emission, Event, EventName, event_of
from server.jobs.record import Job, JobError, Output, Role, Status, now
from server.media import codec
from server.media.clip import Clip
from server.web import emissions
from server.web.plugin import acts

KEEP = timedelta(hours=1)
JOB = Job(kind="transform", spec={"variation": "celtic"}, session_id="daw")
WAV = codec.encode(Clip(np.full((1, 100), 0.25, np.float32), 8000), "wav")


class Desk:
    """A translator over a real record, with a clock of its own."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.jobs = SqlJobs(database)
        self.artifacts = StoredArtifacts(open_store(None, folder), database, keep=KEEP)
        self.seconds = 0.0
        self.estimates = Estimates(self.jobs)
        self.tell = emissions.Legacy(self.artifacts, self.estimates, clock=lambda: self.seconds)

    def told(self, before: Job | None, after: Job) -> list[Emission]:
        """Return what is sent for a change."""
        return list(self.tell(event_of(before, after)))

    def done(self, job: Job, data: bytes = WAV) -> Job:
        """Return a job with a result."""
        artifact = self.artifacts.save(data, name="transformed.wav", media_type="audio/wav")
        job = job.with_output(Output("transformed.wav", artifact.id))
        return job.ended(Status.FINISHED, keep=KEEP, progress=1.0)


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    """Return a translator that has told nothing yet."""
    return Desk(database, tmp_path / "sounds")


def names(told: list[Emission]) -> list[str]:
    return [each.name for each in told]


def payloads(told: list[Emission], name: str) -> list[dict[str, Any]]:
    return [dict(each.payload) for each in told if each.name == name]


def started(job: Job = JOB) -> Job:
    return job.started(worker="w", lease=KEEP)


def test_a_queued_job_is_confirmed_and_has_a_place(desk: Desk) -> None:
    """In this order, to the session's room."""
    desk.jobs.add(JOB)
    told = desk.told(None, JOB)

    assert ["transform_audio_received", "queue_status", "queue_position"] == names(told)
    assert {"daw"} == {each.room for each in told}
    assert [{"position": 1, "session_id": "daw"}] == payloads(told, "queue_position")


def test_a_job_handed_back_is_not_confirmed_again(desk: Desk) -> None:
    """It just waits once more, from the beginning."""
    desk.jobs.add(JOB)

    assert ["queue_status", "queue_position", "progress_update", "progress"] == names(
        desk.told(started(), started().handed_back())
    )


def test_progress_is_told_twice_a_second_at_most(desk: Desk) -> None:
    """What comes too soon is left out; the next one has it."""
    job = started()
    desk.told(JOB, job)
    percents = []
    for tenth in range(1, 11):
        desk.seconds = tenth / 10
        told = desk.told(job, job.evolved(stage="transforming", progress=tenth / 20))
        percents += [each["progress"] for each in payloads(told, "progress_update")]

    assert [25, 50] == percents


def test_the_same_percent_is_not_told_twice(desk: Desk) -> None:
    """However much time passes."""
    job = started().evolved(stage="transforming", progress=0.301)
    desk.told(JOB, job)
    desk.seconds = 10

    assert [] == desk.told(job, job.evolved(progress=0.302))


def test_a_long_load_is_told_of_again(desk: Desk) -> None:
    """Whoever hears nothing gives up; the same heartbeat is no news once the job is at work."""
    warming = started()
    desk.told(JOB, warming)
    told = []
    for seconds in (0.4, 2.0, 2.4, 4.0):
        desk.seconds = seconds
        told.append(names(list(desk.tell(Event(EventName.PROGRESS, warming)))))
    working = warming.evolved(stage="transforming")
    desk.told(warming, working)
    desk.seconds = 6.0

    assert [[], ["queue_status"], [], ["queue_status"]] == told
    assert [] == list(desk.tell(Event(EventName.PROGRESS, working)))


def test_a_change_of_state_is_told_at_once(desk: Desk) -> None:
    """Warming to processing, without waiting for progress to be due."""
    desk.told(JOB, started())
    told = desk.told(started(), started().evolved(stage="reading"))

    assert ["processing"] == [each["status"] for each in payloads(told, "queue_status")]
    assert ["queue_status"] == names(told)


def test_a_second_attempt_begins_anew(desk: Desk) -> None:
    """At 0, said once; then it is as far as it is, though the first was further."""
    job = started().evolved(stage="transforming", progress=0.5)
    desk.told(JOB, job)
    again = job.handed_back()
    told = desk.told(job, again)
    second = again.started(worker="w", lease=KEEP)
    for seconds, after in ((10, second), (20, second.evolved(stage="x", progress=0.25))):
        desk.seconds = seconds
        told += desk.told(again, after)

    assert [0, 25] == [each["progress"] for each in payloads(told, "progress_update")]


@given(st.lists(st.floats(0, 1), max_size=20), st.lists(st.floats(0, 2), min_size=20, max_size=20))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_progress_is_monotone_whatever_happens(
    desk: Desk, steps: list[float], waits: list[float]
) -> None:
    """Any steps at any times; the end is 100 and comes once."""
    job = Job(kind="transform", spec={"variation": "celtic"}, session_id="daw")
    told = desk.told(None, job) + desk.told(job, started(job))
    for progress, wait in zip(steps, waits, strict=False):
        desk.seconds += wait
        told += desk.told(started(job), started(job).evolved(stage="x", progress=progress))
    told += desk.told(started(job), desk.done(started(job)))
    percents = [each["progress"] for each in payloads(told, "progress_update")]

    assert sorted(set(percents)) == percents
    assert 100 == percents[-1]


def test_a_result_comes_with_its_names(desk: Desk) -> None:
    """Progress 100 first, then the audio, then the older names."""
    told = desk.told(started(), desk.done(started()))

    assert [
        "progress_update",
        "progress",
        "audio_transformed",
        "transform_complete",
        "job_complete",
    ] == names(told)
    assert [{"status": "success", "session_id": "daw"}] == payloads(told, "transform_complete")


def test_a_lost_result_is_an_error(desk: Desk) -> None:
    """Somebody deleted it before it was told of."""
    job = desk.done(started())
    desk.artifacts.delete(job.outputs[0].artifact_id)

    assert ["no_such_artifact"] == [
        each["code"] for each in payloads(desk.told(started(), job), "error")
    ]


ENDINGS: dict[str, Callable[[Job], Job]] = {
    "failed": lambda job: job.ended(Status.FAILED, keep=KEEP, error=JobError("x", "Sorry.")),
    "cancelled": lambda job: job.ended(Status.CANCELLED, keep=KEEP),
}


@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS)
def test_every_other_ending_is_an_error_with_a_message(
    desk: Desk, end: Callable[[Job], Job]
) -> None:
    """Under the three names."""
    told = desk.told(started(), end(started()))

    assert ["error", "transform_error", "job_failed"] == names(told)
    assert all(each["message"] for each in payloads(told, "error"))


@pytest.mark.parametrize(
    "job",
    [
        Job(kind="transform", spec={"variation": "celtic"}),
        Job(kind="something newer", spec={}, session_id="daw"),
    ],
    ids=["no session", "another kind"],
)
def test_other_jobs_are_told_to_no_session(desk: Desk, job: Job) -> None:
    """Neither at the beginning nor at the end."""
    desk.jobs.add(job)

    assert [] == desk.told(None, job)
    assert [] == desk.told(started(job), started(job).ended(Status.CANCELLED, keep=KEEP))


def test_who_waits_is_told_when_another_starts(desk: Desk) -> None:
    """Each in its own room, and only those with a session."""
    waiting = [
        Job(kind="transform", spec={"variation": "celtic"}, session_id=each)
        for each in ("one", None, "three")
    ]
    for each in waiting:
        desk.jobs.add(each)
    told = desk.told(JOB, started())
    places = {each.room: each.payload["position"] for each in told if each.name == "queue_position"}

    assert {"one": 1, "three": 3} == places


def test_followers_get_the_view_of_every_change(desk: Desk) -> None:
    """In the room of the job, with its place while it waits."""
    desk.jobs.add(JOB)
    translate = emissions.translators(desk.artifacts, desk.estimates)[0]
    waiting, running = (
        next(iter(translate(event)))
        for event in (Event(EventName.QUEUED, JOB), Event(EventName.STARTED, started()))
    )

    assert f"job:{JOB.id}" == waiting.room == running.room
    assert [0, None] == [waiting.payload["position"], running.payload["position"]]
    assert ["queued", "running"] == [waiting.payload["status"], running.payload["status"]]


def previewed(desk: Desk) -> tuple[Job, Job]:
    """Return a running job before and after it has something to be heard."""
    running = started().evolved(stage="transforming", progress=0.5)
    artifact = desk.artifacts.save(b"rough", name="preview.wav", media_type="audio/wav")
    output = Output("preview.wav", artifact.id, Role.PREVIEW)
    return running, running.with_output(output).evolved()


def test_followers_are_told_of_a_preview_by_itself(desk: Desk) -> None:
    """After the view, which shows it as well."""
    translate = emissions.translators(desk.artifacts, desk.estimates)[0]
    view, preview = translate(event_of(*previewed(desk)))

    assert ("job", "preview") == (view.name, preview.name)
    assert f"job:{JOB.id}" == preview.room
    assert view.payload["artifacts"] == preview.payload["artifacts"]
    assert ("preview.wav", "preview") == (
        preview.payload["artifacts"][0]["name"],
        preview.payload["artifacts"][0]["role"],
    )


def test_followers_are_told_that_a_job_begins_anew(desk: Desk) -> None:
    """By a message of its own, before the view that is back at 0."""
    desk.jobs.add(JOB)
    translate = emissions.translators(desk.artifacts, desk.estimates)[0]
    lost = started().evolved(progress=0.5)
    restarted, view = translate(event_of(lost, lost.handed_back()))

    assert ("restarted", "job") == (restarted.name, view.name)
    assert {"job_id": JOB.id, "version": 3, "attempt": 1} == restarted.payload
    assert (0.0, 3, "queued") == (
        view.payload["progress"],
        view.payload["version"],
        view.payload["status"],
    )


def test_older_clients_are_told_of_no_preview(desk: Desk) -> None:
    """They would take it for the result; nor does it stand in the way of the result."""
    before, after = previewed(desk)
    desk.told(JOB, before)
    told = desk.told(before, after)
    (ended,) = payloads(desk.told(after, desk.done(after)), "audio_transformed")

    assert {"progress", "progress_update"} >= set(names(told))
    assert WAV == base64.b64decode(ended["audio_data"])


def test_a_view_has_only_numbers_that_json_has(desk: Desk) -> None:
    """What is not a number is null, also for browsers."""
    job = started().evolved(report={"bpm": float("nan")})
    view = emissions.job_view(job, outlook=NOTHING, artifacts=desk.artifacts)

    assert {"bpm": None} == view["report"]


def test_where_sessions_stand_is_known_with_place_and_estimate(desk: Desk) -> None:
    """The one that runs, and those that moved up by its start."""
    done = replace(JOB, id="d", session_id=None)
    desk.jobs.add(done)
    desk.jobs.update(done, started(done))
    ended = desk.done(started(done))
    desk.jobs.update(started(done), replace(ended, started_at=now() - KEEP))
    running = replace(JOB, id="r", session_id="first")
    waiting = [replace(JOB, id=each, session_id=each) for each in ("second", "third")]
    for job in (running, *waiting, replace(JOB, id="z", session_id=None)):
        desk.jobs.add(job)
    begun = started(running)
    desk.jobs.update(running, begun)
    found = list(emissions.standings(event_of(running, begun), estimates=desk.estimates))

    assert [("first", 0), ("second", 1), ("third", 2)] == [
        (each["session_id"], each["position"]) for each in found
    ]
    assert found[2]["estimated_seconds"] > found[1]["estimated_seconds"] > 0
    assert found[1]["total_queued"] == 3


def test_progress_moves_nobody(desk: Desk) -> None:
    """A step of one job is no news of the others."""
    started = JOB.started(worker="w", lease=KEEP)
    desk.jobs.add(replace(JOB, id="other", session_id="other"))
    event = event_of(started, started.evolved(progress=0.5))

    told = emissions.standings(event, estimates=desk.estimates)

    assert ["daw"] == [each["session_id"] for each in told]


CONTINUATION = Job(kind="continuation", spec={"prompt_from": "end"}, session_id="daw")


@pytest.mark.parametrize("act", acts.ACTS, ids=lambda act: act.name)
def test_every_act_has_its_own_first_and_last_word(desk: Desk, act: acts.Act) -> None:
    """What it is told as is written in the job, whichever process tells it."""
    job = replace(CONTINUATION if act.is_generation else JOB, asked_as=act.name)
    desk.jobs.add(job)
    first = names(desk.told(None, job))[0]
    working = started(job).evolved(stage="playing")
    status = payloads(desk.told(started(job), working), "queue_status")[0]
    last = desk.told(working, desk.done(working))

    assert f"{act.name}_received" == first
    assert act.doing == status["message"]
    assert act.done in names(last)
    assert act.is_generation is ("transform_complete" not in names(last))
    assert "job_complete" == names(last)[-1]


def test_a_continuation_of_another_door_is_told_as_one(desk: Desk) -> None:
    """Nobody wrote what it was asked as."""
    ended = desk.done(started(CONTINUATION))

    assert "music_continued" in names(desk.told(started(CONTINUATION), ended))


def test_a_continuation_too_large_for_a_message_is_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They grow; what clients would hang up on is not sent."""
    monkeypatch.setattr(emissions, "LARGEST_MESSAGE", 100)
    told = desk.told(started(CONTINUATION), desk.done(started(CONTINUATION)))

    assert "DATA_TOO_LARGE" == payloads(told, "error")[0]["code"]
    assert not {"music_continued", "transform_error"} & set(names(told))


def test_a_job_without_sound_ends_in_silence(desk: Desk) -> None:
    """Older clients know of nothing but sounds."""
    job = replace(JOB, kind="suggest", spec={})
    ended = started(job).ended(Status.FINISHED, keep=KEEP, progress=1.0)

    assert [] == list(emissions.ending(ended, desk.artifacts))
