"""What can be asked for: presets, engines, kinds."""

from pathlib import Path
from typing import Any

import pytest

import variations
from server.engines.catalog import ENGINES
from server.kinds import OFFERED
from tests.http.scripted import WORKER, worker_note
from tests.http.world import World


def test_presets_come_in_the_order_clients_number_them(here: World) -> None:
    """With prompt, flowstep and steps."""
    shown = here.json(here.client.get("/variations"))["variations"]
    preset = variations.load()["celtic"]

    assert list(variations.load()) == list(shown)
    expected = {"prompt": preset.prompt, "flowstep": 0.12, "steps": 25, "example": None}
    assert expected == shown["celtic"]


OGG = bytes(range(256)) * 8
"""Bytes that stand for a file: the server does not look into it."""


@pytest.fixture(name="ogg")
def _ogg(here: World) -> Path:
    """A rendered example of celtic."""
    path = here.services.settings.examples_dir / "celtic.ogg"
    path.parent.mkdir()
    path.write_bytes(OGG)
    return path


@pytest.mark.usefixtures("ogg")
def test_an_example_is_found_where_it_was_rendered(here: World) -> None:
    shown = here.json(here.client.get("/variations"))["variations"]

    assert "/variations/celtic/example" == shown["celtic"]["example"]
    assert ["celtic"] == [name for name, each in shown.items() if each["example"]]


@pytest.mark.usefixtures("ogg")
def test_an_example_is_played_whole_or_in_part(here: World) -> None:
    """As a browser's player asks for it."""
    whole = here.client.get("/variations/celtic/example")
    part = here.client.get("/variations/celtic/example", headers={"Range": "bytes=16-31"})
    beyond = here.client.get("/variations/celtic/example", headers={"Range": "bytes=99999-"})

    assert (200, "audio/ogg", OGG) == (whole.status_code, whole.content_type, whole.data)
    assert (206, OGG[16:32]) == (part.status_code, part.data)
    assert f"bytes 16-31/{len(OGG)}" == part.headers["Content-Range"]
    assert 416 == beyond.status_code


def test_an_example_is_kept_by_browsers_until_it_is_rendered_anew(here: World, ogg: Path) -> None:
    first = here.client.get("/variations/celtic/example")
    known = {"If-None-Match": first.headers["ETag"]}

    assert {"private", "max-age=300"} == set(first.headers["Cache-Control"].split(", "))
    assert 304 == here.client.get("/variations/celtic/example", headers=known).status_code
    ogg.write_bytes(OGG[::-1] + b"longer")
    again = here.client.get("/variations/celtic/example", headers=known)
    assert (200, OGG[::-1] + b"longer") == (again.status_code, again.data)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("celtic", "`make examples` does it"),
        ("celtics", "did you mean celtic?"),
        ("zzz", "`python -m server presets` lists them"),
        ("..%2f..%2fmelodyflow", "There is no preset"),
    ],
)
def test_an_example_that_is_not_there_is_told_with_what_helps(
    here: World, name: str, sentence: str
) -> None:
    answer = here.client.get(f"/variations/{name}/example")

    assert 404 == answer.status_code
    if "%2f" not in name:
        assert sentence in answer.get_json()["error"]["message"]


def _arranger(here: World) -> dict[str, Any]:
    """Return what is shown of the one engine that the scripted worker has."""
    engines = here.json(here.client.get("/engines"))["engines"]
    shown: dict[str, Any] = next(each for each in engines if each["name"] == "arranger")
    return shown


def test_engines_are_available_where_a_worker_has_them(here: World) -> None:
    """Cards of the table, with what a live worker says."""
    engines = here.json(here.client.get("/engines"))["engines"]
    shown = _arranger(here)

    assert list(ENGINES) == [engine["name"] for engine in engines]
    assert {"arranger"} == {engine["name"] for engine in engines if engine["available"]}
    assert {"", "No worker has it."} >= {engine["reason"] for engine in engines}
    assert shown["available"]
    assert {"inpaints", "transforms"} <= set(shown["offers"])
    assert "MIT" in shown["licence"]


def test_an_engine_that_lacks_something_says_what(here: World) -> None:
    """Reason and advice of the worker are told."""
    here.workers.announce(worker_note(available=False))
    shown = _arranger(here)

    assert (False, "There is no sound bank.") == (shown["available"], shown["reason"])
    assert shown["advice"] == "Run make sounds."


def test_without_workers_no_engine_is_available(here: World) -> None:
    """And it is told why."""
    here.workers.leave(WORKER)
    shown = _arranger(here)

    assert (False, "No worker is running.") == (shown["available"], shown["reason"])


def test_kinds_say_what_they_take(here: World) -> None:
    """A JSON schema of the parameters."""
    shown = here.json(here.client.get("/kinds"))["kinds"]

    assert list(OFFERED) == [kind["name"] for kind in shown]
    assert "flowstep" in shown[0]["parameters"]["properties"]
