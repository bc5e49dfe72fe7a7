"""`/transform`, its status route and `/cleanup`, as older clients use them."""

from io import BytesIO
from pathlib import Path
from typing import Any

import pybase64
import pytest

from server import errors
from server.jobs.record import Job
from server.media import codec
from tests.http import sounds
from tests.http.conftest import MakeWorld
from tests.http.scripted import worker_note
from tests.http.world import World

SOUND = sounds.base64_wav()
ORDER: dict[str, Any] = {"audio": SOUND, "variation": "celtic", "session_id": "s-1"}


def transform(here: World, *, status: int = 200, **fields: Any) -> dict[str, Any]:
    """Post a transform and return what is answered."""
    return here.json(here.client.post("/transform", json={**ORDER, **fields}), status=status)


def test_a_sound_comes_back_in_the_same_answer(here: World) -> None:
    """200 with WAV as base64 on one line, and what is known of it."""
    response = here.client.post("/transform", json={**ORDER, "seed": 9})
    body = here.json(response)
    result = codec.decode(pybase64.b64decode(body["audio"], validate=True))

    assert body["message"] == "Audio processed successfully"
    assert codec.decode(sounds.wav()).length == result.length
    assert (body["seed"], body["engine"], body["session_id"]) == (9, "arranger", "s-1")
    assert response.headers["X-Melodyflow-Seed"] == "9"
    assert "MIT" in body["licence"]


def test_the_answer_says_which_words_counted(here: World) -> None:
    """`understood` and `ignored` stand at the top."""
    body = transform(here, custom_prompt="purple strings")

    assert (["strings"], ["purple"]) == (body["understood"], body["ignored"])


@pytest.mark.parametrize(
    "fields",
    [
        {"variation": "custom", "custom_prompt": "slow strings"},
        {"variation": "custom", "prompt": "slow strings"},
        {"variation": None, "custom_prompt": "slow strings"},
        {"variation": "accordion_folk", "custom_prompt": "slow strings"},
    ],
)
def test_own_words_win(here: World, fields: dict[str, Any]) -> None:
    """With `custom`, with a preset's name as filler, or with none."""
    transform(here, **fields)

    assert here.engine.briefs[0].prompt == "slow strings"
    assert here.engine.briefs[0].is_custom


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"flowstep": "0.25"}, {"flowstep": 0.25}),
        ({"flowstep": 0.129999995231628}, {"flowstep": 0.129999995231628}),
        ({"flowstep": 1}, {"flowstep": 1.0}),
        ({"flowstep": None}, {"flowstep": 0.12}),
        ({"flowstep": ""}, {"flowstep": 0.12}),
        ({"solver": "MIDPOINT"}, {"solver": "midpoint"}),
        ({"solver": None}, {"solver": "euler"}),
        ({"seed": "17"}, {"seed": 17}),
        ({"bpm": 93.5}, {"bpm": 93.5}),
        ({"strength": 0.4}, {"strength": 0.4}),
        ({"colour": "blue"}, {}),
    ],
)
def test_fields_are_read_as_clients_send_them(
    here: World, fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Numbers as text, empty and null for defaults, any case, unknown fields ignored."""
    transform(here, **fields)
    brief = here.engine.briefs[0]

    assert expected == {name: getattr(brief, name) for name in expected}


@pytest.mark.parametrize("seed", [-1, None, "", "-1"])
def test_no_seed_draws_one(here: World, seed: object) -> None:
    """From 0 to 99999, and it is told."""
    assert 0 <= transform(here, seed=seed)["seed"] <= 99999


def test_audio_data_and_transformation_type_are_the_same_thing(here: World) -> None:
    """Names other servers of this family use."""
    order = {"audio_data": SOUND, "transformation_type": "celtic"}
    body = here.json(here.client.post("/transform", json=order))

    assert body["session_id"]


def test_a_form_is_read_too(here: World) -> None:
    """Multipart, as the local edition of the service takes it."""
    form = {"audio": (BytesIO(sounds.wav()), "x.wav"), "variation": "celtic", "flowstep": "0.2"}
    here.json(here.client.post("/transform", data=form))

    assert here.engine.briefs[0].flowstep == 0.2


def test_wav_itself_can_be_had(here: World) -> None:
    """`Accept: audio/wav`: the bytes, as an attachment, with the seed in a header."""
    response = here.client.post(
        "/transform", json={**ORDER, "seed": 4}, headers={"Accept": "audio/wav"}
    )

    assert response.mimetype == "audio/wav"
    assert codec.decode(response.data).length == codec.decode(sounds.wav()).length
    assert "transformed_audio.wav" in response.headers["Content-Disposition"]
    assert response.headers["X-Melodyflow-Seed"] == "4"


@pytest.mark.parametrize("blank", [{}, {"audio": ""}, {"audio": None}])
def test_a_file_in_the_transfer_directory_is_read(
    make_world: MakeWorld, tmp_path: Path, blank: dict[str, Any]
) -> None:
    """`audio_file_path` wins over `audio`, which may as well be blank."""
    (tmp_path / "transfer").mkdir()
    (tmp_path / "transfer" / "in.wav").write_bytes(sounds.wav(0.25))
    here = make_world(audio_transfer_dir=tmp_path / "transfer")
    body = transform(here, **blank, audio_file_path=str(tmp_path / "transfer" / "in.wav"))

    assert codec.decode(pybase64.b64decode(body["audio"])).seconds == 0.25


def test_a_patient_client_polls(here: World) -> None:
    """`async`: 202, 202 while it waits and runs, then the result."""
    here.queue.hold()
    here.engine.hold()
    first = transform(here, status=202, **{"async": True, "seed": 8})
    url = f"/transform/status/{first['job_id']}"
    waiting = here.json(here.client.get(url), status=202)
    here.queue.release()
    assert here.engine.is_stepping.wait(20)
    running = here.json(here.client.get(url), status=202)
    here.engine.release()
    here.finished(first["job_id"])
    done = here.json(here.client.get(url))

    assert ("queued", 1, "s-1") == (first["status"], first["position"], first["session_id"])
    assert ("queued", None) == (waiting["status"], waiting["started_at"])
    assert ("running", 0) == (running["status"], running["position"])
    assert (8, done["message"]) == (done["seed"], "Audio processed successfully")


def test_a_form_can_ask_to_be_async(here: World) -> None:
    """`async=true` as text."""
    form = {"audio": (BytesIO(sounds.wav()), "x.wav"), "variation": "celtic", "async": "true"}

    assert here.client.post("/transform", data=form).status_code == 202


def test_waiting_has_an_end(make_world: MakeWorld) -> None:
    """A job that takes longer than the server waits is answered with 202."""
    here = make_world(transform_wait_seconds=0.05)
    here.queue.hold()
    body = transform(here, status=202)

    assert here.finished_later(body["job_id"])["status"] == "finished"


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (errors.EngineFailed("No music was heard."), 500, "engine_failed"),
        (errors.OutOfMemory(), 500, "out_of_memory"),
        (errors.EngineUnavailable(), 503, "engine_unavailable"),
        (errors.UnreadableAudio(), 400, "unreadable_audio"),
        (errors.TooLong(), 413, "too_long"),
        (ZeroDivisionError("a secret detail"), 500, "internal"),
        (errors.TimedOut(), 500, "timed_out"),
    ],
)
def test_trouble_is_blamed_on_whom_it_belongs_to(
    here: World, failure: BaseException, status: int, code: str
) -> None:
    """A model's trouble is never 400; polling tells it as 400 with its status, as it always was."""
    here.engine.failure = failure
    body = transform(here, status=status)
    submitted = transform(here, status=202, **{"async": True})
    here.finished(submitted["job_id"])
    polled = here.json(here.client.get(f"/transform/status/{submitted['job_id']}"), status=400)

    assert code == body["code"] == polled["code"]
    assert (body["error"], "failed") == (polled["error"], polled["status"])
    assert "secret" not in body["error"]


def test_a_cancelled_transform_is_told_as_such(here: World) -> None:
    """To the one who waits with 409, to the one who polls with 400."""
    here.engine.failure = errors.Cancelled()
    waited = transform(here, status=409)
    submitted = transform(here, status=202, **{"async": True})
    here.finished(submitted["job_id"])
    polled = here.json(here.client.get(f"/transform/status/{submitted['job_id']}"), status=400)

    assert waited["error"] == polled["error"] == "The job was cancelled."
    assert polled["status"] == "cancelled"


def test_an_expired_result_is_410(here: World) -> None:
    """Or 404 once nobody knows it any more; here the file was deleted."""
    job_id = transform(here)["job_id"]
    for artifact in here.finished(job_id)["artifacts"]:
        here.client.delete(artifact["url"])
    gone = here.json(here.client.get(f"/transform/status/{job_id}"), status=404)

    assert gone["error"] == "There is no such artifact."


def test_a_job_of_another_kind_is_no_transform(here: World) -> None:
    """404, as if it were not there."""
    song = Job(kind="song", spec={})
    here.jobs.add(song)

    assert here.client.get(f"/transform/status/{song.id}").status_code == 404


def test_an_unknown_job_is_not_found(here: World) -> None:
    """404 with the text clients compare with."""
    body = here.json(here.client.get(f"/transform/status/{'0' * 32}"), status=404)

    assert body["error"] == "Job not found"


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "no variation": ({"variation": None}, "Missing required data", "variation"),
    "no sound": ({"audio": None}, "No audio data or file path provided", "audio"),
    "flowstep 0": ({"flowstep": 0}, "Flowstep must be positive", "flowstep"),
    "flowstep below 0": ({"flowstep": -0.5}, "Flowstep must be positive", "flowstep"),
    "flowstep -inf": ({"flowstep": "-inf"}, "Flowstep must be positive", "flowstep"),
    "flowstep text": ({"flowstep": "abc"}, "Invalid flowstep value", "flowstep"),
    "flowstep list": ({"flowstep": [1]}, "Invalid flowstep value", "flowstep"),
    "flowstep true": ({"flowstep": True}, "Invalid flowstep value", "flowstep"),
    "flowstep nan": ({"flowstep": "nan"}, "Invalid flowstep value", "flowstep"),
    "flowstep inf": ({"flowstep": "inf"}, "Invalid flowstep value", "flowstep"),
    "flowstep 5": ({"flowstep": 5}, "Invalid flowstep value", "flowstep"),
    "flowstep huge": ({"flowstep": 10**400}, "Invalid flowstep value", "flowstep"),
    "solver": ({"solver": "rk4"}, "Invalid solver", "solver"),
    "solver list": ({"solver": ["euler"]}, "Invalid solver", "solver"),
    "preset": ({"variation": "x"}, "Failed to process audio: Unknown variation: x", "variation"),
    "noise": ({"audio": "AAAA"}, "Failed to load audio: ", "audio"),
    "text": ({"audio": "aGVsbG8gd29ybGQsIGhlbGxv"}, "Failed to load audio: ", "audio"),
    "not base64": ({"audio": "%%%"}, "The audio is not valid base64.", "audio"),
    "session": ({"session_id": "../x"}, "A session_id has", "session_id"),
    "seed": ({"seed": "x"}, "seed must be a valid integer", "seed"),
    "no words": ({"variation": "custom"}, "", "custom_prompt"),
    "file": ({"audio_file_path": "/etc/passwd"}, "audio_file_path names no", "audio_file_path"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_400_with_the_known_text(here: World, case: str) -> None:
    """The shape is `{"error": text}`; nothing sent is repeated."""
    fields, text, field = WRONG[case]
    response = here.client.post("/transform", json={**ORDER, **fields})
    body = here.json(response, status=400)

    assert body["error"].startswith(text)
    assert body["error"]
    assert body["field"] in (field, None)
    assert SOUND[:40] not in response.get_data(as_text=True)


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{}", "application/json", 400),
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"x", "text/plain", 415),
    ],
)
def test_broken_bodies_have_the_same_shape(
    here: World, body: bytes, content_type: str, status: int
) -> None:
    """Never 500, as the original had it."""
    response = here.client.post("/transform", data=body, content_type=content_type)

    assert isinstance(here.json(response, status=status)["error"], str)


def test_a_full_server_says_when_to_come_back(make_world: MakeWorld) -> None:
    """503 with Retry-After and the known text; polling goes on."""
    here = make_world(max_waiting_jobs=1)
    here.queue.hold()
    first = transform(here, status=202, **{"async": True})
    refused = here.client.post("/transform", json={**ORDER, "session_id": "s-2"})
    polled = here.client.get(f"/transform/status/{first['job_id']}")

    assert here.json(refused, status=503)["error"].startswith("Server is currently at capacity")
    assert "Retry-After" in refused.headers
    assert polled.status_code == 202


def test_a_busy_session_is_refused(here: World) -> None:
    """409 in the plain shape."""
    here.queue.hold()
    transform(here, status=202, **{"async": True})

    assert isinstance(transform(here, status=409)["error"], str)


@pytest.mark.parametrize(
    ("loaded", "message"),
    [(("arranger",), "Model cleaned up successfully"), ((), "No model to cleanup")],
)
def test_cleanup_asks_the_workers(here: World, loaded: tuple[str, ...], message: str) -> None:
    """And says whether there was anything to unload."""
    here.workers.announce(worker_note(loaded=loaded))
    body = here.json(here.client.post("/cleanup"))

    assert message == body["message"]
    assert here.queue.unloads == 1


def test_cleanup_needs_the_wire(here: World) -> None:
    """503 in the plain shape."""
    here.queue.is_up = False

    assert isinstance(here.json(here.client.post("/cleanup"), status=503)["error"], str)
