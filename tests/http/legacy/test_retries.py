"""The JUCE plugin wants another try: of what was given, never of what came out."""

from typing import Any

import numpy as np

from server import errors
from tests.http import sounds
from tests.http.legacy.stage import SOURCE_SECONDS, Stage, plugin_generation
from tests.http.legacy.test_generations import PROCESS, RATE, RETRY, result


def retried(stage: Stage, session_id: str, *, times: int, **fields: Any) -> dict[str, Any]:
    receipt = stage.post(f"/api/juce/{RETRY}", {"session_id": session_id, **fields})
    stage.news.await_ending(session_id, times=times)
    return receipt


def test_another_try_is_of_what_was_given_not_of_what_came_out(stage: Stage) -> None:
    """In the same session, with another seed, and as long as the first."""
    session_id = stage.go_on(seed=3)
    first = result(stage, session_id)
    receipt = retried(stage, session_id, times=2, **plugin_generation())
    second = result(stage, session_id)
    clips = stage.world.engine.clips

    assert session_id == receipt["session_id"]
    assert first.length == second.length
    assert np.array_equal(clips[0].samples, clips[1].samples)
    assert stage.poll(session_id)["generation_seed"] == receipt["seed"]


def test_another_try_of_a_beginning_is_of_the_beginning(stage: Stage) -> None:
    """And so is the one after it."""
    session_id = stage.go_on(PROCESS)
    for times in (2, 3):
        retried(stage, session_id, times=times)

        assert 30.0 == result(stage, session_id).seconds


def test_what_another_try_does_not_say_is_as_the_session_had_it(stage: Stage) -> None:
    """Weights, and how much is heard; the others have their defaults."""
    stage.play_nothing()
    session_id = stage.go_on(model_name="owner/jungle", prompt_duration=1, top_k=99)
    retried(stage, session_id, times=2)
    retried(stage, session_id, times=3, model_name="owner/house", prompt_duration="2")
    retried(stage, session_id, times=4, model_name="", prompt_duration=None)
    engine = stage.world.engine

    assert ["owner/jungle"] * 2 + ["owner/house"] * 2 == [each.model for each in engine.samplings]
    assert [1 * RATE, 1 * RATE, 2 * RATE, 2 * RATE] == [clip.length for clip in engine.clips]
    assert [99, 250, 250, 250] == [each.top_k for each in engine.samplings]


def test_what_failed_can_be_tried_again(stage: Stage) -> None:
    """Its input is known although nothing came out of it."""
    stage.world.engine.failure = errors.EngineFailed()
    session_id = stage.go_on()
    stage.world.engine.failure = None
    retried(stage, session_id, times=2)

    assert "completed" == stage.poll(session_id)["status"]


def test_there_may_be_nothing_to_try_again(stage: Stage) -> None:
    """A session that is unknown, that had no job, or that is not named."""
    cropped = stage.post(
        "/api/juce/update_cropped_audio", {"audio_data": sounds.base64_wav(SOURCE_SECONDS)}
    )["session_id"]
    route = f"/api/juce/{RETRY}"
    unknown = stage.post(route, {"session_id": "nobody"}, status=404)
    nothing = stage.post(route, {"session_id": cropped}, status=400)
    unnamed = stage.post(route, {}, status=400)

    assert "Session not found" == unknown["error"]
    assert "No last input audio available for retry" == nothing["error"]
    assert "No session ID provided" == unnamed["error"]
