"""Presets of the operator's own over HTTP: offered, followed, and gone again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import variations
from server.jobs.runner import GONE
from tests.http.world import World

PRESET = """
[kazoo_choir]
prompt = "A small choir of kazoos hums along in a kitchen."

[kazoo_choir.arrangement]
voices = [{ name = "kazoo", role = "riff", program = 22, range = [48, 84] }]
"""


@pytest.fixture(name="own")
def _own(tmp_path: Path) -> Iterator[Path]:
    """A folder of presets that the server looks at."""
    folder = tmp_path / "own"
    folder.mkdir()
    variations.use_folder(folder)
    yield folder
    variations.use_folder(None)


def look_again(folder: Path) -> None:
    """Have the next question be answered by a look at the folder, without waiting a second."""
    variations.use_folder(None)
    variations.use_folder(folder)


def test_own_presets_are_offered_after_the_others(here: World, own: Path) -> None:
    (own / "kitchen.toml").write_text(PRESET)
    answer = here.json(here.client.get("/variations"))
    names = list(answer["variations"])

    assert [*variations.built_in(), "kazoo_choir"] == names
    assert "A small choir of kazoos" in answer["variations"]["kazoo_choir"]["prompt"]
    assert [] == answer["problems"]
    assert 'value="kazoo_choir"' in here.client.get("/").get_data(as_text=True)


def test_what_is_wrong_is_told_without_the_folder(here: World, own: Path) -> None:
    (own / "kitchen.toml").write_text(PRESET.replace("program", "progam"))
    answer = here.json(here.client.get("/variations"))
    problem = answer["problems"][0]

    assert list(variations.built_in()) == list(answer["variations"])
    assert ("kitchen.toml", "kazoo_choir") == (problem["file"], problem["preset"])
    assert "arrangement.voices.0.progam" == problem["key"]
    assert "kitchen.toml: preset 'kazoo_choir'" in problem["sentence"]
    assert str(own) not in here.client.get("/variations").get_data(as_text=True)


def test_an_own_preset_is_played(here: World, own: Path) -> None:
    (own / "kitchen.toml").write_text(PRESET)
    job = here.finished(here.submit(variation="kazoo_choir")["id"])

    assert ("finished", "kazoo_choir") == (job["status"], job["report"]["variation"])
    assert here.engine.briefs[0].variation == variations.load()["kazoo_choir"]


@pytest.mark.parametrize("order", [{}, {"variation": "custom", "variations": ["kazoo_choir"]}])
def test_a_job_whose_preset_went_while_it_waited_fails_and_says_so(
    here: World, own: Path, order: dict[str, object]
) -> None:
    """It can still be looked at, and the server goes on."""
    (own / "kitchen.toml").write_text(PRESET)
    here.queue.hold()
    receipt = here.submit(**{"variation": "kazoo_choir", **order})
    (own / "kitchen.toml").unlink()
    look_again(own)
    job = here.finished_later(receipt["id"])

    assert "failed" == job["status"]
    assert "no_such_variation" == job["error"]["code"]
    assert f"Unknown variation: kazoo_choir. {GONE}" == job["error"]["message"]
    assert "finished" == here.finished(here.submit()["id"])["status"]


def test_a_preset_that_goes_while_its_job_runs_is_played_to_the_end(here: World, own: Path) -> None:
    (own / "kitchen.toml").write_text(PRESET)
    here.engine.hold()
    receipt = here.submit(variation="kazoo_choir")
    here.engine.is_stepping.wait(10)
    (own / "kitchen.toml").unlink()
    look_again(own)
    here.engine.release()

    assert "finished" == here.finished(receipt["id"])["status"]
