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
