"""Weights that music can be continued with, as plugins list and fetch them."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from server import errors
from server.engines.checkpoints.cards import CARDS, NON_COMMERCIAL, Family
from server.engines.checkpoints.manifest import Manifest, Print
from server.web import models
from server.web.model_views import ModelGroup
from tests.http.conftest import MakeWorld
from tests.http.doors import person
from tests.http.scripted import ScriptedEngine, ScriptedEngines
from tests.http.world import World

MODELS = "/api/models"
VANYA = "thepatch/vanya_ai_dnb_0.1"


def keep(folder: Path, name: str, *, size: int, family: Family = Family.LANGUAGE) -> None:
    """Put weights of so many bytes into a store; the file has a hole in place of numbers."""
    place = folder / name.replace("/", "--")
    place.mkdir(parents=True)
    with (place / family.file).open("wb") as file:
        file.truncate(size)
    prints = {family.file: Print(size=size, sha256="0" * 64)}
    Manifest(name=name, licence="CC0", files=prints).write(place)


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> Path:
    """Return an empty store."""
    return tmp_path / "weights"


@pytest.fixture(name="stocked")
def _stocked(make_world: MakeWorld, store: Path) -> World:
    """Start a server with that store."""
    return make_world(models_dir=store)


def listed(here: World) -> dict[str, list[dict[str, Any]]]:
    """Return the weights by size."""
    told = here.json(here.client.get(MODELS))
    assert {"success", "models", "updated_at"} == set(told)
    assert told["success"] is True
    models_: dict[str, list[dict[str, Any]]] = told["models"]
    return models_


def every_item(sizes: dict[str, list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    for items in sizes.values():
        yield from items


def test_there_is_something_to_choose_on_a_machine_without_weights(stocked: World) -> None:
    """The official ones and what plugins ask for by themselves, each as an object."""
    sizes = listed(stocked)
    paths = [item["path"] for item in every_item(sizes)]

    assert ["small", "medium", "large"] == list(sizes)
    assert {"name": "vanya_ai_dnb_0.1", "path": VANYA, "type": "single"} in sizes["small"]
    assert all({"name", "path", "type"} == set(item) for item in every_item(sizes))
    assert {name for name in CARDS if "musicgen" in name} | {VANYA} == set(paths)
    assert len(set(paths)) == len(paths)


def test_weights_that_are_here_come_first(stocked: World, store: Path) -> None:
    """By the size of their files; what does not continue music is not listed."""
    keep(store, "owner/zither", size=6_000_000_000)
    keep(store, "owner/choir", size=800_000_000)
    keep(store, "owner/flow", size=1000, family=Family.FLOW)
    sizes = listed(stocked)

    assert "owner/zither" == sizes["large"][0]["path"]
    assert "owner/choir" == sizes["small"][0]["path"]
    assert "owner/flow" not in [item["path"] for item in every_item(sizes)]


def test_damaged_weights_are_not_here(stocked: World, store: Path) -> None:
    """A file that was cut short is as good as none."""
    keep(store, "owner/choir", size=1000)
    (store / "owner--choir" / Family.LANGUAGE.file).write_bytes(b"short")

    assert "owner/choir" not in [item["path"] for item in every_item(listed(stocked))]


def test_the_epochs_of_one_training_are_one_entry(stocked: World, store: Path) -> None:
    """The earliest first, although 8 is no smaller a text than 12."""
    for epoch in (12, 8, 20):
        keep(store, f"owner/bleeps-small-{epoch}", size=800_000_000)
    (group,) = (item for item in listed(stocked)["small"] if item["type"] == "group")

    assert {
        "name": "bleeps-small",
        "type": "group",
        "checkpoints": [
            {"name": f"bleeps-small-{n}", "path": f"owner/bleeps-small-{n}", "epoch": n}
            for n in (8, 12, 20)
        ],
    } == group


def test_one_epoch_alone_is_no_group() -> None:
    """Nor is a training of the same name by somebody else a sibling."""
    items = models.grouped(["a/x-4", "b/x-8", "a/y", "a/z-1", "a/z-2", VANYA])

    assert ["x-4", "x-8", "y", "z", "vanya_ai_dnb_0.1"] == [item.name for item in items]
    assert [False, False, False, True, False] == [isinstance(item, ModelGroup) for item in items]


def test_finetunes_of_the_settings_are_listed(make_world: MakeWorld) -> None:
    """What cannot be a name is passed over."""
    here = make_world(musicgen_finetunes=("owner/house", "../etc"))
    paths = [item["path"] for item in every_item(listed(here))]

    assert "owner/house" in paths
    assert "../etc" not in paths


def test_the_list_says_which_are_here(stocked: World, store: Path) -> None:
    """All of them, or one that is asked for; one that nobody knows is 404."""
    keep(store, "facebook/musicgen-small", size=1000)
    keep(store, "owner/choir", size=1000)
    get = stocked.client.get
    route = f"{MODELS}/download_status"
    every = stocked.json(get(route))["models"]
    one = stocked.json(get(f"{route}?model_name=owner/choir"))["models"]
    unknown = stocked.json(get(f"{route}?model_name=owner/nobody"), status=404)

    assert {"facebook/musicgen-small", "owner/choir"} == {
        name for name, facts in every.items() if facts["downloaded"]
    }
    assert {"downloaded": True, "licence": "CC0", "size_bytes": None} == one["owner/choir"]
    assert NON_COMMERCIAL == every["facebook/musicgen-large"]["licence"]
    assert every["facebook/musicgen-large"]["size_bytes"] > 6e9
    assert every[VANYA]["size_bytes"] is None
    assert ["owner/choir"] == list(one)
    assert unknown["success"] is False


@pytest.mark.parametrize("name", [None, "", "owner/nobody", "../../etc", 5, "a b"])
def test_unknown_weights_are_not_fetched(stocked: World, name: Any) -> None:
    """400 or 404 in the plugin's shape, naming the field; no job is made."""
    response = stocked.client.post(f"{MODELS}/predownload", json={"model_name": name})
    told = response.get_json()

    assert response.status_code in (400, 404)
    assert (False, "model_name") == (told["success"], told["field"])
    assert 0 == stocked.services.jobs.waiting()


def test_only_operators_have_weights_fetched(make_world: MakeWorld, store: Path) -> None:
    """Where keys are asked for; it fills their disk."""
    here = make_world(models_dir=store, keys="on")
    here.queue.hold()
    ann, admin = person(here), person(here, is_admin=True)
    body = {"model_name": VANYA}
    statuses = [
        each.ask("POST", f"{MODELS}/predownload", json=body).status_code for each in (ann, admin)
    ]

    assert [401, 200] == statuses


@pytest.mark.parametrize("session_id", ["nobody", "0" * 32, "a%0Ab"])
def test_an_unknown_fetch_is_not_found(stocked: World, session_id: str) -> None:
    """As an unknown session is; a job of another kind is no fetch either."""
    transform = stocked.submit()["id"]
    for each in (session_id, transform):
        told = stocked.client.get(f"{MODELS}/predownload_status/{each}")

        assert "Session not found" == stocked.json(told, status=404)["error"]


class Fetcher(ScriptedEngines):
    """Engines of a worker that fetches what it is told to, or fails."""

    def __init__(self, failure: errors.MelodyflowError | None = None) -> None:
        super().__init__(ScriptedEngine())
        self.fetched: list[str] = []
        self.failure = failure

    def pull(self, name: str, *, on_progress: Callable[[float, str], None]) -> Mapping[str, Any]:
        """Do what the script says."""
        on_progress(0.5, "Fetching")
        if self.failure is not None:
            raise self.failure
        self.fetched.append(name)
        return {"name": name}


def fetch(here: World) -> tuple[dict[str, Any], Callable[[], dict[str, Any]]]:
    """Have weights fetched; returns the answer, and what tells how far that is."""
    answer = here.client.post(f"{MODELS}/predownload", json={"model_name": VANYA})
    told = here.json(answer)
    route = f"{MODELS}/predownload_status/{told['session_id']}"
    return told, lambda: here.json(here.client.get(route))


def test_weights_are_fetched_by_a_worker(make_world: MakeWorld, store: Path) -> None:
    """Told of at once with the licence; polled until they are here."""
    fetcher = Fetcher()
    here = make_world(models_dir=store, engines=fetcher)
    here.queue.hold()
    told, status = fetch(here)
    waiting = status()
    here.finished_later(told["session_id"])
    done = status()

    assert {"success", "session_id", "model_name", "message"} == set(told)
    assert (True, VANYA) == (told["success"], told["model_name"])
    assert NON_COMMERCIAL in told["message"]
    assert ("queued", 0, 1) == (
        waiting["status"],
        waiting["progress"],
        waiting["queue_status"]["position"],
    )
    assert ("completed", 100, None) == (done["status"], done["progress"], done["error"])
    assert (VANYA, True) == (done["model_name"], done["success"])
    assert [VANYA] == fetcher.fetched


def test_a_fetch_that_fails_says_why(make_world: MakeWorld, store: Path) -> None:
    """A successful poll of a failure, in words that no client takes for a warm-up."""
    failure = errors.Unavailable("The hub cannot be reached.")
    here = make_world(models_dir=store, engines=Fetcher(failure))
    told, status = fetch(here)
    here.finished(told["session_id"])
    polled = status()

    assert (True, "failed") == (polled["success"], polled["status"])
    assert failure.message == polled["error"]
    assert "failed" == polled["queue_status"]["status"]


def test_a_fetch_is_no_session_of_a_plugin(make_world: MakeWorld, store: Path) -> None:
    """Polling it as one finds nothing, and nothing stumbles."""
    here = make_world(models_dir=store, engines=Fetcher())
    told, _ = fetch(here)
    here.finished(told["session_id"])
    polled = here.client.get(f"/api/juce/poll_status/{told['session_id']}")

    assert "Session not found" == here.json(polled, status=404)["error"]
