"""Several variations of one sound in one job."""

import json
from io import BytesIO
from typing import Any

import pybase64
import pytest
import soundfile

from server.config import Settings
from server.engines.residency import Residency
from server.kinds.transform import ONE_AT_A_TIME
from server.media import codec
from server.media.tags import DISCLOSURE
from tests import music
from tests.http import sounds
from tests.http.conftest import MakeWorld
from tests.http.legacy.stage import plugin_request
from tests.http.scripted import STEPS
from tests.http.world import World

THREE = ["lofi_chill", {"variation": "celtic", "custom_prompt": "slow strings"}, "chiptune"]
NAMES = ["transformed-1-lofi_chill.wav", "transformed-2-celtic.wav", "transformed-3-chiptune.wav"]


def submit(here: World, **fields: Any) -> dict[str, Any]:
    """Submit a list of three and return the receipt."""
    order = {"audio": sounds.base64_wav(), "variations": THREE, **fields}
    return here.json(here.client.post("/jobs", json=order), status=202)


def done(here: World, **fields: Any) -> dict[str, Any]:
    """Return such a job once it has ended."""
    return here.finished(submit(here, **fields)["id"])


def test_each_variation_is_a_file_in_the_order_of_the_list(here: World) -> None:
    """Under a name of its own, and the engine was called once."""
    job = done(here)
    files = [here.client.get(each["url"]).data for each in job["artifacts"]]

    assert NAMES == [each["name"] for each in job["artifacts"]]
    assert {"result"} == {each["role"] for each in job["artifacts"]}
    assert [codec.decode(sounds.wav()).length] * 3 == [codec.decode(each).length for each in files]
    assert 1 == len(here.engine.clips)


def test_each_variation_has_a_report_of_its_own(here: World) -> None:
    """The first one also stands where that of a single result does."""
    report = done(here)["report"]
    first, second, third = report["variations"]

    assert ["lofi_chill", "celtic", "chiptune"] == [
        each["variation"] for each in (first, second, third)
    ]
    assert (["strings"], []) == (second["understood"], third["understood"])
    assert "slow strings" == second["custom_prompt"]
    assert all("gates" in each["kept"] for each in (first, second, third))
    assert first == {name: value for name, value in report.items() if name != "variations"}


@pytest.mark.parametrize(
    "sent",
    ["lofi_chill, chiptune", json.dumps(["lofi_chill", "chiptune"]), ["lofi_chill", "chiptune"]],
    ids=["names", "JSON", "twice the field"],
)
def test_a_form_sends_a_list_in_any_usual_way(here: World, sent: Any) -> None:
    """As curl and browsers do."""
    form = {"audio": (BytesIO(sounds.wav()), "riff.wav"), "variations": sent}
    job = here.finished(here.json(here.client.post("/jobs", data=form), status=202)["id"])

    assert ["lofi_chill", "chiptune"] == [each["variation"] for each in job["report"]["variations"]]


def test_a_field_that_is_sent_twice_is_not_cut_down_to_one(here: World) -> None:
    """Where one value is expected, two are refused by name."""
    form = {"audio": (BytesIO(sounds.wav()), "riff.wav"), "variation": ["celtic", "chiptune"]}
    refused = here.json(here.client.post("/jobs", data=form), status=422)

    assert "variation" == refused["error"]["field"]


def test_a_list_of_one_is_a_list(here: World) -> None:
    """Its file is named like those of longer ones."""
    job = done(here, variations=["celtic"])

    assert ["transformed-1-celtic.wav"] == [each["name"] for each in job["artifacts"]]
    assert 1 == len(job["report"]["variations"])


def test_one_variation_keeps_its_name(here: World) -> None:
    """As it always was."""
    job = here.finished(here.submit()["id"])

    assert ["transformed.wav"] == [each["name"] for each in job["artifacts"]]
    assert "variations" not in job["report"]


def test_what_a_recipe_says_makes_the_same_again(here: World) -> None:
    """The parameters it holds are an order, seed and all."""
    first = done(here, seed=-1)
    again = here.finished(
        here.json(here.client.post("/jobs", json=first["recipe"]["parameters"]), status=202)["id"]
    )

    assert first["recipe"] == again["recipe"]
    assert first["seed"] == first["recipe"]["parameters"]["seed"] == again["seed"]
    assert [here.client.get(each["url"]).data for each in first["artifacts"]] == [
        here.client.get(each["url"]).data for each in again["artifacts"]
    ]


def test_the_recipe_says_which_model_and_the_answer_under_which_licence(here: World) -> None:
    job = done(here)

    assert {"name": "scripted", "device": "cpu"} == job["recipe"]["model"]
    assert "MIT" in job["licence"]
    assert ("arranger", job["licence"]) == (job["report"]["engine"], job["report"]["licence"])
    assert {"steps": STEPS} == job["report"]["made"]


def test_files_carry_engine_seed_and_licence(here: World) -> None:
    """In the tags every player shows."""
    job = done(here, seed=11, format="flac")
    data = here.client.get(job["artifacts"][1]["url"]).data
    with soundfile.SoundFile(BytesIO(data)) as file:
        tags = file.copy_metadata()

    assert ("celtic", job["licence"]) == (tags["title"], tags["copyright"])
    assert f"{DISCLOSURE} engine: arranger; model: scripted; seed: 11" == tags["comment"]


def test_the_session_goes_on_from_the_first(here: World) -> None:
    """And older clients in it are given the first as well."""
    job = done(here, session_id="daw-1")
    first = here.client.get(job["artifacts"][0]["url"]).data
    kept = here.services.sessions.find("daw-1")
    polled = here.json(here.client.get("/api/juce/poll_status/daw-1"))
    status = here.json(here.client.get(f"/transform/status/{job['id']}"))

    assert kept is not None
    assert job["artifacts"][0]["id"] == kept.last_processed
    assert first == pybase64.b64decode(polled["audio_data"]) == pybase64.b64decode(status["audio"])


@pytest.mark.parametrize("after", [1, STEPS + 1])
def test_a_list_can_be_cancelled_between_steps(here: World, after: int) -> None:
    """Within a step, whichever variation it is at; nothing is left of the others."""
    here.engine.hold(after=after)
    receipt = submit(here)
    assert here.engine.is_stepping.wait(20)
    here.client.delete(receipt["links"]["cancel"])
    here.engine.release()
    job = here.finished(receipt["id"])

    assert ("cancelled", []) == (job["status"], job["artifacts"])
    assert after + 1 == here.engine.steps


def test_a_list_is_refused_where_one_sound_is_expected(here: World) -> None:
    """With the field's name, at the first service's route and at the plugin's."""
    order = {"audio": sounds.base64_wav(), "variations": ["celtic"], "variation": "celtic"}
    first = here.json(here.client.post("/transform", json=order), status=400)
    plugin = here.client.post(
        "/api/juce/transform_audio", json={**plugin_request(), "variations": ["celtic"]}
    )

    assert (ONE_AT_A_TIME, "variations") == (first["error"], first["field"])
    assert ONE_AT_A_TIME == here.json(plugin, status=400)["error"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"variations": []}, "variations"),
        ({"variations": ["celtic"] * 2}, "variations.1"),
        ({"variations": ["nope"]}, "variations.0.variation"),
        ({"variation": "celtic"}, "variations"),
        ({"custom_prompt": "a choir"}, "variations"),
    ],
)
def test_wrong_lists_are_refused_by_field(here: World, fields: dict[str, Any], field: str) -> None:
    """422, before anything is stored."""
    order = {"audio": sounds.base64_wav(), "variations": THREE, **fields}
    refused = here.json(here.client.post("/jobs", json=order), status=422)

    assert field == refused["error"]["field"]


def test_the_arranger_listens_once_for_all(make_world: MakeWorld) -> None:
    """The real engine: three presets of a riff, each with its own sound and report."""
    here = make_world(engines=Residency(Settings()))
    riff = codec.encode(music.riff(seconds=2.5).clip, "wav")
    order = {"audio": (BytesIO(riff), "riff.wav"), "variations": "piano_classical,chiptune"}
    receipt = here.json(here.client.post("/jobs", data=order), status=202)
    job = here.finished(receipt["id"])
    files = [here.client.get(each["url"]).data for each in job["artifacts"]]
    made = [each["made"]["listening"] for each in job["report"]["variations"]]

    assert "finished" == job["status"]
    assert ["computed", "shared"] == made
    assert files[0] != files[1]
    assert "arranger" == job["recipe"]["model"]["name"]
