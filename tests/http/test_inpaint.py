"""Windows of a sound are replaced, and nothing else."""

import io
import json
from collections.abc import Callable
from typing import Any

import av
import numpy as np
import pybase64
import pytest

from server.media import codec
from server.media.clip import Clip
from tests import music
from tests.http import sounds
from tests.http.world import World

SECONDS = 4.0
WINDOWS = [[1.0, 1.6], [2.5, 3.0]]
SOURCE = codec.decode(sounds.wav(SECONDS, channels=2))


def order(**fields: Any) -> dict[str, Any]:
    """Return an order to replace two windows of four seconds."""
    sound = sounds.base64_wav(SECONDS, channels=2)
    return {"audio": sound, "windows": WINDOWS, "prompt": "purple strings", **fields}


def submitted(here: World, **fields: Any) -> dict[str, Any]:
    """Submit one and return the receipt."""
    return here.json(here.client.post("/inpaint", json=order(**fields)), status=202)


def done(here: World, **fields: Any) -> tuple[dict[str, Any], Clip]:
    """Return such a job once it has ended, and its result."""
    job = here.finished(submitted(here, **fields)["id"])
    assert "finished" == job["status"], job["error"]
    return job, result_of(here, job["artifacts"][0])


def result_of(here: World, artifact: dict[str, Any]) -> Clip:
    """Download."""
    return codec.decode(here.client.get(artifact["url"]).data)


def outside(clip: Clip) -> np.ndarray:
    """Return what must not change."""
    rate = clip.sample_rate
    places = np.concatenate([np.arange(round(a * rate), round(b * rate)) for a, b in WINDOWS])
    return np.delete(clip.samples, places, axis=1)


def test_nothing_outside_the_windows_changes(here: World) -> None:
    """And the report has the hash that proves it."""
    job, result = done(here)

    assert ("inpaint", SOURCE.length) == (job["kind"], result.length)
    np.testing.assert_array_equal(outside(SOURCE), outside(result))
    assert job["report"]["outside"]["identical"]
    assert 64 == len(job["report"]["outside"]["sha256"])
    for start, end in WINDOWS:
        part = slice(round(start * SOURCE.sample_rate), round(end * SOURCE.sample_rate))
        assert not np.array_equal(SOURCE.samples[:, part], result.samples[:, part])


@pytest.mark.parametrize(
    "play",
    [
        lambda clip: clip.with_samples(np.zeros_like(clip.samples)),
        lambda clip: clip.with_samples(clip.samples * np.float32(50)),
        lambda clip: clip.with_samples(clip.samples[:1]),
        lambda clip: clip.with_samples(-clip.samples),
    ],
    ids=["silence", "far too loud", "mono", "upside down"],
)
def test_whatever_the_engine_plays_the_rest_stays(
    here: World, play: Callable[[Clip], Clip]
) -> None:
    here.engine.play = play
    _, result = done(here)

    np.testing.assert_array_equal(outside(SOURCE), outside(result))


def test_every_window_is_told_of(here: World) -> None:
    """Where it is, how it was joined, and what every gate says."""
    report = done(here)[0]["report"]

    assert WINDOWS == [[each["start_seconds"], each["end_seconds"]] for each in report["windows"]]
    for each in report["windows"]:
        assert {"shift_ms", "likeness", "gains_db", "laws"} == set(each["joint"])
        assert {"click", "flux", "loudness", "lag", "hole", "peak"} <= set(each["gates"])
        assert {"start", "end"} == set(each["seams"])
    assert (["strings"], ["purple"]) == (report["understood"], report["ignored"])
    assert "arranger" == report["engine"]
    assert "MIT" in report["licence"]


def test_of_several_takes_the_best_is_the_result_and_all_are_kept(here: World) -> None:
    job, _ = done(here, takes=3, seed=7)
    report = job["report"]
    scores = [each["score"] for each in report["takes"]]

    assert 3 == len(set(scores))
    assert scores.index(min(scores)) == report["best"]
    assert [7, 8, 9] == [each["seed"] for each in report["takes"]]
    assert "inpainted.wav" == report["takes"][report["best"]]["name"]
    assert "inpainted.wav" == job["artifacts"][0]["name"]
    names = {each["name"] for each in report["takes"]}
    assert names == {each["name"] for each in job["artifacts"]}
    for artifact in job["artifacts"]:
        take = result_of(here, artifact)
        np.testing.assert_array_equal(outside(SOURCE), outside(take))


def test_an_engine_hears_context_on_both_sides(here: World) -> None:
    done(here, windows=[[2.0, 2.5]], context_seconds=1)

    [clip], [[window]] = here.engine.clips, here.engine.windows
    rate = SOURCE.sample_rate
    assert (round(2.5 * rate), rate, round(1.5 * rate)) == (clip.length, window.start, window.end)
    start = round(1.0 * rate)
    np.testing.assert_array_equal(SOURCE.samples[:, start : start + clip.length], clip.samples)


def test_windows_far_apart_are_painted_one_after_the_other(here: World) -> None:
    job, _ = done(here, windows=[[0.5, 0.8], [3.0, 3.3]], context_seconds=1)

    assert [1, 1] == [len(windows) for windows in here.engine.windows]
    assert 2 == len(job["report"]["made"])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"windows": []}, "windows"),
        ({"windows": [[1, 5]]}, "windows.0"),
        ({"windows": [[2, 1]]}, "windows.0"),
        ({"windows": [[1, 2], [1.5, 3]]}, "windows.1"),
        ({"windows": [[1, "x"]]}, "windows.0.1"),
        ({"windows": [[1, True]]}, "windows.0.1"),
        ({"windows": [[-1, 2]]}, "windows.0.0"),
        ({"windows": [[1, 2, 3]]}, "windows.0"),
        ({"windows": None}, "windows"),
        ({"windows": [[0, 3.9]]}, "windows.0"),
        ({"prompt": None}, "prompt"),
        ({"prompt": "x" * 2001}, "prompt"),
        ({"variation": "nose_flute"}, "variation"),
        ({"mode": "beats"}, "mode"),
        ({"takes": 0}, "takes"),
        ({"takes": 9}, "takes"),
        ({"context_seconds": 0.5}, "context_seconds"),
        ({"flowstep": 1}, "flowstep"),
        ({"format": "exe"}, "format"),
        ({"audio": None}, "audio"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_wrong_order_is_refused_by_field(
    here: World, changes: dict[str, Any], field: str
) -> None:
    sent = {name: value for name, value in order(**changes).items() if value is not None}
    answer = here.client.post("/inpaint", json=sent)

    assert answer.status_code in {400, 422}
    assert field == answer.get_json()["error"]["field"]
    assert [] == here.engine.clips


def test_a_form_may_say_windows_as_spans(here: World) -> None:
    answer = here.client.post(
        "/inpaint",
        data={
            "audio": (io.BytesIO(sounds.wav(SECONDS)), "song.wav"),
            "windows": "1-1.6, 2.5-3",
            "prompt": "strings",
            "variation": "celtic",
        },
    )
    job = here.finished(here.json(answer, status=202)["id"])

    assert WINDOWS == job["recipe"]["parameters"]["windows"]


def test_bars_moves_windows_to_downbeats_and_says_how_far(here: World) -> None:
    """Without a pulse they stay where they are, and that is said."""
    song = music.riff(seconds=12.0)
    sound = pybase64.b64encode(codec.encode(song.clip, "wav")).decode()
    job, _ = done(here, audio=sound, windows=[[4.1, 7.9]], mode="bars")
    [window] = job["report"]["windows"]

    assert [4.1, 7.9] == window["asked_seconds"]
    assert 4.0 == pytest.approx(window["start_seconds"], abs=0.03)
    assert 8.0 == pytest.approx(window["end_seconds"], abs=0.03)

    hiss = pybase64.b64encode(codec.encode(music.noise(seconds=6.0), "wav")).decode()
    job, _ = done(here, audio=hiss, windows=[[1.0, 2.0]], mode="bars")
    assert [1.0, 2.0] == [
        job["report"]["windows"][0][name] for name in ("start_seconds", "end_seconds")
    ]
    assert any("beat" in notice for notice in job["report"]["notices"])


def test_stages_follow_each_other(here: World) -> None:
    here.engine.hold(after=1)
    receipt = submitted(here)
    assert here.engine.is_stepping.wait(20)
    seen = here.json(here.client.get(f"/jobs/{receipt['id']}"))
    here.engine.release()
    here.finished(receipt["id"])

    assert "painting" == seen["stage"]


def test_it_can_be_cancelled_between_steps(here: World) -> None:
    here.engine.hold(after=2)
    receipt = submitted(here)
    assert here.engine.is_stepping.wait(20)
    here.client.delete(receipt["links"]["cancel"])
    here.engine.release()
    job = here.finished(receipt["id"])

    assert ("cancelled", []) == (job["status"], job["artifacts"])


def test_a_recipe_paints_the_same_again(here: World) -> None:
    job, result = done(here, takes=2)
    receipt = here.json(
        here.client.post("/jobs", json={"kind": "inpaint", **job["recipe"]["parameters"]}),
        status=202,
    )
    again = here.finished(receipt["id"])

    np.testing.assert_array_equal(result.samples, result_of(here, again["artifacts"][0]).samples)


@pytest.mark.parametrize("fmt", ["wav", "flac", "mp3", "ogg"])
def test_a_file_says_what_made_it_and_that_it_was_a_machine(here: World, fmt: str) -> None:
    job, result = done(here, format=fmt)
    data = here.client.get(job["artifacts"][0]["url"]).data
    with av.open(io.BytesIO(data)) as file:
        streams = {name: text for each in file.streams for name, text in each.metadata.items()}
        said = " ".join({**streams, **file.metadata}.values())

    assert SOURCE.length == result.length
    assert "purple strings" in said
    assert "arranger" in said
    assert "MIT" in said
    assert "AI" in said
    assert (fmt in {"wav", "flac"}) is job["report"]["outside"]["identical"]


def test_form_and_json_of_windows_are_the_same(here: World) -> None:
    _, first = done(here, seed=3)
    _, second = done(here, seed=3, windows=json.dumps(WINDOWS))

    np.testing.assert_array_equal(first.samples, second.samples)


def test_places_are_suggested_with_reasons_and_can_be_painted(here: World) -> None:
    song = pybase64.b64encode(codec.encode(music.riff(seconds=24.0).clip, "wav")).decode()
    asked = {"audio": song, "seconds": 4, "count": 2}
    found = here.json(here.client.post("/inpaint/suggest", json=asked))

    assert 2 == len(found["suggestions"])
    first = found["suggestions"][0]
    assert {"start_seconds", "end_seconds", "bars", "score", "reasons"} <= set(first)
    assert first["reasons"]
    job, _ = done(
        here,
        audio=None,
        source=found["source"],
        windows=[[first["start_seconds"], first["end_seconds"]]],
    )
    assert job["report"]["outside"]["identical"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [({"seconds": 5}, "seconds"), ({"seconds": 0}, "seconds"), ({"count": 0}, "count")],
)
def test_a_wrong_question_is_refused_by_field(
    here: World, asked: dict[str, Any], field: str
) -> None:
    sound = sounds.base64_wav(SECONDS)
    answer = here.client.post("/inpaint/suggest", json={"audio": sound, **asked})

    assert (422, field) == (answer.status_code, answer.get_json()["error"]["field"])


def test_a_picture_is_drawn_when_asked_for(here: World) -> None:
    job, _ = done(here, picture=True)
    artifact = job["artifacts"][-1]

    assert ("report.png", "picture") == (artifact["name"], artifact["role"])
    assert here.client.get(artifact["url"]).data.startswith(b"\x89PNG")


def test_a_replay_paints_the_same_samples(here: World) -> None:
    """With the seed that was drawn, by the engine that did it."""
    job, result = done(here, takes=2)
    receipt = here.json(here.client.post(f"/jobs/{job['id']}/replay"), status=202)
    again = here.finished(receipt["id"])

    assert job["seed"] == again["seed"]
    np.testing.assert_array_equal(result.samples, result_of(here, again["artifacts"][0]).samples)
