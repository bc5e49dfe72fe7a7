"""Socket.IO clients of the older contract: transforms, undo, crop, clean-up."""

import json
from typing import Any

import pybase64
import pytest

from server import errors
from server.media import codec
from tests.http import sounds
from tests.http.legacy.conftest import MakeStage
from tests.http.legacy.stage import Stage

ENDING = ["audio_transformed", "transform_complete", "job_complete"]


def test_a_transform_is_told_from_request_to_result(stage: Stage) -> None:
    """Confirmed, queued, warming, processing, done: in this order, with the result last."""
    stage.world.engine.hold()
    caller = stage.caller()
    caller.order(seed=3)
    assert stage.world.engine.is_stepping.wait(20)
    stage.world.engine.release()
    stage.news.await_ending(caller.last("transform_audio_received")["session_id"])
    states = [each["status"] for each in caller.all_of("queue_status")]
    statuses_end = max(at for at, name in enumerate(caller.names) if name == "queue_status")

    assert "transform_audio_received" == caller.names[0]
    assert ["queued", "warming", "processing"] == states
    assert statuses_end < caller.names.index("audio_transformed")
    assert ENDING == caller.names[-3:]


def test_progress_rises_from_0_to_100(stage: Stage) -> None:
    """Whole percents under the newer name, the same under the older one."""
    caller, session_id = stage.ordered()
    told = caller.all_of("progress_update")
    percents = [each["progress"] for each in told]

    assert [0, 100] == [percents[0], percents[-1]]
    assert sorted(set(percents)) == percents
    assert {session_id} == {each["session_id"] for each in told}
    assert 100.0 == caller.last("progress")["progress"]


def test_the_result_is_a_wav_of_the_same_length(stage: Stage) -> None:
    """On one line of base64, with session and preset."""
    caller, session_id = stage.ordered(variation="chiptune")
    result = caller.last("audio_transformed")
    audio = pybase64.b64decode(result["audio_data"], validate=True)

    assert (session_id, "chiptune") == (result["session_id"], result["variation"])
    assert codec.decode(sounds.wav()).length == codec.decode(audio).length


def test_a_session_may_be_chosen_by_the_client(stage: Stage) -> None:
    """Front servers have their own ids."""
    caller, session_id = stage.ordered(session_id="front:1.2-3_4")

    assert "front:1.2-3_4" == session_id == caller.last("audio_transformed")["session_id"]


def test_two_sessions_never_hear_of_each_other(stage: Stage) -> None:
    """Nor does a connection without a session hear anything."""
    bystander = stage.caller()
    callers = [stage.ordered() for _ in range(2)]

    assert bystander.heard == []
    for caller, session_id in callers:
        assert {session_id} == {payload["session_id"] for _, payload in caller.heard}


@pytest.mark.parametrize("how", ["object", "text", "escaped", "twice", "slashes"])
def test_payloads_may_be_text(stage: Stage, how: str) -> None:
    """Phones send JSON as text, with backslashes of every origin."""
    fields = {"audio_data": sounds.base64_wav(), "variation": "celtic", "session_id": "\\phone \\"}
    plain = json.dumps({**fields, "session_id": "phone"})
    payload: Any = {
        "object": fields,
        "text": plain,
        "escaped": plain.replace('"', '\\"'),
        "twice": json.dumps(plain),
        "slashes": plain.replace("/", "\\/"),
    }[how]
    caller = stage.caller()
    caller.say("transform_audio_request", payload)
    stage.news.await_ending("phone")

    assert "phone" == caller.last("audio_transformed")["session_id"]


def test_a_second_transform_of_a_session_is_refused(stage: Stage) -> None:
    """The client itself guards against double sends for half a second only."""
    stage.world.queue.hold()
    caller = stage.caller()
    caller.order(session_id="daw")
    acknowledged = caller.order(session_id="daw")

    assert {"message": "Transform already in progress", "code": "busy", "session_id": "daw"} == (
        caller.last("error")
    )
    assert "busy" == acknowledged["error"]["code"]


def test_a_second_transform_without_a_session_is_refused_too(stage: Stage) -> None:
    """A client that does not know its first session yet has sent the same twice."""
    stage.world.queue.hold()
    caller = stage.caller()
    caller.order()
    caller.order()

    assert "Transform already in progress" == caller.last("error")["message"]
    assert 1 == stage.world.services.jobs.waiting()


def test_when_the_first_has_ended_the_next_may_come(stage: Stage) -> None:
    """Also without naming the session."""
    caller, _ = stage.ordered()
    caller.order()
    stage.news.await_ending(caller.last("transform_audio_received")["session_id"])

    assert 2 == len(caller.all_of("audio_transformed"))


def test_without_audio_the_last_result_is_transformed(stage: Stage) -> None:
    """Which is there after a first transform only."""
    caller, session_id = stage.ordered()
    caller.order(session_id=session_id, audio_data=None)
    stage.news.await_ending(session_id, times=2)
    caller.order(session_id="other", audio_data=None)

    assert 2 == len(caller.all_of("audio_transformed"))
    assert "No audio data available" in caller.last("error")["message"]


def test_a_failure_is_told_under_every_name(stage: Stage) -> None:
    """`error` with a message, then the older names; progress never says 100."""
    stage.world.engine.failure = errors.EngineFailed("No music was heard.")
    caller, session_id = stage.ordered()
    error = {"message": "No music was heard.", "code": "engine_failed", "session_id": session_id}

    assert ["error", "transform_error", "job_failed"] == caller.names[-3:]
    assert error == caller.last("error")
    assert "No music was heard." == caller.last("transform_error")["error"]
    assert 100 not in [each["progress"] for each in caller.all_of("progress_update")]


def test_a_failure_never_sounds_like_a_warm_up(stage: Stage) -> None:
    """Clients would wait for it to end."""
    stage.world.engine.failure = errors.EngineUnavailable("Still downloading weights.")
    caller, _ = stage.ordered()

    assert "The server could not do this." == caller.last("error")["message"]


def test_those_who_wait_hear_that_they_moved_up(stage: Stage) -> None:
    """Number 2 becomes number 1 when the first job starts."""
    stage.world.queue.hold()
    stage.world.engine.hold()
    first, second = stage.caller(), stage.caller()
    first.order()
    second.order()
    stage.world.queue.release()
    assert stage.world.engine.is_stepping.wait(20)
    places = [each["position"] for each in second.all_of("queue_status")]
    stage.world.engine.release()

    assert [2, 1] == places
    assert "You are number 2 in the queue." == second.all_of("queue_status")[0]["message"]
    assert [2, 1] == [each["position"] for each in second.all_of("queue_position")][:2]


def test_undo_gives_back_what_was_submitted(stage: Stage) -> None:
    """As often as wanted."""
    caller, session_id = stage.ordered()
    caller.say("undo_transform_request", {"session_id": session_id})
    caller.say("undo_transform_request", {"session_id": session_id})
    undone = {"audio_data": sounds.base64_wav(), "session_id": session_id}

    assert [undone, undone] == caller.all_of("transform_undone")


def test_there_may_be_nothing_to_undo(stage: Stage) -> None:
    """With the text clients know."""
    caller = stage.caller()
    caller.say("undo_transform_request", {"session_id": "nobody"})

    assert "No previous audio found to undo to" == caller.last("error")["message"]


def test_cropping_makes_a_session_and_joins_it(stage: Stage) -> None:
    """The next transform of that session is heard, and is of the cropped audio."""
    caller = stage.caller()
    half = sounds.base64_wav(0.25)
    caller.say("update_cropped_audio", {"session_id": None, "audio_data": half})
    cropped = caller.last("update_cropped_audio_complete")
    stage.submit(session_id=cropped["session_id"], audio_data=None)
    stage.news.await_ending(cropped["session_id"])
    audio = pybase64.b64decode(caller.last("audio_transformed")["audio_data"])

    assert cropped["auto_created"] is True
    assert sounds.RATE // 4 == codec.decode(audio).length


def test_a_cleaned_up_session_is_forgotten(stage: Stage) -> None:
    """Nothing is left to undo, to poll or to verify."""
    caller, session_id = stage.ordered()
    caller.say("cleanup_session_request", {"session_id": session_id})
    caller.say("undo_transform_request", {"session_id": session_id})
    caller.say("verify_session", {"session_id": session_id})

    assert session_id == caller.last("cleanup_complete")["session_id"]
    assert ["No previous audio found to undo to", "Session not found"] == [
        each["message"] for each in caller.all_of("error")
    ]
    assert "Session not found" == stage.poll(session_id, status=404)["error"]


def test_cleaning_up_stops_the_job_in_silence(stage: Stage) -> None:
    """A client that started anew is not bothered with what it threw away."""
    stage.world.queue.hold()
    caller = stage.caller()
    caller.order(session_id="daw")
    caller.say("cleanup_session_request", {"session_id": "daw"})
    caller.order(session_id="next")
    stage.world.queue.release()
    stage.news.await_ending("next")

    assert "error" not in caller.names
    assert 1 == len(stage.world.engine.briefs)


def test_a_result_too_large_for_a_message_is_told(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client would hang up on it; it hears where the result is instead."""
    monkeypatch.setattr("server.web.emissions.LARGEST_MESSAGE", 100)
    caller, _ = stage.ordered()

    assert "DATA_TOO_LARGE" == caller.last("error")["code"]
    assert "audio_transformed" not in caller.names


def test_without_the_queue_nothing_is_begun(make_stage: MakeStage) -> None:
    """The request is refused, and the connection is in no room of it."""
    stage = make_stage()
    stage.world.queue.is_up = False
    caller = stage.caller()
    caller.order(session_id="daw")
    stage.world.queue.is_up = True
    stage.submitted_and_done(session_id="daw")

    assert "wire_down" == caller.last("error")["code"]
    assert "audio_transformed" not in caller.names


def test_a_refused_request_leaves_nobody_out(stage: Stage) -> None:
    """Who was in a session stays in it and hears the job that is under way."""
    stage.world.queue.hold()
    caller = stage.caller()
    caller.order(session_id="daw")
    caller.order(session_id="daw", variation="kazoo")
    stage.world.queue.release()
    stage.news.await_ending("daw")
    caller.order(session_id="daw", variation="kazoo")
    stage.submit(session_id="daw")
    stage.news.await_ending("daw", times=2)

    assert 2 == len(caller.all_of("audio_transformed"))
