"""What the plugin's routes refuse: always in the shape it reads, never 5xx."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from server.web.plugin import wording
from tests.http.legacy import malformed
from tests.http.legacy.stage import Stage

POSTS = (
    "/api/juce/transform_audio",
    "/api/juce/undo_transform",
    "/api/juce/update_cropped_audio",
    "/api/juce/process_audio",
    "/api/juce/continue_music",
    "/api/juce/retry_music",
)


@pytest.mark.parametrize("name", malformed.TRANSFORMS)
def test_a_wrong_transform_is_refused(stage: Stage, name: str) -> None:
    """400, with field and sentence, without the audio, and without a word of warming up."""
    body = malformed.TRANSFORMS[name]
    refused = stage.post(POSTS[0], body, status=400)

    assert {"success", "error", "code", "field"} == set(refused)
    assert (False, malformed.field_of(name)) == (refused["success"], refused["field"])
    assert refused["error"]
    assert refused["error"] == wording.final(refused["error"])
    assert malformed.says_nothing_of(refused["error"], body)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("seed of text", "seed"),
        ("flowstep nan", "flowstep"),
        ("unknown solver", "solver"),
        ("session as a path", "session_id"),
        ("no preset", "variation"),
        ("custom without words", "custom_prompt"),
    ],
)
def test_a_refusal_names_the_field(stage: Stage, name: str, field: str) -> None:
    """The sentence has it: there is no other place the plugin shows."""
    assert field in stage.post(POSTS[0], malformed.TRANSFORMS[name], status=400)["error"]


@pytest.mark.parametrize("body", malformed.SESSIONS.values(), ids=malformed.SESSIONS)
def test_undo_needs_a_session(stage: Stage, body: dict[str, Any]) -> None:
    """400 whatever is wrong with the id."""
    refused = stage.post("/api/juce/undo_transform", body, status=400)

    assert refused["success"] is False
    assert refused["error"]


@pytest.mark.parametrize("audio", [None, "", 5, "!!!", "AAAAAAAA"])
def test_cropping_needs_audio(stage: Stage, audio: Any) -> None:
    """400, and no session is made."""
    body = {"session_id": "daw", "audio_data": audio}
    refused = stage.post("/api/juce/update_cropped_audio", body, status=400)

    assert refused["success"] is False
    assert stage.world.services.sessions.find("daw") is None


@pytest.mark.parametrize("route", POSTS)
@pytest.mark.parametrize("raw", ["", "{", "[]", '"text"', "null", "5", '{"a":'])
def test_what_is_no_json_object_is_refused(stage: Stage, route: str, raw: str) -> None:
    """400, where the first service broke down."""
    response = stage.world.client.post(route, data=raw, content_type="application/json")

    assert stage.world.json(response, status=400)["success"] is False


@pytest.mark.parametrize("route", POSTS)
def test_another_content_type_is_refused(stage: Stage, route: str) -> None:
    """400 in the same shape."""
    response = stage.world.client.post(route, data="audio", content_type="text/plain")

    assert stage.world.json(response, status=400)["success"] is False


def test_a_broken_record_tells_nothing_of_itself(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500 in the plugin's shape, without the exception's text."""
    monkeypatch.setattr(type(stage.world.jobs), "newest_in_session", lambda *_: 1 // 0)
    refused = stage.poll("daw", status=500)

    assert "Something went wrong on the server." == refused["error"]
    assert ("internal", None) == (refused["code"], refused["field"])


@pytest.mark.parametrize("route", POSTS)
@given(body=malformed.PLAUSIBLE)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_json_makes_the_server_stumble(stage: Stage, route: str, body: Any) -> None:
    """Whatever is sent is taken or refused, and the answer says which."""
    stage.play_nothing()
    response = stage.world.client.post(route, json=body)

    unknown = (404,) if route.endswith("retry_music") else ()
    assert response.status_code in (200, 400, *unknown), response.get_data(as_text=True)
    assert (response.status_code == 200) is response.get_json()["success"]
