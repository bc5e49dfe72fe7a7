"""Jobs: submit, look, wait, cancel."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server import errors
from server.media import codec
from tests.http import sounds
from tests.http.conftest import MakeWorld
from tests.http.world import World


def test_a_sound_comes_back_transformed(here: World) -> None:
    """From base64 to a result of the same length that can be fetched."""
    receipt = here.submit(seed=7)
    job = here.finished(receipt["id"])
    result = here.client.get(job["artifacts"][0]["url"])

    assert job["status"] == "finished"
    assert job["progress"] == 1
    assert codec.decode(sounds.wav()).length == codec.decode(result.data).length


def test_a_receipt_says_where_to_go(here: World) -> None:
    """202 with Location, links, position and seed."""
    here.queue.hold()
    response = here.client.post(
        "/jobs", json={"audio": sounds.base64_wav(), "variation": "celtic", "seed": 3}
    )
    receipt = here.json(response, status=202)

    assert receipt["links"]["self"] == response.headers["Location"]
    assert (receipt["status"], receipt["position"], receipt["seed"]) == ("queued", 0, 3)


def test_a_finished_job_tells_how_it_was_done(here: World) -> None:
    """Engine, seed, report and recipe are in the record."""
    job = here.finished(here.submit(seed=11, custom_prompt="purple strings")["id"])

    assert (job["engine"], job["seed"], job["attempt"]) == ("arranger", 11, 1)
    assert (["strings"], ["purple"]) == (job["report"]["understood"], job["report"]["ignored"])
    assert job["recipe"]["parameters"]["seed"] == 11
    assert job["links"]["cancel"] is None


def test_the_kind_is_transform_unless_said(here: World) -> None:
    """`kind` may be left out, or named."""
    assert here.submit()["kind"] == here.submit(kind="transform")["kind"] == "transform"


def test_numbers_may_be_sent_in_a_form(here: World) -> None:
    """Multipart: the file in `audio`, everything else as text."""
    form = {
        "audio": (BytesIO(sounds.wav()), "riff.wav"),
        "variation": "celtic",
        "flowstep": "0.3",
        "seed": "5",
    }
    receipt = here.json(here.client.post("/jobs", data=form), status=202)
    here.finished(receipt["id"])

    assert receipt["seed"] == 5
    assert here.engine.briefs[0].flowstep == 0.3


def test_an_uploaded_sound_is_used_by_its_id(here: World) -> None:
    """`source` names an artifact, and it can be used again."""
    uploaded = here.json(
        here.client.post("/artifacts", data=sounds.wav(), content_type="audio/wav"), status=201
    )
    order = {"source": uploaded["id"], "variation": "chiptune"}
    receipts = [here.json(here.client.post("/jobs", json=order), status=202) for _ in range(2)]

    assert ["finished"] * 2 == [here.finished(each["id"])["status"] for each in receipts]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: f"data:audio/wav;base64,{text}",
        lambda text: "\n".join(text[at : at + 76] for at in range(0, len(text), 76)),
        lambda text: text.replace("+", "-").replace("/", "_").rstrip("="),
    ],
    ids=["data URL", "wrapped", "URL-safe without padding"],
)
def test_base64_is_read_in_every_usual_form(here: World, spoil: Callable[[str], str]) -> None:
    """Clients send all of these."""
    receipt = here.submit(audio=spoil(sounds.base64_wav()))

    assert here.finished(receipt["id"])["status"] == "finished"


def test_a_running_job_tells_its_progress(here: World) -> None:
    """Between 0 and 1, with the stage it is in."""
    here.engine.hold()
    receipt = here.submit()
    assert here.engine.is_stepping.wait(20)
    job = here.json(here.client.get(receipt["links"]["self"]))

    assert (job["status"], job["stage"]) == ("running", "transforming")
    assert 0 <= job["progress"] < 1


def test_positions_count_the_jobs_ahead(here: World) -> None:
    """The first is next, the second waits for one."""
    here.queue.hold()

    assert [0, 1] == [here.submit()["position"] for _ in range(2)]


def test_a_queued_job_is_cancelled_at_once(here: World) -> None:
    """200, and again 200; it never runs."""
    here.queue.hold()
    link = here.submit()["links"]["cancel"]
    first, second = (here.json(here.client.delete(link)) for _ in range(2))
    here.queue.release()
    here.finished(here.submit()["id"])

    assert "cancelled" == first["status"] == second["status"]
    assert len(here.engine.briefs) == 1


def test_a_running_job_stops_at_its_next_step(here: World) -> None:
    """202 while it still runs, then it is cancelled without a result."""
    here.engine.hold()
    receipt = here.submit()
    assert here.engine.is_stepping.wait(20)
    answer = here.client.delete(receipt["links"]["cancel"])
    here.engine.release()
    job = here.finished(receipt["id"])

    assert answer.status_code == 202
    assert ("cancelled", []) == (job["status"], job["artifacts"])


def test_an_ended_job_cannot_be_cancelled(here: World) -> None:
    """409, and the record stays."""
    job = here.finished(here.submit()["id"])
    refused = here.json(here.client.delete(job["links"]["self"]), status=409)

    assert refused["error"]["code"] == "conflict"
    assert here.finished(job["id"])["status"] == "finished"


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (errors.EngineFailed("No music was heard."), "engine_failed"),
        (MemoryError(), "out_of_memory"),
        (ZeroDivisionError("a secret detail"), "internal"),
    ],
)
def test_a_failed_job_has_a_code_and_a_sentence(
    here: World, failure: BaseException, code: str
) -> None:
    """The sentence never repeats what an unexpected exception said."""
    here.engine.failure = failure
    job = here.finished(here.submit()["id"])

    assert ("failed", code) == (job["status"], job["error"]["code"])
    assert "secret" not in job["error"]["message"]


def test_a_session_has_one_job_at_a_time(here: World) -> None:
    """The second is refused until the first has ended."""
    here.queue.hold()
    receipt = here.submit(session_id="daw-1")
    order = {"audio": sounds.base64_wav(), "variation": "celtic", "session_id": "daw-1"}
    refused = here.json(here.client.post("/jobs", json=order), status=409)
    here.queue.release()
    here.finished(receipt["id"])

    assert refused["error"]["code"] == "busy"
    assert here.submit(session_id="daw-1")["session_id"] == "daw-1"


def test_too_many_waiting_jobs_are_refused(make_world: MakeWorld) -> None:
    """429 with Retry-After and how many wait, never on looking; no audio is left behind."""
    here = make_world(max_waiting_jobs=1)
    here.queue.hold()
    receipt = here.submit()
    stored = files(here)
    order = {"audio": sounds.base64_wav(), "variation": "celtic"}
    refused = here.client.post("/jobs", json=order)
    error = here.json(refused, status=429)["error"]

    assert (error["code"], error["position"]) == ("queue_full", 1)
    assert int(refused.headers["Retry-After"]) > 0
    assert here.client.get(receipt["links"]["self"]).status_code == 200
    assert stored == files(here)


@pytest.mark.parametrize(
    ("route", "audio"), [("/transform", "audio"), ("/api/juce/transform_audio", "audio_data")]
)
def test_older_clients_are_told_of_a_full_queue_as_ever(
    make_world: MakeWorld, route: str, audio: str
) -> None:
    """503, in the words that they know, and with Retry-After."""
    here = make_world(max_waiting_jobs=1)
    here.queue.hold()
    here.submit()
    refused = here.client.post(route, json={audio: sounds.base64_wav(), "variation": "celtic"})
    told = here.json(refused, status=503)

    assert (errors.AtCapacity().message, "at_capacity") == (told["error"], told["code"])
    assert int(refused.headers["Retry-After"]) > 0


def files(here: World) -> int:
    """Return how many files are stored."""
    folder = here.services.settings.data_dir / "sounds"
    return sum(each.is_file() for each in folder.rglob("*"))


def test_without_the_wire_nothing_is_taken(here: World) -> None:
    """503 with Retry-After."""
    here.queue.is_up = False
    order = {"audio": sounds.base64_wav(), "variation": "celtic"}
    refused = here.client.post("/jobs", json=order)

    assert here.json(refused, status=503)["error"]["code"] == "wire_down"
    assert "Retry-After" in refused.headers


def test_a_deleted_result_leaves_the_record(here: World) -> None:
    """The job is still told of, without the file."""
    job = here.finished(here.submit()["id"])
    here.client.delete(job["artifacts"][0]["url"])

    assert here.finished(job["id"])["artifacts"] == []


SOUND = sounds.base64_wav()

GOOD: dict[str, Any] = {"audio": SOUND, "variation": "celtic"}
UNSTORED = "0" * 32

REFUSED: dict[str, tuple[dict[str, Any], int, str | None]] = {
    "null sound": ({"audio": None}, 422, "audio"),
    "empty sound": ({"audio": ""}, 422, "audio"),
    "not base64": ({"audio": "!!!"}, 422, "audio"),
    "not even text": ({"audio": "\u00e9\ud800"}, 422, "audio"),
    "data URL without data": ({"audio": "data:audio/wav"}, 422, "audio"),
    "a number for a sound": ({"audio": 5}, 422, "audio"),
    "base64 of text": ({"audio": "aGVsbG8gd29ybGQsIGhlbGxv"}, 415, "audio"),
    "base64 of noise": ({"audio": "AAAAAAAA"}, 422, "audio"),
    "sound and source": ({"source": UNSTORED}, 422, "source"),
    "unknown source": ({"audio": None, "source": UNSTORED}, 422, "source"),
    "source of wrong type": ({"audio": None, "source": [1]}, 422, "source"),
    "unknown kind": ({"kind": "dance"}, 422, "kind"),
    "kind of wrong type": ({"kind": ["transform"]}, 422, "kind"),
    "unknown field": ({"colour": 1}, 422, "colour"),
    "unknown preset": ({"variation": "nope"}, 422, "variation"),
    "custom without words": ({"variation": "custom"}, 422, "custom_prompt"),
    "endless prompt": ({"custom_prompt": "x" * 100_000}, 422, "custom_prompt"),
    "flowstep of zero": ({"flowstep": 0}, 422, "flowstep"),
    "flowstep nan": ({"flowstep": "nan"}, 422, "flowstep"),
    "flowstep true": ({"flowstep": True}, 422, "flowstep"),
    "flowstep beyond": ({"flowstep": 1.01}, 422, "flowstep"),
    "unknown solver": ({"solver": "rk4"}, 422, "solver"),
    "unknown engine": ({"engine": "v8"}, 422, "engine"),
    "seed of text": ({"seed": "x"}, 422, "seed"),
    "session as a path": ({"session_id": "../x"}, 422, "session_id"),
    "session with a line break": ({"session_id": "a\r\n"}, 422, "session_id"),
    "session too long": ({"session_id": "a" * 129}, 422, "session_id"),
    "session of wrong type": ({"session_id": 5}, 422, "session_id"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_orders_are_refused_by_field(here: World, case: str) -> None:
    """The field is named, and nothing that was sent is repeated."""
    changes, status, field = REFUSED[case]
    response = here.client.post("/jobs", json={**GOOD, **changes})
    body = here.json(response, status=status)

    assert field == body["error"]["field"]
    assert body["error"]["message"]
    assert SOUND[:40] not in response.get_data(as_text=True)


def test_a_sound_or_a_source_is_needed(here: World) -> None:
    """The refusal names both."""
    refused = here.json(here.client.post("/jobs", json={"variation": "celtic"}), status=422)

    assert "source" in refused["error"]["message"]


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"null", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"seed": ' + b"9" * 5000 + b"}", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"a=1", "application/x-www-form-urlencoded", 415),
        (b"nonsense", "multipart/form-data", 422),
        (b"nonsense", "multipart/form-data; boundary=x", 422),
    ],
)
def test_broken_bodies_are_the_clients_fault(
    here: World, body: bytes, content_type: str, status: int
) -> None:
    """Never 5xx."""
    response = here.client.post("/jobs", data=body, content_type=content_type)

    assert status == response.status_code
    assert response.get_json()["error"]["message"]


def test_too_long_a_sound_is_refused(make_world: MakeWorld) -> None:
    """413, whatever the format."""
    here = make_world(max_source_seconds=0.3)
    refused = here.client.post("/jobs", json=GOOD)

    assert here.json(refused, status=413)["error"]["field"] == "audio"


def test_too_large_a_body_is_refused(make_world: MakeWorld) -> None:
    """413 as JSON."""
    here = make_world(max_body_megabytes=1)
    refused = here.client.post("/jobs", json={"audio": "A" * 2**21})

    assert here.json(refused, status=413)["error"]["code"] == "too_large"


def test_three_minutes_of_stereo_fit(here: World) -> None:
    """The longest recording a plugin sends: 42 MB as base64."""
    here.queue.hold()
    receipt = here.submit(audio=sounds.base64_wav(180, rate=44_100, channels=2))
    source = here.jobs.get(receipt["id"]).spec["source"]
    here.client.delete(receipt["links"]["cancel"])

    assert here.artifacts.get(source).seconds == 180


@pytest.mark.parametrize("wait", ["x", "-1", "31", "nan", "inf"])
def test_waiting_is_bounded(here: World, wait: str) -> None:
    """Nobody holds a thread for longer than half a minute."""
    refused = here.json(here.client.get(f"/jobs/{'0' * 32}?wait={wait}"), status=422)

    assert refused["error"]["field"] == "wait"


@pytest.mark.parametrize("method", ["get", "delete"])
@pytest.mark.parametrize("job_id", ["0" * 32, "nope", "%00", "..%2f", "\u00e9"])
def test_unknown_jobs_are_not_found(here: World, method: str, job_id: str) -> None:
    """404 as JSON."""
    assert getattr(here.client, method)(f"/jobs/{job_id}").status_code == 404


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    [
        "kind", "audio", "audio_data", "source", "variation", "custom_prompt", "flowstep", "solver",
        "seed", "strength", "bpm", "engine", "format", "session_id", "async", "prompt",
        "audio_file_path", "variations", "start_seconds", "end_seconds", "preview",
    ]
)  # fmt: skip
PLAUSIBLE = JSON | st.sampled_from(
    [SOUND, "celtic", "custom", "0.1", "euler", "auto", 7, ["celtic"], [{"custom_prompt": "a"}]]
)


@pytest.mark.parametrize("route", ["/jobs", "/transform"])
@given(order=st.dictionaries(FIELDS, PLAUSIBLE, max_size=8) | JSON)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_json_makes_the_server_stumble(here: World, route: str, order: Any) -> None:
    """Whatever is sent is taken or refused, never 5xx."""
    response = here.client.post(route, json=order)

    assert 200 <= response.status_code < 500, response.get_data(as_text=True)
