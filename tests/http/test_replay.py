"""A finished job can be done again by its recipe; what has expired leaves its recipe."""

from datetime import timedelta
from typing import Any

import pytest

import variations
from server.cli.demo import RIFF
from server.config import Settings
from server.engines.residency import Residency
from server.jobs.record import now
from server.kinds import KINDS, recipe
from tests.http.conftest import MakeWorld
from tests.http.world import World


def again(here: World, job_id: str, *, status: int = 202, key: str | None = None) -> dict[str, Any]:
    """Ask for a replay."""
    headers = {"Idempotency-Key": key} if key else {}
    return here.json(here.client.post(f"/jobs/{job_id}/replay", headers=headers), status=status)


def test_a_recipe_has_all_that_is_needed(here: World) -> None:
    """Every parameter of the kind, the seed that was used, who played, with what, the words."""
    job = here.finished(here.submit(seed=-1)["id"])
    told = job["recipe"]

    assert set(KINDS["transform"].Spec.model_fields) == set(told["parameters"])
    assert job["seed"] == told["parameters"]["seed"]
    assert ("arranger", "scripted") == (told["engine"], told["model"]["name"])
    assert {"python", "melodyflow", "numpy"} <= set(told["versions"])
    assert [variations.load()["strings_quartet"].prompt] == told["prompts"]


def test_a_replay_is_the_same_order_again(here: World) -> None:
    """Same seed, same engine, a job of its own that names the first."""
    first = here.finished(here.submit(seed=-1, flowstep=0.3, variation="celtic")["id"])
    second = here.finished(again(here, first["id"])["id"])

    assert first["id"] != second["id"]
    assert (first["id"], "finished") == (second["replay_of"], second["status"])
    assert first["seed"] == second["seed"]
    assert here.engine.briefs[0] == here.engine.briefs[1]
    assert "arranger" == second["recipe"]["parameters"]["engine"]


def test_a_replay_of_a_list_and_of_a_replay_is_as_good(here: World) -> None:
    """Each choice in its place."""
    first = here.finished(
        here.submit(variation="custom", variations=["celtic", {"custom_prompt": "strings"}])["id"]
    )
    second = here.finished(again(here, first["id"])["id"])
    third = here.finished(again(here, second["id"])["id"])
    briefs = here.engine.briefs

    assert briefs[:2] == briefs[2:4] == briefs[4:]
    assert second["id"] == third["replay_of"]


def test_the_arranger_gives_the_same_samples_again(make_world: MakeWorld) -> None:
    """Bit for bit, as a file; the negative control is another seed's."""
    here = make_world(engines=Residency(Settings()))
    uploaded = here.client.post("/artifacts", data=RIFF.read_bytes(), content_type="audio/wav")
    source = here.json(uploaded, status=201)["id"]
    order = {"source": source, "variation": "chiptune", "end_seconds": 2.0}
    receipt = here.json(here.client.post("/jobs", json={**order, "seed": 5}), status=202)
    first = here.finished(receipt["id"])
    second = here.finished(again(here, first["id"])["id"])
    one, two = (here.client.get(each["artifacts"][0]["url"]).data for each in (first, second))

    assert ("finished", "finished") == (first["status"], second["status"])
    assert one == two
    assert one != RIFF.read_bytes()


def test_a_preset_that_says_something_else_now_is_played_by_the_words_of_then() -> None:
    """The recipe has them; where nothing changed the preset itself is followed."""
    prompt = variations.load()["celtic"].prompt
    told = {"parameters": {"variation": "celtic", "seed": 1}, "prompts": [prompt], "engine": "x"}
    changed = {**told, "prompts": ["an older wording"]}
    gone = {**changed, "parameters": {"variation": "long gone"}}

    assert {"variation": "celtic", "custom_prompt": None, "seed": 1, "engine": "x"} == (
        recipe.again(told)
    )
    assert "an older wording" == recipe.again(changed)["custom_prompt"]
    assert ("custom", "an older wording") == (
        recipe.again(gone)["variation"],
        recipe.again(gone)["custom_prompt"],
    )


def test_what_has_not_finished_cannot_be_done_again(here: World) -> None:
    """409 while it waits, and after it was cancelled."""
    here.queue.hold()
    receipt = here.submit()
    waiting = again(here, receipt["id"], status=409)
    here.client.delete(receipt["links"]["cancel"])

    assert "conflict" == waiting["error"]["code"]
    assert "conflict" == again(here, receipt["id"], status=409)["error"]["code"]


def test_without_its_source_a_recipe_is_all_that_is_left(here: World) -> None:
    """410, with the recipe; nothing is submitted."""
    job = here.finished(here.submit()["id"])
    here.artifacts.delete(job["recipe"]["parameters"]["source"])
    told = again(here, job["id"], status=410)

    assert ("expired", job["recipe"]) == (told["error"]["code"], told["recipe"])
    assert 0 == here.jobs.count_waiting()


def test_a_replay_may_be_asked_for_once_too(here: World) -> None:
    """The same key, the same replay."""
    job = here.finished(here.submit()["id"])
    one, two = (again(here, job["id"], key="again", status=status) for status in (202, 200))

    assert one["id"] == two["id"]


def test_an_unknown_job_cannot_be_done_again(here: World) -> None:
    """404."""
    assert "no_such_job" == again(here, "0" * 32, status=404)["error"]["code"]


@pytest.fixture(name="brief")
def _brief(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> World:
    """Start a world whose results have all expired."""
    here = make_world()
    monkeypatch.setattr("server.web.jobs.now", lambda: now() + timedelta(hours=25))
    return here


def test_an_expired_job_is_gone_but_for_its_recipe(brief: World) -> None:
    """410 with error and recipe, so that it can be done again elsewhere."""
    receipt = brief.submit(seed=4)
    told = brief.json(brief.client.get(f"/jobs/{receipt['id']}?wait=20"), status=410)

    assert ("expired", 4) == (told["error"]["code"], told["recipe"]["parameters"]["seed"])


def test_a_job_that_waits_has_not_expired(brief: World) -> None:
    """However long it has waited."""
    brief.queue.hold()
    receipt = brief.submit()

    assert 200 == brief.client.get(receipt["links"]["self"]).status_code
