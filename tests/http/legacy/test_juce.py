"""The JUCE plugin: submit, poll, undo."""

from typing import Any

import pybase64
import pytest

from server import errors
from server.media import codec
from tests.http import sounds
from tests.http.legacy.stage import Stage, plugin_request

UNDO = "/api/juce/undo_transform"
CROP = "/api/juce/update_cropped_audio"
TRANSFORM = "/api/juce/transform_audio"


def decoded(audio: str) -> bytes:
    return pybase64.b64decode(audio, validate=True)


def test_a_transform_is_submitted_polled_and_done(stage: Stage) -> None:
    """One poll of a finished job has everything the plugin needs, in one answer."""
    session_id = stage.submitted_and_done(seed=41)
    polled = stage.poll(session_id)
    result = codec.decode(decoded(polled.pop("audio_data")))

    assert codec.decode(sounds.wav()).length == result.length
    assert polled.pop("queue_status")["status"] == "completed"
    assert polled == {
        "success": True,
        "session_id": session_id,
        "transform_in_progress": False,
        "generation_in_progress": False,
        "progress": 100,
        "status": "completed",
        "error": None,
        "seed": 41,
        "generation_seed": None,
        "session_data": {
            "model_name": None,
            "prompt_duration": None,
            "parameters": {"top_k": None, "temperature": None, "cfg_coef": None},
            "description": None,
        },
    }


def test_a_receipt_says_session_and_seed(stage: Stage) -> None:
    """The five fields of a submit; the seed is the one that is used."""
    receipt = stage.post(TRANSFORM, plugin_request())
    session_id = receipt["session_id"]
    stage.news.await_ending(session_id)

    assert set(receipt) == {"success", "session_id", "seed", "message", "note"}
    assert receipt["success"] is True
    assert session_id.isalnum()
    assert 0 <= receipt["seed"] <= 99_999
    assert receipt["seed"] == stage.poll(session_id)["seed"]
    assert f"/api/juce/poll_status/{session_id}" in receipt["note"]


def test_a_job_is_queued_then_warming_then_processing(stage: Stage) -> None:
    """The queue's status is never empty while a job lives, and there is no audio yet."""
    stage.world.queue.hold()
    stage.world.engine.hold()
    session_id = stage.submit()
    queued = stage.poll(session_id)
    stage.world.queue.release()
    assert stage.world.engine.is_stepping.wait(20)
    processing = stage.poll(session_id)

    assert ("queued", "queued") == (queued["status"], queued["queue_status"]["status"])
    assert (1, 0) == (queued["queue_status"]["position"], queued["progress"])
    assert "processing" == processing["status"] == processing["queue_status"]["status"]
    assert processing["transform_in_progress"] is queued["transform_in_progress"] is True
    assert processing["audio_data"] is None


def test_progress_starts_again_with_a_new_job(stage: Stage) -> None:
    """A second job of the same session begins at 0, not at the 100 of the first."""
    session_id = stage.submitted_and_done()
    stage.world.queue.hold()
    stage.submit(session_id=session_id)
    polled = stage.poll(session_id)

    assert (0, "queued", None) == (polled["progress"], polled["status"], polled["audio_data"])


def test_a_busy_session_refuses_a_second_job(stage: Stage) -> None:
    """400 in the shape the plugin reads."""
    stage.world.queue.hold()
    session_id = stage.submit()
    refused = stage.post(TRANSFORM, {**plugin_request(), "session_id": session_id}, status=400)

    assert "Transform already in progress" == refused["error"]
    assert (False, "busy") == (refused["success"], refused["code"])


@pytest.mark.parametrize("unknown", ["0" * 32, "nobody", "x" * 200, "%20", "a%0Ab"])
def test_an_unknown_session_is_not_found(stage: Stage, unknown: str) -> None:
    """404 with exactly what the plugin shows."""
    refused = stage.poll(unknown, status=404)

    assert (False, "Session not found") == (refused["success"], refused["error"])


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (errors.EngineFailed("No music was heard."), "No music was heard."),
        (errors.EngineUnavailable("Please download the model."), "The server could not do this."),
        (ZeroDivisionError("secret"), "Something went wrong on the server."),
    ],
)
def test_a_failed_job_is_a_successful_poll(
    stage: Stage, failure: BaseException, sentence: str
) -> None:
    """HTTP 200 and `success`, with a sentence that is not taken for a warm-up."""
    stage.world.engine.failure = failure
    polled = stage.poll(stage.submitted_and_done())

    assert (True, "failed", sentence) == (polled["success"], polled["status"], polled["error"])
    assert polled["transform_in_progress"] is False
    assert polled["queue_status"]["status"] == "failed"


def test_a_cancelled_job_has_failed(stage: Stage) -> None:
    """The plugin knows no third ending."""
    stage.world.queue.hold()
    receipt = stage.world.submit(session_id="daw")
    stage.post(CROP, {"session_id": "daw", "audio_data": sounds.base64_wav()})
    stage.world.client.delete(f"/jobs/{receipt['id']}")

    assert "The job was cancelled." == stage.poll("daw")["error"]


def test_undo_gives_back_what_was_submitted_again_and_again(stage: Stage) -> None:
    """The same bytes, before the job has ended and after."""
    stage.world.queue.hold()
    session_id = stage.submit()
    early = stage.post(UNDO, {"session_id": session_id})
    stage.world.queue.release()
    stage.news.await_ending(session_id)
    late = [stage.post(UNDO, {"session_id": session_id}) for _ in range(2)]

    assert sounds.wav() == decoded(early["audio_data"])
    assert [early["audio_data"]] * 2 == [each["audio_data"] for each in late]
    assert (True, session_id) == (early["success"], early["session_id"])


def test_undo_gives_wav_whatever_was_submitted(stage: Stage) -> None:
    """JUCE drops what it cannot read without an error."""
    flac = pybase64.b64encode(sounds.flac()).decode()
    session_id = stage.submitted_and_done(audio_data=flac)
    undone = decoded(stage.post(UNDO, {"session_id": session_id})["audio_data"])

    assert (b"RIFF", b"WAVE") == (undone[:4], undone[8:12])
    assert codec.decode(sounds.flac()).length == codec.decode(undone).length


@pytest.mark.parametrize("body", [{"session_id": "never-seen"}])
def test_there_may_be_nothing_to_undo(stage: Stage, body: dict[str, Any]) -> None:
    """400 with the text plugins know."""
    refused = stage.post(UNDO, body, status=400)

    assert (False, "No previous audio found to undo to") == (refused["success"], refused["error"])


def test_a_cropped_session_without_a_transform_has_nothing_to_undo(stage: Stage) -> None:
    """Cropping submits nothing."""
    cropped = stage.post(CROP, {"audio_data": sounds.base64_wav()})
    refused = stage.post(UNDO, {"session_id": cropped["session_id"]}, status=400)

    assert "No previous audio found to undo to" == refused["error"]


@pytest.mark.parametrize("blank", [None, ""])
def test_without_audio_the_last_result_is_transformed(stage: Stage, blank: str | None) -> None:
    """A transform of the transform: the level is halved twice."""
    session_id = stage.submitted_and_done()
    stage.submit(session_id=session_id, audio_data=blank)
    stage.news.await_ending(session_id, times=2)
    result = codec.decode(decoded(stage.poll(session_id)["audio_data"]))
    source = codec.decode(sounds.wav())

    assert abs(source.samples).max() / 4 == pytest.approx(abs(result.samples).max(), rel=0.01)


def test_after_an_undo_the_input_is_transformed_again(stage: Stage) -> None:
    """Undone audio is what the session had last."""
    session_id = stage.submitted_and_done()
    stage.post(UNDO, {"session_id": session_id})
    stage.submit(session_id=session_id, audio_data=None)
    stage.news.await_ending(session_id, times=2)
    result = codec.decode(decoded(stage.poll(session_id)["audio_data"]))
    source = codec.decode(sounds.wav())

    assert abs(source.samples).max() / 2 == pytest.approx(abs(result.samples).max(), rel=0.01)


def test_without_any_audio_there_is_nothing_to_transform(stage: Stage) -> None:
    """A new session has had none, and is not kept either."""
    body = {**plugin_request(), "audio_data": None, "session_id": "fresh"}
    refused = stage.post(TRANSFORM, body, status=400)

    assert (False, "No audio data available") == (refused["success"], refused["error"])
    assert "Session not found" == stage.poll("fresh", status=404)["error"]


def test_cropped_audio_is_what_is_transformed_next(stage: Stage) -> None:
    """Half as long in, half as long out."""
    session_id = stage.submitted_and_done()
    half = sounds.base64_wav(0.25)
    cropped = stage.post(CROP, {"session_id": session_id, "audio_data": half})
    stage.submit(session_id=session_id, audio_data=None)
    stage.news.await_ending(session_id, times=2)
    result = codec.decode(decoded(stage.poll(session_id)["audio_data"]))

    assert (session_id, False) == (cropped["session_id"], cropped["auto_created"])
    assert sounds.RATE // 4 == result.length


@pytest.mark.parametrize("given", [{}, {"session_id": None}, {"session_id": ""}])
def test_cropping_makes_a_session_where_there_is_none(stage: Stage, given: dict[str, Any]) -> None:
    """It has audio, and no job yet."""
    cropped = stage.post(CROP, {"audio_data": sounds.base64_wav(), **given})
    polled = stage.poll(cropped["session_id"])

    assert {"success", "session_id", "message", "auto_created"} == set(cropped)
    assert cropped["auto_created"] is True
    assert ("unknown", False) == (polled["status"], polled["transform_in_progress"])


def test_a_typed_prompt_wins_over_the_filler_preset(stage: Stage) -> None:
    """The plugin always names a preset; words replace its prompt."""
    stage.submitted_and_done(custom_prompt="purple strings")

    assert "purple strings" == stage.world.engine.briefs[0].prompt


@pytest.mark.parametrize(
    ("fields", "name", "expected"),
    [
        ({}, "flowstep", 0.129999995231628),
        ({"flowstep": "0.1"}, "flowstep", 0.1),
        ({"flowstep": None}, "flowstep", 0.12),
        ({"solver": "MIDPOINT"}, "solver", "midpoint"),
        ({"solver": None}, "solver", "euler"),
        ({"seed": 7}, "seed", 7),
        ({"seed": "7"}, "seed", 7),
        ({"variation": "custom", "custom_prompt": "strings"}, "prompt", "strings"),
        ({"variation": None, "custom_prompt": "strings"}, "prompt", "strings"),
        ({"variation": "", "prompt": "strings"}, "prompt", "strings"),
    ],
)
def test_fields_are_understood(
    stage: Stage, fields: dict[str, Any], name: str, expected: Any
) -> None:
    """Numbers may be text, solvers may shout, blanks mean the default."""
    stage.submitted_and_done(**fields)

    assert expected == getattr(stage.world.engine.briefs[0], name)


@pytest.mark.parametrize("seed", [-1, "-1", "", None])
def test_a_seed_is_drawn(stage: Stage, seed: Any) -> None:
    """-1, empty or none: five digits, told in receipt and poll."""
    session_id = stage.submitted_and_done(seed=seed)

    assert 0 <= stage.poll(session_id)["seed"] <= 99_999


def test_a_result_that_is_gone_is_told(stage: Stage) -> None:
    """A poll of a job whose file was deleted does not fail."""
    session_id = stage.submitted_and_done()
    job = stage.world.services.jobs.newest_in_session(session_id)
    assert job is not None
    stage.world.artifacts.delete(job.outputs[0].artifact_id)
    polled = stage.poll(session_id)

    assert ("failed", None) == (polled["status"], polled["audio_data"])
    assert polled["error"]


def test_the_latest_audio_can_be_had_again(stage: Stage) -> None:
    """For clients that lost it: 202 while a job lives, then 200."""
    stage.world.queue.hold()
    session_id = stage.submit()
    route = f"/api/latest_generated_audio/{session_id}"
    waiting = stage.world.json(stage.world.client.get(route), status=202)
    stage.world.queue.release()
    stage.news.await_ending(session_id)
    latest = stage.world.json(stage.world.client.get(route))

    assert "in_progress" == waiting["status"]
    assert ("success", session_id) == (latest["status"], latest["session_id"])
    assert stage.poll(session_id)["audio_data"] == latest["audio_data"]
    assert {"model_name", "prompt_duration"} < set(latest)


def test_there_may_be_no_latest_audio(stage: Stage) -> None:
    """404 that tells an unknown session from one without audio."""
    stage.world.engine.failure = errors.EngineFailed()
    session_id = stage.submitted_and_done()
    get = stage.world.client.get
    unknown = stage.world.json(get("/api/latest_generated_audio/nobody"), status=404)
    silent = stage.world.json(get(f"/api/latest_generated_audio/{session_id}"), status=404)

    assert ("not_found", "no_audio") == (unknown["status"], silent["status"])


def test_a_lost_latest_audio_is_told(stage: Stage) -> None:
    """404 as well, never a broken answer."""
    session_id = stage.submitted_and_done()
    session = stage.world.services.sessions.find(session_id)
    assert session is not None
    stage.world.artifacts.delete(str(session.last_processed))
    response = stage.world.client.get(f"/api/latest_generated_audio/{session_id}")

    assert "no_audio" == stage.world.json(response, status=404)["status"]


def test_when_the_queue_is_down_the_plugin_is_told(stage: Stage) -> None:
    """503, in the plugin's shape, and nothing of the session stays."""
    stage.world.queue.is_up = False
    body = {**plugin_request(), "session_id": "daw"}
    refused = stage.post(TRANSFORM, body, status=503)

    assert "The queue cannot be reached. Please try again." == refused["error"]
    assert stage.world.services.sessions.find("daw") is None
