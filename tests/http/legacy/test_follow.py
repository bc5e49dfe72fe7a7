"""Native Socket.IO clients: follow a job."""

from typing import Any

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
