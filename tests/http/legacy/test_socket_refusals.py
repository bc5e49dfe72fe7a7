"""What events are refused: always with a sentence, never with silence."""

import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from server.web.plugin import acts, wording
from tests.http.legacy import malformed
from tests.http.legacy.stage import Stage

WITH_SESSION = (
    "undo_transform_request",
    "cleanup_session_request",
    "verify_session",
    "request_progress_status",
    "audio_chunk",
)
WITH_AUDIO = ("update_cropped_audio", "restore_processed_audio")
NATIVE = ("follow", "unfollow")
ORDERS = tuple(act.request for act in acts.ACTS)
EVENTS = (*ORDERS, "begin_restore_audio", *WITH_SESSION, *WITH_AUDIO, *NATIVE)


@pytest.mark.parametrize("name", malformed.TRANSFORMS)
def test_a_wrong_transform_is_refused(stage: Stage, name: str) -> None:
    """`error` has a text for a message, the field's name, and nothing else happens."""
    payload = malformed.TRANSFORMS[name]
    caller = stage.caller()
    acknowledged = caller.say("transform_audio_request", payload)
    message = caller.last("error")["message"]

    assert ["error"] == caller.names
    assert malformed.field_of(name) == caller.last("error")["field"]
    assert message == wording.final(message) == acknowledged["error"]["message"]
    assert malformed.says_nothing_of(message, payload)
    assert 0 == stage.world.services.jobs.waiting()


@pytest.mark.parametrize("event", [each for each in WITH_SESSION if "cleanup" not in each])
@pytest.mark.parametrize("payload", malformed.SESSIONS.values(), ids=malformed.SESSIONS)
def test_a_session_has_to_be_named(stage: Stage, event: str, payload: dict[str, Any]) -> None:
    """And has to be there."""
    caller = stage.caller()
    caller.say(event, payload)

    assert ["error"] == caller.names
    assert caller.last("error")["message"]


@pytest.mark.parametrize("event", WITH_AUDIO)
@pytest.mark.parametrize("audio", [None, "", 5, "!!!", "AAAAAAAA"])
def test_audio_has_to_be_sent(stage: Stage, event: str, audio: Any) -> None:
    """No session is made for what is none."""
    caller = stage.caller()
    caller.say(event, {"session_id": "daw", "audio_data": audio})

    assert ["error"] == caller.names
    assert stage.world.services.sessions.find("daw") is None


@pytest.mark.parametrize("payload", malformed.NOT_OBJECTS, ids=repr)
def test_a_payload_is_an_object(stage: Stage, payload: Any) -> None:
    """Or the text of one."""
    caller = stage.caller()
    caller.say("transform_audio_request", payload)

    assert caller.last("error")["message"].startswith("Invalid JSON format")


def test_an_event_may_come_without_a_payload(stage: Stage) -> None:
    """That is an object without fields."""
    caller = stage.caller()
    caller.say("undo_transform_request")
    caller.say("begin_restore_audio")

    assert "No session ID provided" == caller.last("error")["message"]
    assert "ready_for_chunks" in caller.names


def test_an_event_that_stumbles_says_so_and_nothing_more(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The trace is in the log alone; the connection lives on."""
    monkeypatch.setattr(type(stage.world.services.sessions), "find", lambda *_: {"a": 1}["secret"])
    caller = stage.caller()
    with caplog.at_level(logging.ERROR):
        caller.say("verify_session", {"session_id": "daw"})
    caller.say("begin_restore_audio", {})

    assert {
        "message": "Something went wrong on the server.",
        "code": "internal",
        "session_id": "daw",
    } == caller.last("error")
    assert "KeyError" in caplog.text
    assert "ready_for_chunks" == caller.names[-1]


@pytest.mark.parametrize("event", EVENTS)
@given(payload=malformed.PLAUSIBLE)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_payload_makes_the_server_stumble(stage: Stage, event: str, payload: Any) -> None:
    """Everything is answered, by an event or at least an acknowledgement, and never by a crash."""
    stage.play_nothing()
    caller = stage.caller()
    acknowledged = caller.say(event, payload)

    assert caller.heard or acknowledged
    assert "internal" not in [each["code"] for each in caller.all_of("error")]
    assert all(isinstance(each["message"], str) for each in caller.all_of("error"))
