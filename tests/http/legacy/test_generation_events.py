"""Socket.IO clients of the older contract continue music."""

import json
from typing import Any

import numpy as np
import pybase64
import pytest

from server import errors
from server.media import codec
from server.media.clip import Clip
from tests.http import sounds
from tests.http.legacy import malformed
from tests.http.legacy.stage import SOURCE_SECONDS, Caller, Stage, plugin_generation
from tests.http.legacy.test_verify import returning

RATE = sounds.RATE
RESULTS = {
    "process_audio": "audio_processed",
    "continue_music": "music_continued",
    "retry_music": "music_retried",
}


def decoded(told: dict[str, Any]) -> Clip:
    return codec.decode(pybase64.b64decode(told["audio_data"], validate=True))


def test_a_generation_is_told_from_request_to_result(stage: Stage) -> None:
    """Each kind under its own names: confirmed, queued, warming, processing, progress, result."""
    caller = stage.caller()
    for times, (name, result) in enumerate(RESULTS.items(), start=1):
        before = len(caller.names)
        caller.go_on(name, session_id="daw")
        stage.news.await_ending("daw", times=times)
        heard = caller.heard[before:]
        names = [each for each, _ in heard]
        states = [told["status"] for each, told in heard if each == "queue_status"]
        percents = [told["progress"] for each, told in heard if each == "progress_update"]

        assert (f"{name}_received", {"session_id": "daw"}) == heard[0]
        assert ["queued", "warming", "processing"] == list(dict.fromkeys(states))
        assert [0, 100] == [percents[0], percents[-1]]
        assert sorted(set(percents)) == percents
        assert [result, "job_complete"] == names[-2:]
        assert {"audio_data", "session_id"} == set(caller.last(result))
        assert "audio_transformed" not in names


def test_a_first_bang_then_on_and_on(stage: Stage) -> None:
    """As the Node script does it: it learns its session from the result, and sends it along."""
    caller = stage.caller()
    caller.go_on("process_audio", prompt_duration=6, top_k=100, cfg_coef=5)
    session_id = caller.last("process_audio_received")["session_id"]
    stage.news.await_ending(session_id)
    made = caller.last("audio_processed")
    caller.go_on(session_id=made["session_id"], audio_data=made["audio_data"], prompt_duration=10)
    stage.news.await_ending(session_id, times=2)
    longer = caller.last("music_continued")
    caller.say("retry_music_request", {"session_id": longer["session_id"]})
    stage.news.await_ending(session_id, times=3)

    assert [30.0, 50.0, 50.0] == [
        decoded(each).seconds for each in (made, longer, caller.last("music_retried"))
    ]
    assert [None, 10 * RATE, 10 * RATE] == [
        clip.length if clip.length != SOURCE_SECONDS * RATE else None
        for clip in stage.world.engine.clips
    ]
    _, second, third = stage.world.engine.clips
    assert np.array_equal(second.samples, third.samples)


@pytest.mark.parametrize("how", ["object", "text", "escaped", "twice"])
def test_payloads_may_be_text(stage: Stage, how: str) -> None:
    """Phones send JSON as text, with backslashes of every origin in names of weights too."""
    stage.play_nothing()
    fields = {
        "audio_data": sounds.base64_wav(SOURCE_SECONDS),
        "session_id": "\\phone ",
        "model_name": " thepatch\\/keygen\\",
        "prompt_duration": "2",
    }
    plain = json.dumps({**fields, "session_id": "phone", "model_name": "thepatch/keygen"})
    payload: Any = {
        "object": fields,
        "text": plain,
        "escaped": plain.replace('"', '\\"').replace("/", "\\/"),
        "twice": json.dumps(plain),
    }[how]
    caller = stage.caller()
    caller.say("continue_music_request", payload)
    stage.news.await_ending("phone")

    assert {"phone"} == {told["session_id"] for _, told in caller.heard}
    assert "thepatch/keygen" == stage.world.engine.samplings[0].model


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("first", ["transform", "generation"])
def test_a_busy_session_says_with_what(stage: Stage, first: str, name: str) -> None:
    """Also to a client that does not know its session yet and has pressed twice."""
    stage.world.queue.hold()
    stage.play_nothing()
    caller = stage.caller()
    caller.order() if first == "transform" else caller.go_on()
    session_id = caller.last("queue_status")["session_id"]
    named = None if name == "process_audio" else session_id
    acknowledged = caller.go_on(name, session_id=named)

    assert f"{first.capitalize()} already in progress" == caller.last("error")["message"]
    assert "busy" == acknowledged["error"]["code"]
    assert 1 == stage.world.services.jobs.waiting()


WRONG: dict[str, dict[str, Any]] = {
    "weights as a path": {"model_name": "../../etc"},
    "seed of text": {"seed": "junk"},
    "prompt of text": {"prompt_duration": "long"},
    "no audio": {"audio_data": None},
    "audio of wrong type": {"audio_data": 5},
    "session as a path": {"session_id": "../etc"},
    "top_k of text": {"top_k": "many"},
}


@pytest.mark.parametrize("name", ["process_audio", "continue_music"])
def test_a_wrong_generation_is_refused(stage: Stage, name: str, subtests: pytest.Subtests) -> None:
    """`error` has a text for a message, and nothing else happens."""
    for what, fields in WRONG.items():
        with subtests.test(what):
            caller = stage.caller()
            caller.go_on(name, **fields)

            assert ["error"] == caller.names
            assert caller.last("error")["message"]
            assert 0 == stage.world.services.jobs.waiting()


def test_without_session_and_audio_there_is_nothing_to_go_on_from(stage: Stage) -> None:
    """Each in the words that clients know."""
    caller = stage.caller()
    caller.go_on(audio_data=None)
    caller.go_on(audio_data=None, session_id="daw")
    caller.say("retry_music_request", plugin_generation())
    caller.say("retry_music_request", {"session_id": "nobody"})
    caller.say("update_cropped_audio", {"audio_data": sounds.base64_wav(), "session_id": "song"})
    caller.say("retry_music_request", {"session_id": "song"})

    assert [
        "No session ID provided and no audio data to create session",
        "No audio data available",
        "No session ID provided",
        "Session not found",
        "No last input audio available for retry",
    ] == [each["message"] for each in caller.all_of("error")]


@pytest.mark.parametrize("session_id", malformed.SESSIONS.values(), ids=malformed.SESSIONS)
def test_another_try_needs_a_session(stage: Stage, session_id: dict[str, Any]) -> None:
    """`error` alone, whatever is wrong with the id."""
    caller = stage.caller()
    caller.say("retry_music_request", session_id)

    assert ["error"] == caller.names


def test_a_failure_is_told_with_a_message(stage: Stage) -> None:
    """Of a generation there are no events of transforms."""
    stage.world.engine.failure = errors.EngineFailed("No music was heard.")
    caller = stage.caller()
    caller.go_on(session_id="daw")
    stage.news.await_ending("daw")

    assert ["error", "job_failed"] == caller.names[-2:]
    assert "No music was heard." == caller.last("error")["message"]
    assert "transform_error" not in caller.names


def _lost(stage: Stage, name: str) -> Caller:
    """Ask for a generation and vanish before it ends."""
    lost = stage.caller()
    lost.go_on(name, session_id="daw")
    lost.hang_up()
    return lost


@pytest.mark.parametrize("name", ["process_audio", "continue_music"])
def test_a_missed_result_is_sent_once_under_its_name(stage: Stage, name: str) -> None:
    """A client that was away asks for its session."""
    stage.world.queue.hold()
    _lost(stage, name)
    stage.world.queue.release()
    stage.news.await_ending("daw")
    back, later = returning(stage, "daw"), returning(stage, "daw")

    assert 1 == len(back.all_of(RESULTS[name]))
    assert [] == later.heard


def test_a_client_that_came_back_hears_the_rest(stage: Stage) -> None:
    """Where the generation stands, when it asks how far it is, and its result."""
    stage.world.engine.hold()
    _lost(stage, "continue_music")
    assert stage.world.engine.is_stepping.wait(20)
    back = returning(stage, "daw")
    back.say("request_progress_status", {"session_id": "daw", "last_progress": 0})
    updates = back.all_of("progress_update")
    stage.world.engine.release()
    stage.news.await_ending("daw")

    assert 2 == len(updates)
    assert "processing" == back.all_of("queue_status")[0]["status"]
    assert 1 == len(back.all_of("music_continued"))


def test_strangers_to_a_session_hear_nothing_of_it(stage: Stage) -> None:
    """Nor do two sessions hear of each other."""
    stage.play_nothing()
    bystander, first, second = (stage.caller() for _ in range(3))
    first.go_on(session_id="one")
    second.go_on(session_id="two")
    for session_id in ("one", "two"):
        stage.news.await_ending(session_id)

    assert [] == bystander.heard
    for caller, session_id in ((first, "one"), (second, "two")):
        assert {session_id} == {told["session_id"] for _, told in caller.heard}


def test_what_was_restored_goes_on_as_it_was_played(stage: Stage) -> None:
    """Phones say what their audio was played with; the session knows it from then on."""
    stage.play_nothing()
    caller = stage.caller()
    audio = sounds.base64_wav(4.0)
    played = {"model_name": "thepatch\\/keygen", "prompt_duration": "3"}
    caller.say("restore_processed_audio", {"audio_data": audio, **played})
    at_once = caller.last("restore_complete")["session_id"]
    caller.say("begin_restore_audio", {})
    in_pieces = caller.last("ready_for_chunks")["session_id"]
    pieces = ({"chunk": audio[:99], **played}, {"chunk": audio[99:]})
    for index, piece in enumerate(pieces):
        place = {"session_id": in_pieces, "chunk_index": index, "total_chunks": 2}
        caller.say("audio_chunk", {**place, **piece})
    for session_id in (at_once, in_pieces):
        caller.say("continue_music_request", {"session_id": session_id})
        stage.news.await_ending(session_id)
    engine = stage.world.engine

    assert ["thepatch/keygen"] * 2 == [each.model for each in engine.samplings]
    assert [3 * RATE] * 2 == [clip.length for clip in engine.clips]
    for session_id in (at_once, in_pieces):
        known = stage.poll(session_id)["session_data"]

        assert ("thepatch/keygen", 3.0) == (known["model_name"], known["prompt_duration"])


def test_a_job_of_another_door_is_told_to_its_session(stage: Stage) -> None:
    """A continuation that was asked for natively sounds like one here."""
    caller = stage.caller()
    kept = {"session_id": "daw", "audio_data": sounds.base64_wav(SOURCE_SECONDS)}
    caller.say("update_cropped_audio", kept)
    fields = {"audio": kept["audio_data"], "session_id": "daw", "prompt_duration": 2}
    stage.world.json(stage.world.client.post("/continue", json=fields), status=202)
    stage.news.await_ending("daw")

    assert "continue_music_received" in caller.names
    assert 31.0 == decoded(caller.last("music_continued")).seconds
