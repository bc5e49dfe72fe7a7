"""The vocabulary of events is complete: nothing is answered or said that it does not list."""

from typing import Any

import pytest
from pydantic import ValidationError

from server import errors
from server.jobs.events import Event, EventName
from server.web.plugin import vocabulary
from tests.http import sounds
from tests.http.legacy.stage import Caller, Stage, check_message

CONNECTION = {"connect", "disconnect"}


def test_every_event_that_is_answered_is_listed(stage: Stage) -> None:
    """And nothing is listed that nobody answers."""
    socketio = stage.world.client.application.extensions["socketio"]

    assert set(vocabulary.ASKED) == set(socketio.server.handlers["/"]) - CONNECTION


def _in_pieces(caller: Caller) -> None:
    caller.say("begin_restore_audio", {})
    session_id, text = caller.last("ready_for_chunks")["session_id"], sounds.base64_wav()
    pieces = {0: text[:100], 1: text[100:200], 2: text[200:]}
    for index in (0, 2, 1):
        caller.say(
            "audio_chunk",
            {
                "session_id": session_id,
                "chunk": pieces[index],
                "chunk_index": index,
                "total_chunks": 3,
                "is_last": index == 2,
            },
        )


def _continued(stage: Stage, caller: Caller) -> None:
    """Have music made of a beginning, go on from its end, and try that again."""
    sound = {"session_id": "song", "audio_data": sounds.base64_wav(2.0)}
    requests = ("process_audio_request", "continue_music_request", "retry_music_request")
    for number, name in enumerate(requests, start=1):
        caller.say(name, {**sound, "prompt_duration": 1})
        stage.news.await_ending("song", times=number)


def _toured(stage: Stage) -> Caller:
    """Do everything once: a result, its undoing, a restart, a failure, continuations, the end."""
    stage.world.queue.hold()
    stage.world.engine.has_previews = True
    caller, held = stage.caller(), stage.world.submit(preview=True)
    caller.say("follow", {"job_id": held["id"]})
    caller.order(session_id="daw")
    stage.world.queue.release()
    stage.news.await_ending("daw")
    caller.say("undo_transform_request", {"session_id": "daw"})
    caller.say("update_cropped_audio", {"audio_data": sounds.base64_wav(), "session_id": "daw"})
    _in_pieces(caller)
    _continued(stage, caller)
    stage.world.engine.failure = errors.EngineFailed()
    caller.order(session_id="daw")
    stage.news.await_ending("daw", times=2)
    lost = stage.world.services.jobs.get(held["id"])
    stage.news.publish(Event(EventName.RESTARTED, lost))
    caller.say("cleanup_session_request", {"session_id": "daw"})
    caller.say("unfollow", {"job_id": held["id"]})
    return caller


def test_every_event_that_is_listed_is_said(stage: Stage) -> None:
    """A tour of everything hears each of them; what they carry is checked at its end."""
    assert set(vocabulary.TOLD) == set(_toured(stage).names)


@pytest.mark.parametrize("name", [name for name in vocabulary.ASKED if name != "unfollow"])
def test_every_answer_that_is_named_is_listed(name: str) -> None:
    """What answers a request is something the server can say."""
    assert vocabulary.ASKED[name].answers
    assert set(vocabulary.ASKED[name].answers) <= set(vocabulary.TOLD)


@pytest.mark.parametrize(
    "payload",
    [
        {"progress": 5},
        {"progress": "5", "session_id": "daw"},
        {"progress": 5, "session_id": "daw", "more": 1},
    ],
)
def test_a_message_with_other_fields_would_be_seen(payload: dict[str, Any]) -> None:
    """The check that ends every story can fail."""
    with pytest.raises(ValidationError):
        check_message("progress_update", payload)


def test_a_message_nobody_listed_would_be_seen() -> None:
    """By name as well."""
    with pytest.raises(KeyError):
        check_message("processing_started", {})


def test_the_openapi_document_has_the_events(stage: Stage) -> None:
    """In both directions, with the fields of each."""
    document = stage.world.json(stage.world.client.get("/openapi.json"))["x-socketio"]

    assert set(vocabulary.ASKED) == set(document["client"])
    assert set(vocabulary.TOLD) == set(document["server"])
    assert "audio_data" in document["client"]["update_cropped_audio"]["payload"]["required"]
