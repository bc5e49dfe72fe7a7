"""`/jobs/<id>/report.png`: a picture of every finished job that made sound out of sound."""

from collections.abc import Mapping
from typing import Any

import pytest

from server import errors
from server.jobs.ports import Wanted
from server.jobs.record import Job
from server.kinds import picture
from server.media import midi
from server.media.clip import Clip
from server.media.key import Key
from server.media.sheet import Sheet, SheetNote, Track
from tests.http import sounds
from tests.http.conftest import MakeWorld
from tests.http.doors import person
from tests.http.world import World

GAP: dict[str, Any] = {"windows": [[0.5, 1.0]], "prompt": "strings"}
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(name="sketching")
def _sketching(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have workers write down what they would draw: where drawing itself is not the question."""

    def sketch(report: Mapping[str, Any], source: Clip, result: Clip, notes: bytes | None) -> bytes:
        name = report.get("variation")
        count = len(midi.decode(notes).tracks) if notes else None
        return PNG + f"{name}, {source.seconds} s, {result.seconds} s, {count} parts".encode()

    monkeypatch.setattr(picture, "_drawn", sketch)


def drawings(here: World) -> list[Job]:
    """Return the jobs that drew, or are to draw, a picture."""
    return list(here.jobs.listed(Wanted(kind=picture.NAME)))


def done(here: World, **fields: Any) -> str:
    """Return the id of a finished job."""
    job = here.finished(here.submit(**fields)["id"])
    assert job["status"] == "finished"
    return str(job["id"])


def ordered(here: World, **order: Any) -> str:
    """Return the id of a finished job of any kind that works on two seconds of sound."""
    sent = {**order, "audio": sounds.base64_wav(2.0)}
    job = here.json(here.client.post("/jobs", json=sent), status=202)["id"]
    assert here.finished(job)["status"] == "finished"
    return str(job)


def refused(here: World, path: str, *, status: int) -> dict[str, Any]:
    """Return why a picture cannot be had."""
    error: dict[str, Any] = here.json(here.client.get(path), status=status)["error"]
    return error


def test_a_finished_job_can_be_looked_at(here: World) -> None:
    """A PNG in one request, without having asked for it before; the job says where."""
    job = here.finished(here.submit()["id"])
    answer = here.client.get(job["links"]["picture"])

    assert f"/jobs/{job['id']}/report.png" == job["links"]["picture"]
    assert ("image/png", 200) == (answer.mimetype, answer.status_code)
    assert answer.data.startswith(PNG)
    assert "inline; filename=report.png" == answer.headers["Content-Disposition"]


@pytest.mark.usefixtures("sketching")
def test_a_picture_is_drawn_once(here: World) -> None:
    """Whoever asks again gets the same file, or is told that it has not changed."""
    path = f"/jobs/{done(here)}/report.png"
    first, second = (here.client.get(path) for _ in range(2))
    third = here.client.get(path, headers={"If-None-Match": first.headers["ETag"]})

    assert first.data == second.data
    assert first.headers["ETag"] == second.headers["ETag"]
    assert (304, b"") == (third.status_code, third.data)
    assert len(drawings(here)) == 1


@pytest.mark.usefixtures("sketching")
def test_each_result_has_its_own(here: World) -> None:
    """They are counted from one; what there is not has no picture."""
    job = done(here, variation="custom", variations=["celtic", "lofi_chill"])
    first, second, same = (
        here.client.get(f"/jobs/{job}/report.png?{query}")
        for query in ("result=1", "result=2", "variation=2")
    )

    assert first.data != second.data
    assert second.data == same.data
    assert "report-2.png" in second.headers["Content-Disposition"]
    assert refused(here, f"/jobs/{job}/report.png?result=3", status=404)["code"] == "not_found"


def written(clip: Clip) -> Sheet:
    """Return a sheet of two parts as long as a clip."""
    notes = tuple(SheetNote(0.1 * step, 0.1, 57 + step, 0.8) for step in range(4))
    tracks = (Track("low", 42, notes), Track("high", 40, notes))
    return Sheet(clip.seconds, (), 0, (4, 4), 4, Key(9, "minor"), ((0.0, "Am"),), tracks)


def test_notes_are_drawn_where_the_job_wrote_them_down(here: World) -> None:
    """A job with a MIDI file is shown as a roll."""
    here.engine.sheet = written
    job = here.finished(here.submit()["id"])

    assert here.client.get(job["links"]["picture"]).data.startswith(PNG)


@pytest.mark.usefixtures("sketching")
def test_each_result_is_drawn_with_its_own_notes(here: World) -> None:
    """Found by the name they share; deleted notes are no failure."""
    here.engine.sheet = written
    job = here.finished(here.submit(variation="custom", variations=["celtic", "lofi_chill"])["id"])
    notes = [each for each in job["artifacts"] if each["role"] == "midi"]
    here.client.delete(notes[1]["url"])
    drawn = [here.client.get(f"{job['links']['picture']}?result={n}").data for n in (1, 2)]

    assert b"2 parts" in drawn[0]
    assert b"None parts" in drawn[1]


def test_there_is_no_picture_before_the_end(here: World) -> None:
    """409 with how the job is."""
    here.queue.hold()
    job = here.submit()["id"]

    assert "queued" in refused(here, f"/jobs/{job}/report.png", status=409)["message"]
    assert here.finished_later(job)["links"]["picture"]


def test_there_is_no_picture_of_a_job_that_failed(here: World) -> None:
    """Nor is there a link to one."""
    here.engine.failure = errors.EngineFailed()
    job = here.finished(here.submit()["id"])

    assert job["links"]["picture"] is None
    assert "failed" in refused(here, f"/jobs/{job['id']}/report.png", status=409)["message"]


def test_an_unknown_job_has_none(here: World) -> None:
    """404, as the job itself."""
    assert refused(here, "/jobs/nothing/report.png", status=404)["code"] == "no_such_job"


@pytest.mark.parametrize("query", ["result=0", "result=x", "wait=31", "colour=blue"])
def test_a_wrong_question_is_refused(here: World, query: str) -> None:
    """Naming the field."""
    error = refused(here, f"/jobs/nothing/report.png?{query}", status=422)

    assert query.partition("=")[0] == error["field"]


@pytest.mark.parametrize(
    "order",
    [
        {"kind": "suggest", "seconds": 0.3},
        {"kind": "generate", "prompt": "slow strings", "seconds": 1.0},
    ],
)
def test_what_made_no_sound_of_a_sound_cannot_be_compared(
    here: World, order: dict[str, Any]
) -> None:
    """404 with a sentence; no worker is asked."""
    audio = {} if order["kind"] == "generate" else {"audio": sounds.base64_wav(1.0)}
    sent = here.json(here.client.post("/jobs", json={**order, **audio}), status=202)
    assert here.finished(sent["id"])["status"] == "finished"

    error = refused(here, f"/jobs/{sent['id']}/report.png", status=404)
    assert error["message"] == picture.NO_SOUND
    assert drawings(here) == []


@pytest.mark.parametrize(
    "order",
    [
        {"kind": "inpaint", **GAP},
        {"kind": "inpaint", **GAP, "picture": True},
    ],
)
def test_other_kinds_are_compared_with_their_source(here: World, order: dict[str, Any]) -> None:
    """One that drew a picture by itself shows that."""
    job = ordered(here, **order)

    assert here.client.get(f"/jobs/{job}/report.png").data.startswith(PNG)
    assert len(drawings(here)) == (0 if order.get("picture") else 1)


@pytest.mark.usefixtures("sketching")
def test_what_goes_on_is_compared_with_what_it_went_on_from(here: World) -> None:
    """Two seconds beside the three that they became."""
    job = ordered(here, kind="continuation", appended_seconds=1.0)

    assert b"2.0 s, 3.0 s" in here.client.get(f"/jobs/{job}/report.png").data


@pytest.mark.usefixtures("sketching")
def test_a_busy_server_says_when_to_ask_again(here: World) -> None:
    """503 with Retry-After after the wait; asked again, the same drawing is waited for."""
    path = f"/jobs/{done(here)}/report.png"
    here.queue.hold()
    first, second = (here.client.get(f"{path}?wait=0") for _ in range(2))

    assert (503, 503) == (first.status_code, second.status_code)
    assert 0 < int(first.headers["Retry-After"]) <= 5
    assert len(drawings(here)) == 1
    here.queue.release()
    assert here.client.get(path).data.startswith(PNG)


@pytest.mark.usefixtures("sketching")
def test_a_wire_that_is_down_is_said(here: World) -> None:
    """And the picture can be had as soon as it is up."""
    path = f"/jobs/{done(here)}/report.png"
    here.queue.is_up = False
    assert refused(here, path, status=503)["code"] == "wire_down"

    here.queue.is_up = True
    assert here.client.get(path).status_code == 200


@pytest.mark.usefixtures("sketching")
def test_a_deleted_sound_cannot_be_looked_at_any_more(here: World) -> None:
    """Not even where its picture was drawn before."""
    job = here.finished(here.submit()["id"])
    assert here.client.get(job["links"]["picture"]).status_code == 200
    here.client.delete(job["artifacts"][0]["url"])

    assert here.client.get(job["links"]["picture"]).status_code == 404


@pytest.mark.usefixtures("sketching")
def test_a_deleted_picture_is_drawn_again(here: World) -> None:
    """It is no loss."""
    path = f"/jobs/{done(here)}/report.png"
    first = here.client.get(path)
    here.client.delete(f"/artifacts/{first.headers['ETag'].strip(chr(34))}")
    second = here.client.get(path)

    assert first.data == second.data
    assert len(drawings(here)) == 2


def test_what_cannot_be_drawn_is_tried_a_few_times_and_said(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500 with a sentence, and no worker is asked for ever."""

    def fail(*_: object, **__: object) -> bytes:
        raise errors.EngineFailed

    path = f"/jobs/{done(here)}/report.png"
    monkeypatch.setattr(picture, "_drawn", fail)

    for _ in range(2):
        assert "could not be drawn" in refused(here, path, status=500)["message"]
    assert len(drawings(here)) == 3


def test_no_client_can_order_a_drawing(here: World) -> None:
    """The kind is not offered: an order of it could name anybody's job."""
    job = done(here)
    asked = here.client.post("/jobs", json={"kind": "picture", "job": job})
    kinds = here.json(here.client.get("/kinds"))["kinds"]

    assert here.json(asked, status=422)["error"]["field"] == "kind"
    assert "picture" not in {kind["name"] for kind in kinds}
    assert "picture" not in here.json(here.client.get("/openapi.json"))["paths"]["/jobs"]


@pytest.mark.usefixtures("sketching")
def test_pictures_are_their_owners_and_wait_for_none_of_their_jobs(make_world: MakeWorld) -> None:
    """While a long job of hers runs, Ann looks at an earlier one; Ben cannot, and an admin can."""
    shut = make_world(keys="on")
    ann, ben, admin = (
        person(shut, name, is_admin=name == "root") for name in ("Ann", "Ben", "root")
    )
    path = f"/jobs/{ann.finished(ann.submit()['id'])['id']}/report.png"
    assert ben.ask("GET", path).status_code == 404

    shut.queue.hold()
    ann.submit()
    assert ann.ask("GET", f"{path}?wait=0").status_code == 503
    assert drawings(shut)[0].owner is None
    shut.queue.release()

    found = ann.ask("GET", path)
    artifact = found.headers["ETag"].strip('"')
    assert found.data == admin.ask("GET", path).data
    assert ann.ask("GET", f"/artifacts/{artifact}").status_code == 200
    assert ben.ask("GET", f"/artifacts/{artifact}").status_code == 404
