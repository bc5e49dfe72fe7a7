"""Native Socket.IO clients: follow a job."""

from typing import Any

import pybase64
import pytest

from tests.http.legacy.stage import Stage


def test_following_answers_with_the_job_as_it_is(stage: Stage) -> None:
    """The acknowledgement is what GET says."""
    stage.world.queue.hold()
    receipt = stage.world.submit()
    caller = stage.caller()
    acknowledged = caller.say("follow", {"job_id": receipt["id"]})

    assert stage.world.json(stage.world.client.get(receipt["links"]["self"])) == acknowledged
    assert [] == caller.heard


def test_a_follower_hears_everything_that_follows(stage: Stage) -> None:
    """Running, further, finished: each time the whole view, the last one with the result."""
    stage.world.queue.hold()
    receipt = stage.world.submit(session_id="daw")
    caller = stage.caller()
    caller.say("follow", {"job_id": receipt["id"]})
    stage.world.queue.release()
    stage.news.await_ending("daw")
    views = caller.all_of("job")
    progress = [each["progress"] for each in views]

    assert {"job"} == set(caller.names)
    assert ["running", "finished"] == [views[0]["status"], views[-1]["status"]]
    assert sorted(progress) == progress
    assert stage.world.json(stage.world.client.get(receipt["links"]["self"])) == views[-1]


def test_a_follower_hears_of_that_job_alone(stage: Stage) -> None:
    """And of no session."""
    stage.world.queue.hold()
    followed, other = (stage.world.submit(session_id=each) for each in ("one", "two"))
    caller = stage.caller()
    caller.say("follow", {"job_id": followed["id"]})
    stage.world.queue.release()
    stage.news.await_ending("two")

    assert {followed["id"]} == {payload["id"] for _, payload in caller.heard}
    assert other["id"] not in {payload["id"] for _, payload in caller.heard}


def test_who_unfollows_hears_nothing_more(stage: Stage) -> None:
    """As if it had never followed."""
    stage.world.queue.hold()
    receipt = stage.world.submit(session_id="daw")
    caller = stage.caller()
    caller.say("follow", {"job_id": receipt["id"]})
    acknowledged = caller.say("unfollow", {"job_id": receipt["id"]})
    stage.world.queue.release()
    stage.news.await_ending("daw")

    assert {"id": receipt["id"]} == acknowledged
    assert [] == caller.heard


def test_a_result_that_was_deleted_is_not_shown(stage: Stage) -> None:
    """The view stays, without the file."""
    caller, session_id = stage.ordered()
    job = stage.world.services.jobs.newest_in_session(session_id)
    assert job is not None
    stage.world.artifacts.delete(job.outputs[0].artifact_id)

    assert [] == caller.say("follow", {"job_id": job.id})["artifacts"]


@pytest.mark.parametrize("job_id", [None, "", 5, [], "x" * 65, "0" * 32])
def test_an_unknown_job_cannot_be_followed(stage: Stage, job_id: Any) -> None:
    """The acknowledgement has the error, and so has an event."""
    caller = stage.caller()
    acknowledged = caller.say("follow", {"job_id": job_id})

    assert acknowledged["error"]["message"] == caller.last("error")["message"]


def test_followers_are_told_of_a_preview_when_it_comes(stage: Stage) -> None:
    """By an event of its own, and their progress never goes back."""
    stage.world.engine.has_previews = True
    stage.world.queue.hold()
    caller = stage.caller()
    receipt = stage.world.submit(preview=True, session_id="daw")
    caller.say("follow", {"job_id": receipt["id"]})
    stage.world.queue.release()
    stage.news.await_ending("daw")
    progress = [job["progress"] for job in caller.all_of("job")]
    (preview,) = caller.all_of("preview")

    assert receipt["id"] == preview["job_id"]
    assert [("preview.wav", "preview")] == [
        (each["name"], each["role"]) for each in preview["artifacts"]
    ]
    assert caller.names.index("preview") < len(caller.names) - 1
    assert sorted(progress) == progress


def test_a_session_hears_of_the_result_alone(stage: Stage) -> None:
    """Older clients take every sound they are sent for the result."""
    stage.world.engine.has_previews = True
    caller, _ = stage.ordered(session_id="daw")
    job = stage.world.submit(preview=True, session_id="daw")
    stage.news.await_ending("daw", times=2)
    result, preview = stage.world.finished(job["id"])["artifacts"]
    told = pybase64.b64decode(caller.last("audio_transformed")["audio_data"])

    assert "preview" not in caller.names
    assert stage.world.client.get(result["url"]).data == told
    assert stage.world.client.get(preview["url"]).data != told


def test_a_follower_that_comes_back_gets_what_it_missed(stage: Stage) -> None:
    """From the version that it knows; with the view, and nothing that it had already."""
    job = stage.world.finished(stage.world.submit()["id"])
    every = stage.caller().say("follow", {"job_id": job["id"], "after": -1})
    rest = stage.caller().say("follow", {"job_id": job["id"], "after": 0})

    assert job == {name: value for name, value in every.items() if name != "events"}
    assert every["events"][1:] == rest["events"]
    assert ["queued", "finished"] == [every["events"][0]["event"], rest["events"][-1]["event"]]


def test_a_wrong_version_is_refused(stage: Stage) -> None:
    caller, job_id = stage.caller(), stage.world.submit()["id"]
    refused = caller.say("follow", {"job_id": job_id, "after": "yesterday"})

    assert "after" == refused["error"]["field"]


@pytest.mark.parametrize("go", ["hang_up", "go_silent"])
def test_a_job_may_end_with_its_last_follower(stage: Stage, go: str) -> None:
    """With the last of those who asked for it, however they go."""
    stage.world.queue.hold()
    job_id = stage.world.submit()["id"]
    callers = [stage.caller() for _ in range(3)]
    for caller, is_needed in zip(callers, (True, True, False), strict=True):
        caller.say("follow", {"job_id": job_id, "cancel_on_disconnect": is_needed})
    statuses = []
    for caller in callers[:2]:
        getattr(caller, go)()
        statuses.append(stage.world.jobs.get(job_id).status)

    assert ["queued", "cancelled"] == statuses
    assert "cancelled" == callers[2].last("job")["status"]


def test_a_job_goes_on_without_those_who_only_listen(stage: Stage) -> None:
    """Nor does letting go of a job on purpose end it."""
    stage.world.queue.hold()
    job_id = stage.world.submit()["id"]
    listening, letting_go = stage.caller(), stage.caller()
    listening.say("follow", {"job_id": job_id})
    letting_go.say("follow", {"job_id": job_id, "cancel_on_disconnect": True})
    letting_go.say("unfollow", {"job_id": job_id})
    for caller in (listening, letting_go):
        caller.hang_up()

    assert "finished" == stage.world.finished_later(job_id)["status"]


def test_the_last_follower_of_an_ended_job_may_go(stage: Stage) -> None:
    job = stage.world.finished(stage.world.submit()["id"])
    caller = stage.caller()
    caller.say("follow", {"job_id": job["id"], "cancel_on_disconnect": True})
    caller.hang_up()

    assert "finished" == stage.world.jobs.get(job["id"]).status
