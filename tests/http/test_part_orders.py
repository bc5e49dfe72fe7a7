"""Orders of parts, layers and files beside a result: taken, refused, done again."""

import json
from io import BytesIO
from typing import Any

import pytest

from server import errors
from server.engines.protocols import OnStep
from server.jobs.record import Role
from server.kinds import companions
from tests.http import sounds
from tests.http.conftest import MakeWorld
from tests.http.daw import SECONDS, done, files, script
from tests.http.scripted import ScriptedEngine
from tests.http.world import World


@pytest.fixture(name="band")
def _band(here: World) -> World:
    """A world whose engine knows what it played."""
    script(here.engine)
    return here


# Trouble


class _Named:
    """Opens the scripted engine under another engine's name."""

    def __init__(self, name: str) -> None:
        self.name, self.engine = name, ScriptedEngine()

    def open(self, name: str, capability: str, *, on_step: OnStep) -> tuple[str, ScriptedEngine]:
        """Return it."""
        return self.name, self.engine


def test_what_means_nothing_to_an_engine_is_never_ignored_in_silence(
    make_world: MakeWorld,
) -> None:
    """One sentence names it; what every engine can do is done."""
    here = make_world(engines=_Named("melodyflow"))
    job = done(here, key="Am", bpm=120, stems=True, midi=True, compare=True)
    notices = job["report"]["notices"]

    assert "bpm, key, stems, midi mean nothing to melodyflow." in notices
    assert {companions.NO_STEMS, companions.NO_NOTES}.isdisjoint(notices)
    assert ["result", "comparison"] == [each["role"] for each in job["artifacts"]]


def test_a_disk_that_is_full_half_way_is_said_and_what_was_stored_is_listed(
    band: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it can be fetched, or deleted; nothing lies about that no record knows."""
    save = band.artifacts.save

    def full(data: bytes, *, name: str, **facts: Any) -> Any:
        if name.startswith("stem-02"):
            raise errors.StorageFailed
        return save(data, name=name, **facts)

    monkeypatch.setattr(band.artifacts, "save", full)
    job = band.finished(band.submit(audio=sounds.base64_wav(SECONDS), stems=True)["id"])

    assert ("failed", "storage") == (job["status"], job["error"]["code"])
    assert ["result", "midi", "stem"] == [each["role"] for each in job["artifacts"]]


# Orders


def test_what_is_asked_of_parts_reaches_the_engine_by_form_too(band: World) -> None:
    form = {
        "audio": (BytesIO(sounds.wav(SECONDS)), "riff.wav"),
        "variation": "strings_quartet",
        "key": "Am",
        "keep_drums": "true",
        "stems": "false",
        "layers": json.dumps({"drums": 0.25}),
        "parts": json.dumps({"viola": {"mute": True}}),
    }
    band.finished(band.json(band.client.post("/jobs", data=form), status=202)["id"])
    brief = band.engine.briefs[0]

    assert ("A minor", True) == (brief.key.name if brief.key else None, brief.keep_drums)
    assert ({"drums": 0.25}, True) == (brief.layers, brief.parts["viola"].mute)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"parts": {"violin1": {"mute": True}}}, "parts"),
        ({"parts": {"viola": {"seed": "x"}}}, "parts.viola.seed"),
        ({"layers": {"drums": 2}}, "layers.drums"),
        ({"key": "Q"}, "key"),
        ({"stems": "some"}, "stems"),
    ],
)
def test_what_is_wrong_is_refused_by_name_before_any_work(
    here: World, fields: dict[str, Any], field: str
) -> None:
    order = {"audio": sounds.base64_wav(), "variation": "strings_quartet", **fields}
    refused = here.json(here.client.post("/jobs", json=order), status=422)

    assert field == refused["error"]["field"]
    assert [] == here.engine.briefs


def test_too_many_stems_are_refused_in_a_sentence(make_world: MakeWorld) -> None:
    """413, as whatever is too long."""
    here = make_world()
    presets = ["celtic", "strings_quartet", "chiptune", "lofi_chill", "music_box", "accordion_folk"]
    order = {"audio": sounds.base64_wav(60.0, rate=8000), "variations": presets, "stems": True}
    refused = here.json(here.client.post("/jobs", json=order), status=413)

    assert ("too_long", "stems") == (refused["error"]["code"], refused["error"]["field"])


def test_a_replay_asks_for_the_same_again(band: World) -> None:
    """Every file, to the sample."""
    wanted = {"stems": True, "compare": True, "key": "C", "parts": {"viola": {"seed": 3}}}
    first = done(band, **wanted, layers={"pitched": 0.5}, keep_drums=False)
    again = band.finished(
        band.json(band.client.post(f"/jobs/{first['id']}/replay"), status=202)["id"]
    )

    for role in Role:
        assert files(band, first, role) == files(band, again, role)
    assert band.engine.briefs[0] == band.engine.briefs[1]


def test_the_document_describes_all_of_it(here: World) -> None:
    """For `POST /jobs`; older clients' own routes stay as they are."""
    document = here.json(here.client.get("/openapi.json"))
    body = document["paths"]["/jobs"]["post"]["requestBody"]["content"]["application/json"]
    told = next(
        each["properties"]
        for each in body["schema"]["oneOf"]
        if each["properties"]["kind"]["const"] == "transform"
    )
    fetched = document["paths"]["/artifacts/{id}"]["get"]["responses"]["200"]["content"]

    wanted = {"key", "keep_drums", "layers", "parts", "stems", "midi", "compare"}
    assert wanted <= set(told)
    assert {"pitched", "drums", "vocals"} == set(told["layers"]["properties"])
    assert "gain_db" in told["parts"]["additionalProperties"]["properties"]
    assert {"audio/midi", "audio/wav"} <= set(fetched)
