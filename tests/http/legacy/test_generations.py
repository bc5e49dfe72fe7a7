"""The JUCE plugin continues music: three routes, one poll."""

import math
from typing import Any

import numpy as np
import pybase64
import pytest

from server import errors
from server.media import codec
from server.media.clip import Clip
from server.web.plugin.generations import DESCRIPTIONS
from tests.http import sounds
from tests.http.legacy.stage import SOURCE_SECONDS, Stage, plugin_generation, plugin_request

POLLED = "/api/juce/poll_status/"
PROCESS, CONTINUE, RETRY = "process_audio", "continue_music", "retry_music"
ROUTES = (PROCESS, CONTINUE)
RATE = sounds.RATE


def decoded(audio: str) -> Clip:
    return codec.decode(pybase64.b64decode(audio, validate=True))


def result(stage: Stage, session_id: str) -> Clip:
    return decoded(stage.poll(session_id)["audio_data"])


def source(**how: Any) -> Clip:
    return codec.decode(sounds.wav(SOURCE_SECONDS, **how))


def submitted(stage: Stage, route: str, **fields: Any) -> dict[str, Any]:
    body = {"audio_data": sounds.base64_wav(SOURCE_SECONDS), **plugin_generation(), **fields}
    return stage.post(f"/api/juce/{route}", body)


def refused(stage: Stage, route: str, *, status: int = 400, **fields: Any) -> dict[str, Any]:
    body = {"audio_data": sounds.base64_wav(SOURCE_SECONDS), **plugin_generation(), **fields}
    return stage.post(f"/api/juce/{route}", body, status=status)


def test_a_receipt_says_session_and_seed(stage: Stage) -> None:
    """The five fields of a submit, whichever it is; the seed is the one that is used."""
    for times, route in enumerate((PROCESS, CONTINUE, RETRY), start=1):
        receipt = submitted(stage, route, session_id="daw", seed=41)
        stage.news.await_ending("daw", times=times)

        assert {"success", "session_id", "seed", "message", "note"} == set(receipt)
        assert (True, "daw", 41) == (receipt["success"], receipt["session_id"], receipt["seed"])
        assert "Generation started" == receipt["message"]
        assert f"{POLLED}daw" in receipt["note"]


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2)])
def test_a_beginning_becomes_half_a_minute(stage: Stage, rate: int, channels: int) -> None:
    """Of the input's rate; the first seconds are the input's own samples."""
    sound = sounds.base64_wav(SOURCE_SECONDS, rate=rate, channels=channels)
    made = result(stage, stage.go_on(PROCESS, audio_data=sound, prompt_duration=2))
    given = source(rate=rate, channels=channels)

    assert (30 * rate, rate) == (made.length, made.sample_rate)
    assert np.array_equal(given.samples[:, : 2 * rate], made.samples[:, : 2 * rate])
    assert stage.world.engine.clips[0].length == 2 * rate


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2)])
def test_a_sound_goes_on_where_it_ends(stage: Stage, rate: int, channels: int) -> None:
    """All of it, and 30 s less what was heard of it; its last seconds are what is heard."""
    sound = sounds.base64_wav(SOURCE_SECONDS, rate=rate, channels=channels)
    made = result(stage, stage.go_on(CONTINUE, audio_data=sound, prompt_duration=2))
    given = source(rate=rate, channels=channels)

    assert (given.length + 28 * rate, rate) == (made.length, made.sample_rate)
    assert np.array_equal(given.samples, made.samples[:, : given.length])
    assert np.array_equal(stage.world.engine.clips[0].samples, given.samples[:, -2 * rate :])


def test_a_sound_shorter_than_the_prompt_is_continued_all_the_same(stage: Stage) -> None:
    """There is no more to be heard than there is."""
    for route, seconds in ((PROCESS, 30.0), (CONTINUE, SOURCE_SECONDS + 15)):
        session_id = stage.go_on(route, prompt_duration=15)

        assert seconds == pytest.approx(result(stage, session_id).seconds)


@pytest.mark.parametrize("route", ROUTES)
def test_a_generation_is_queued_then_warming_then_processing(stage: Stage, route: str) -> None:
    """One poll for transforms and generations alike; its flag is the one that is up."""
    stage.world.queue.hold()
    stage.world.engine.hold()
    session_id = submitted(stage, route, seed=41)["session_id"]
    queued = stage.poll(session_id)
    stage.world.queue.release()
    assert stage.world.engine.is_stepping.wait(20)
    processing = stage.poll(session_id)
    stage.world.engine.release()
    stage.news.await_ending(session_id)
    completed = stage.poll(session_id)

    for polled, status in ((queued, "queued"), (processing, "processing")):
        assert (True, False) == (polled["generation_in_progress"], polled["transform_in_progress"])
        assert status == polled["status"] == polled["queue_status"]["status"]
        assert (41, None) == (polled["generation_seed"], polled["audio_data"])
    assert "generating..." == processing["queue_status"]["message"]
    assert (1, 0) == (queued["queue_status"]["position"], queued["progress"])
    assert (False, False, "completed", 100, 41) == tuple(
        completed[name]
        for name in (
            "generation_in_progress",
            "transform_in_progress",
            "status",
            "progress",
            "generation_seed",
        )
    )
    assert completed["audio_data"]


def test_a_poll_says_what_the_session_was_played_with(stage: Stage) -> None:
    """In the shape that front servers told it."""
    stage.play_nothing()
    session_id = stage.go_on(
        model_name="owner/jungle", prompt_duration="2", top_k="99", temperature="0.5", cfg_coef=4
    )
    polled = stage.poll(session_id)

    assert {
        "model_name": "owner/jungle",
        "prompt_duration": 2.0,
        "parameters": {"top_k": 99, "temperature": 0.5, "cfg_coef": 4.0},
        "description": None,
    } == polled["session_data"]


def test_fields_reach_the_engine(stage: Stage) -> None:
    """As numbers or as text."""
    stage.play_nothing()
    fields = {"top_k": "150", "temperature": "0.9", "cfg_coef": "5", "seed": "7"}
    stage.go_on(description="drums, percussion", model_name="owner/jungle", **fields)
    brief, sampling = stage.world.engine.briefs[0], stage.world.engine.samplings[0]

    assert ("drums, percussion", 7) == (brief.prompt, brief.seed)
    assert ("owner/jungle", 150, 0.9, 5.0) == (
        sampling.model,
        sampling.top_k,
        sampling.temperature,
        sampling.cfg_coef,
    )


def test_what_is_not_said_has_its_default(stage: Stage) -> None:
    """Six seconds are heard, of which there may be fewer; the engine chooses what it plays with."""
    fields: dict[str, Any] = dict.fromkeys(plugin_generation())
    session_id = stage.go_on(CONTINUE, **fields, audio_data=sounds.base64_wav(8.0))
    sampling = stage.world.engine.samplings[0]

    assert ("", 250, 0.0, 1.0, 3.0) == (
        sampling.model,
        sampling.top_k,
        sampling.top_p,
        sampling.temperature,
        sampling.cfg_coef,
    )
    assert 6 * RATE == stage.world.engine.clips[0].length
    assert 32.0 == result(stage, session_id).seconds


def test_words_need_not_be_said(stage: Stage) -> None:
    """Then there are none, unless the weights were never played without any."""
    stage.play_nothing()
    orchestra = "thepatch/gary_orchestra_2"
    stage.go_on(description="  ")
    stage.go_on(description=None, model_name=orchestra)
    stage.go_on(description="a kazoo", model_name=orchestra)

    assert ["", DESCRIPTIONS[orchestra], "a kazoo"] == [
        brief.prompt for brief in stage.world.engine.briefs
    ]


@pytest.mark.parametrize("seed", [-1, ""])
def test_a_seed_is_drawn(stage: Stage, seed: Any) -> None:
    """-1, empty or none: five digits, told in receipt and poll."""
    stage.play_nothing()
    session_id = stage.go_on(seed=seed)
    polled = stage.poll(session_id)

    assert 0 <= polled["generation_seed"] <= 99_999
    assert stage.world.engine.briefs[0].seed == polled["generation_seed"]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "seed of text": ({"seed": "junk"}, "seed"),
    "seed below": ({"seed": -2}, "seed"),
    "prompt of text": ({"prompt_duration": "long"}, "prompt_duration"),
    "prompt of nothing": ({"prompt_duration": 0}, "prompt_duration"),
    "prompt too long": ({"prompt_duration": 29.5}, "prompt_duration"),
    "prompt of everything": ({"prompt_duration": 30}, "prompt_duration"),
    "prompt nan": ({"prompt_duration": "nan"}, "prompt_duration"),
    "prompt true": ({"prompt_duration": True}, "prompt_duration"),
    "prompt as a list": ({"prompt_duration": [6]}, "prompt_duration"),
    "top_k of text": ({"top_k": "many"}, "top_k"),
    "top_k below": ({"top_k": -1}, "top_k"),
    "temperature of zero": ({"temperature": 0}, "temperature"),
    "cfg_coef of text": ({"cfg_coef": "x"}, "cfg_coef"),
    "weights as a path": ({"model_name": "../../etc/passwd"}, "model_name"),
    "weights of wrong type": ({"model_name": 5}, "model_name"),
    "words of wrong type": ({"description": {"a": 1}}, "description"),
    "endless words": ({"description": "x" * 100_000}, "description"),
    "audio that is not base64": ({"audio_data": "!!!"}, "audio_data"),
    "audio that is noise": ({"audio_data": "AAAAAAAA"}, "audio_data"),
    "no audio": ({"audio_data": None}, "audio_data"),
    "session as a path": ({"session_id": "../etc"}, "session_id"),
    "unknown engine": ({"engine": "kazoo"}, "engine"),
}


@pytest.mark.parametrize("route", ROUTES)
def test_a_wrong_generation_is_refused(stage: Stage, route: str, subtests: pytest.Subtests) -> None:
    """400, with the field as it was sent; nothing is begun, and no session is made."""
    for name, (fields, field) in WRONG.items():
        with subtests.test(name):
            said = refused(stage, route, **{"session_id": "daw", **fields})

            assert (False, field) == (said["success"], said["field"])
            assert said["error"]
            assert 0 == stage.world.services.jobs.waiting()
            assert stage.world.services.sessions.find("daw") is None


@pytest.mark.parametrize("first", ["transform", "generation"])
def test_a_busy_session_says_with_what(stage: Stage, first: str) -> None:
    """One job of either kind, and the text says of which."""
    stage.world.queue.hold()
    is_transform = first == "transform"
    session_id = stage.submit() if is_transform else submitted(stage, CONTINUE)["session_id"]
    words = f"{first.capitalize()} already in progress"
    said = [refused(stage, route, session_id=session_id) for route in ROUTES]
    body = {**plugin_request(), "session_id": session_id}
    said += [stage.post("/api/juce/transform_audio", body, status=400)]
    said += [stage.post(f"/api/juce/{RETRY}", {"session_id": session_id}, status=400)]

    assert {(words, "busy", False)} == {
        (each["error"], each["code"], each["success"]) for each in said
    }


def test_transforms_and_generations_share_what_a_session_has(stage: Stage) -> None:
    """What one made the other takes; undo gives back what the last one was given."""
    session_id = stage.submitted_and_done(audio_data=sounds.base64_wav(SOURCE_SECONDS))
    transformed = result(stage, session_id)
    submitted(stage, CONTINUE, session_id=session_id, audio_data=None)
    stage.news.await_ending(session_id, times=2)
    continued = result(stage, session_id)
    undone = stage.post("/api/juce/undo_transform", {"session_id": session_id})
    latest = stage.world.json(stage.world.client.get(f"/api/latest_generated_audio/{session_id}"))

    assert np.array_equal(transformed.samples, continued.samples[:, : transformed.length])
    assert np.array_equal(transformed.samples, decoded(undone["audio_data"]).samples)
    assert undone["audio_data"] == latest["audio_data"]
    assert (plugin_generation()["model_name"], 2.0) == (
        latest["model_name"],
        latest["prompt_duration"],
    )


def test_the_latest_audio_is_that_of_a_generation_too(stage: Stage) -> None:
    """With what it was played with, for clients that lost it."""
    session_id = stage.go_on(PROCESS, prompt_duration=3)
    latest = stage.world.json(stage.world.client.get(f"/api/latest_generated_audio/{session_id}"))

    assert stage.poll(session_id)["audio_data"] == latest["audio_data"]
    assert 3.0 == latest["prompt_duration"]


@pytest.mark.parametrize("route", ROUTES)
def test_a_cropped_sound_goes_on(stage: Stage, route: str) -> None:
    """Without sending it again."""
    stage.play_nothing()
    audio = sounds.base64_wav(2.0)
    cropped = stage.post("/api/juce/update_cropped_audio", {"audio_data": audio})
    stage.go_on(route, audio_data=None, session_id=cropped["session_id"], prompt_duration=1)

    assert math.isclose(1.0, stage.world.engine.clips[0].seconds)


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (errors.EngineFailed("No music was heard."), "No music was heard."),
        (errors.EngineUnavailable("Please download the model."), "The server could not do this."),
        (
            errors.InvalidInput("Loading weights failed.", field="x"),
            "The server could not do this.",
        ),
        (ZeroDivisionError("secret"), "Something went wrong on the server."),
    ],
)
def test_a_failed_generation_is_a_successful_poll(
    stage: Stage, failure: BaseException, sentence: str
) -> None:
    """HTTP 200 and `success`, with a sentence that is not taken for a warm-up."""
    stage.world.engine.failure = failure
    polled = stage.poll(stage.go_on())

    assert (True, "failed", sentence) == (polled["success"], polled["status"], polled["error"])
    assert polled["generation_in_progress"] is False
    assert "failed" == polled["queue_status"]["status"]


def test_the_same_request_under_a_key_is_one_generation(stage: Stage) -> None:
    """Plugins that repeat themselves do not pay twice."""
    stage.play_nothing()
    body = {"audio_data": sounds.base64_wav(SOURCE_SECONDS), **plugin_generation()}
    headers = {"Idempotency-Key": "bang"}
    receipts = [
        stage.world.json(
            stage.world.client.post(f"/api/juce/{CONTINUE}", json=body, headers=headers)
        )
        for _ in range(2)
    ]
    stage.news.await_ending(receipts[0]["session_id"])

    other = stage.world.client.post(f"/api/juce/{PROCESS}", json=body, headers=headers)

    assert receipts[0] == receipts[1]
    assert 1 == len(stage.world.engine.clips)
    assert "key_reused" == stage.world.json(other, status=400)["code"]


def test_when_the_queue_is_down_the_plugin_is_told(stage: Stage) -> None:
    """503, in the plugin's shape, and nothing of the session stays."""
    stage.world.queue.is_up = False
    said = refused(stage, CONTINUE, status=503, session_id="daw")

    assert "The queue cannot be reached. Please try again." == said["error"]
    assert stage.world.services.sessions.find("daw") is None


def test_a_job_without_sound_is_no_reason_to_stumble(stage: Stage) -> None:
    """Another door may do in a session what plugins know nothing of."""
    sound = {"audio": sounds.base64_wav(SOURCE_SECONDS), "session_id": "daw"}
    order = {"kind": "suggest", "seconds": 1, **sound}
    stage.post("/api/juce/update_cropped_audio", {"audio_data": sound["audio"], **sound})
    job = stage.world.json(stage.world.client.post("/jobs", json=order), status=202)
    assert "finished" == stage.world.finished(job["id"])["status"]
    caller = stage.caller()
    acknowledged = caller.say("verify_session", {"session_id": "daw"})
    polled = stage.poll("daw")

    assert ({"session_id": "daw"}, []) == (acknowledged, caller.heard)
    assert ("unknown", None) == (polled["status"], polled["error"])
