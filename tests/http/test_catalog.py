"""What can be asked for: presets, engines, kinds."""

from typing import Any

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
    assert {"prompt": preset.prompt, "flowstep": 0.12, "steps": 25} == shown["celtic"]


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
