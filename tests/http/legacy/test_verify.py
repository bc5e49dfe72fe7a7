"""Clients that lost their connection: back in the session, with what they missed, once."""

from datetime import timedelta

import pytest

from server import errors
from server.jobs.record import now
from server.web.plugin import delivery
from tests.http import sounds
from tests.http.legacy.stage import Caller, Stage


def returning(stage: Stage, session_id: str) -> Caller:
    """Connect anew and ask for a session."""
    caller = stage.caller()
    caller.say("verify_session", {"session_id": session_id})
    return caller


def test_a_client_that_came_back_hears_the_rest(stage: Stage) -> None:
    """Where the job stands, then its progress and its result."""
    stage.world.engine.hold()
    lost = stage.caller()
    lost.order(session_id="daw")
    assert stage.world.engine.is_stepping.wait(20)
    lost.hang_up()
    back = returning(stage, "daw")
    at_once = list(back.names)
    stage.world.engine.release()
    stage.news.await_ending("daw")

    assert ["queue_status", "progress_update", "progress"] == at_once
    assert "processing" == back.all_of("queue_status")[0]["status"]
    assert 1 == len(back.all_of("audio_transformed"))


def test_a_waiting_client_hears_its_place(stage: Stage) -> None:
    """Number 1, nobody ahead."""
    stage.world.queue.hold()
    stage.submit(session_id="daw")

    assert 1 == returning(stage, "daw").last("queue_status")["position"]


@pytest.mark.parametrize("leave", [Caller.hang_up, Caller.go_silent])
def test_a_missed_result_is_sent_once(stage: Stage, leave: object) -> None:
    """Whoever asks second has had it."""
    stage.world.queue.hold()
    lost = stage.caller()
    lost.order(session_id="daw")
    assert callable(leave)
    leave(lost)
    stage.world.queue.release()
    stage.news.await_ending("daw")
    back = returning(stage, "daw")
    back.say("verify_session", {"session_id": "daw"})
    later = returning(stage, "daw")

    assert 1 == len(back.all_of("audio_transformed"))
    assert stage.poll("daw")["audio_data"] == back.last("audio_transformed")["audio_data"]
    assert [] == later.all_of("audio_transformed")


def test_a_missed_failure_is_sent_once_too(stage: Stage) -> None:
    """A client would wait for ever."""
    stage.world.engine.failure = errors.EngineFailed("No music was heard.")
    stage.submitted_and_done(session_id="daw")

    assert ["No music was heard."] == [
        each["message"] for each in returning(stage, "daw").all_of("error")
    ]
    assert [] == returning(stage, "daw").heard


def test_a_result_is_not_repeated_to_who_was_there(stage: Stage) -> None:
    """Neither on the same connection, nor on the next one after a goodbye."""
    caller, session_id = stage.ordered()
    caller.say("verify_session", {"session_id": session_id})
    caller.hang_up()
    back = returning(stage, session_id)

    assert 1 == len(caller.all_of("audio_transformed"))
    assert [] == back.heard


def test_a_goodbye_without_a_question_counts_as_well(stage: Stage) -> None:
    """The connection was there to the end."""
    caller, session_id = stage.ordered()
    caller.hang_up()

    assert [] == returning(stage, session_id).heard


def test_a_half_open_connection_has_not_received(stage: Stage) -> None:
    """The server does not know yet that the first client is gone: the second is told."""
    stage.world.queue.hold()
    lost = stage.caller()
    lost.order(session_id="daw")
    lost.go_deaf()
    stage.world.queue.release()
    stage.news.await_ending("daw")

    assert 1 == len(returning(stage, "daw").all_of("audio_transformed"))


def test_a_connection_that_lived_on_has_received(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute later it would have been found dead, so a second client is told nothing."""
    _, session_id = stage.ordered()
    monkeypatch.setattr(delivery, "now", lambda: now() + timedelta(seconds=61))

    assert [] == returning(stage, session_id).heard


def test_a_result_survives_the_server(stage: Stage) -> None:
    """A process that knows of no connection sends what was never noted as delivered."""
    session_id = stage.submitted_and_done()

    assert "audio_transformed" in returning(stage, session_id).names


def test_going_silent_in_a_forgotten_session_is_no_error(stage: Stage) -> None:
    """Somebody else cleaned it up."""
    caller, session_id = stage.ordered()
    stage.caller().say("cleanup_session_request", {"session_id": session_id})
    caller.go_silent()

    assert "Session not found" == returning(stage, session_id).last("error")["message"]


def test_progress_can_be_asked_for(stage: Stage) -> None:
    """`progress_update` comes to who asks, and to nobody else."""
    caller, session_id = stage.ordered()
    asking = stage.caller()
    before = len(caller.heard)
    asking.say("request_progress_status", {"session_id": session_id, "last_progress": 40})

    assert {"progress": 100, "session_id": session_id} == asking.last("progress_update")
    assert before == len(caller.heard)


def test_who_asks_for_the_progress_of_a_failure_is_told_of_it(stage: Stage) -> None:
    """Else it would ask again every five seconds."""
    stage.world.engine.failure = errors.EngineFailed("No music was heard.")
    session_id = stage.submitted_and_done()
    asking = stage.caller()
    asking.say("request_progress_status", {"session_id": session_id, "last_progress": 40})

    assert "No music was heard." == asking.last("error")["message"]
    assert "progress_update" not in asking.names


def test_a_session_without_a_job_has_no_progress(stage: Stage) -> None:
    """That is said."""
    session_id = stage.post("/api/juce/update_cropped_audio", {"audio_data": sounds.base64_wav()})[
        "session_id"
    ]
    caller = stage.caller()
    caller.say("request_progress_status", {"session_id": session_id})

    assert "Session not found" == caller.last("error")["message"]
    assert [] == returning(stage, session_id).heard
