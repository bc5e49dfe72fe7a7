"""Only a part of a sound changes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pybase64
import pytest

from server.config import Settings
from server.engines.residency import Residency
from server.media import codec
from server.media.clip import Clip
from tests import music
from tests.http import sounds
from tests.http.conftest import MakeWorld
from tests.http.world import World

SECONDS = 2.0
START, END = 0.75, 1.25


def order(**fields: Any) -> dict[str, Any]:
    """Return an order to change half a second in the middle of two."""
    sound = sounds.base64_wav(SECONDS, channels=2)
    times = {"start_seconds": START, "end_seconds": END}
    return {"audio": sound, "variation": "celtic", **times, **fields}


def done(here: World, **fields: Any) -> tuple[dict[str, Any], Clip]:
    """Return such a job once it has ended, and its result."""
    receipt = here.json(here.client.post("/jobs", json=order(**fields)), status=202)
    job = here.finished(receipt["id"])
    return job, codec.decode(here.client.get(job["artifacts"][0]["url"]).data)


def outside(clip: Clip) -> np.ndarray:
    """Return what must not change."""
    first, last = (round(seconds * clip.sample_rate) for seconds in (START, END))
    return np.delete(clip.samples, np.s_[first:last], axis=1)


SOURCE = codec.decode(sounds.wav(SECONDS, channels=2))


def test_only_the_passage_changes(here: World) -> None:
    """Every other sample is the source's, and the report says so of the file it measured."""
    job, result = done(here)
    passage = job["report"]["passage"]

    np.testing.assert_array_equal(outside(SOURCE), outside(result))
    assert not np.array_equal(SOURCE.samples, result.samples)
    assert passage["outside"]["identical"]
    assert (START, END) == (passage["start_seconds"], passage["end_seconds"])


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


def test_the_engine_is_given_what_is_around(here: World) -> None:
    """All of a short sound; each variation of a list gets it, and its own seams."""
    job, _ = done(here, variation="custom", variations=["celtic", "chiptune"])

    assert [SOURCE.length] == [clip.length for clip in here.engine.clips]
    assert all(each["passage"]["outside"]["identical"] for each in job["report"]["variations"])


def test_seams_are_measured_at_both_ends(here: World) -> None:
    """With the law of each crossfade; at half the level the loudness gate speaks."""
    seams = done(here)[0]["report"]["passage"]["seams"]

    assert {"start", "end"} == set(seams)
    assert "fail" == seams["start"]["gates"]["loudness"]["verdict"]
    assert "equal_gain" == seams["start"]["law"]
    assert {"click", "flux", "loudness"} == set(seams["end"]["gates"])


def test_what_was_kept_is_measured_in_the_passage(here: World) -> None:
    """A clip that is mostly unchanged would pass anything."""
    here.engine.play = lambda clip: music.noise(clip.seconds, sample_rate=clip.sample_rate)
    gates = done(here)[0]["report"]["kept"]["gates"]

    assert 0 == gates["length"]["value"]
    assert "pass" != gates["harmony"]["verdict"]


def test_a_mono_sound_stays_mono_and_it_is_said(here: World) -> None:
    """The engine here plays on two channels."""
    here.engine.play = lambda clip: clip.as_stereo()
    job, result = done(here, audio=sounds.base64_wav(SECONDS))

    assert 1 == result.channels
    assert any("mono" in notice for notice in job["report"]["notices"])


def test_a_lossy_format_says_that_it_changes_the_rest(here: World) -> None:
    job, _ = done(here, format="ogg")

    assert not job["report"]["passage"]["outside"]["identical"]
    assert any("outside" in notice for notice in job["report"]["notices"])


def test_a_recipe_makes_the_same_passage_again(here: World) -> None:
    job, result = done(here)
    parameters = job["recipe"]["parameters"]
    receipt = here.json(here.client.post("/jobs", json=parameters), status=202)
    again = here.finished(receipt["id"])

    np.testing.assert_array_equal(
        result.samples, codec.decode(here.client.get(again["artifacts"][0]["url"]).data).samples
    )


def test_a_passage_can_be_cancelled_between_steps(here: World) -> None:
    here.engine.hold(after=2)
    receipt = here.json(here.client.post("/jobs", json=order()), status=202)
    assert here.engine.is_stepping.wait(20)
    here.client.delete(receipt["links"]["cancel"])
    here.engine.release()
    job = here.finished(receipt["id"])

    assert ("cancelled", []) == (job["status"], job["artifacts"])
    assert 3 == here.engine.steps


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"start_seconds": 1.5}, "end_seconds"),
        ({"end_seconds": START + 0.2}, "end_seconds"),
        ({"end_seconds": 2.5}, "end_seconds"),
        ({"start_seconds": 3, "end_seconds": None}, "start_seconds"),
        ({"start_seconds": 1.9, "end_seconds": None}, "start_seconds"),
        ({"start_seconds": "nan"}, "start_seconds"),
        ({"start_seconds": -1}, "start_seconds"),
        ({"end_seconds": True}, "end_seconds"),
    ],
)
def test_a_passage_that_is_not_there_is_refused_by_field(
    here: World, fields: dict[str, Any], field: str
) -> None:
    """When it is submitted, also of an uploaded sound; the sound sent with it is not kept."""
    source = here.json(
        here.client.post("/artifacts", data=sounds.wav(SECONDS), content_type="audio/wav"),
        status=201,
    )["id"]
    sent, stored = (
        here.json(here.client.post("/jobs", json=each), status=422)
        for each in (order(**fields), {**order(**fields, source=source), "audio": None})
    )

    assert field == sent["error"]["field"] == stored["error"]["field"]


def test_older_clients_may_name_a_passage_too(here: World) -> None:
    """At the first service's route and at the plugin's, where it would be ignored otherwise."""
    answer = here.json(here.client.post("/transform", json=order(session_id="a")))
    plugin = {**order(session_id="b"), "audio_data": order()["audio"], "audio": None}
    here.json(here.client.post("/api/juce/transform_audio", json=plugin))
    job = here.services.jobs.newest_in_session("b")
    assert job is not None
    here.finished(job.id)
    polled = here.json(here.client.get("/api/juce/poll_status/b"))

    for text in (answer["audio"], polled["audio_data"]):
        np.testing.assert_array_equal(
            outside(SOURCE), outside(codec.decode(pybase64.b64decode(text)))
        )


def test_the_arranger_plays_one_bar_of_a_riff(make_world: MakeWorld) -> None:
    """The real engine: its beats are told in the time of the source, and the seams can be borne."""
    here = make_world(engines=Residency(Settings()))
    source = codec.decode(codec.encode(music.riff(seconds=8.0).clip, "wav"))
    job = here.finished(
        here.submit(
            audio=pybase64.b64encode(codec.encode(source, "wav")).decode(),
            variation="piano_classical",
            start_seconds=4,
            end_seconds=6,
        )["id"]
    )
    result = codec.decode(here.client.get(job["artifacts"][0]["url"]).data)
    report, rate = job["report"], source.sample_rate
    beats = np.array(report["heard"]["beats"])

    np.testing.assert_array_equal(source.samples[:, : 4 * rate], result.samples[:, : 4 * rate])
    np.testing.assert_array_equal(source.samples[:, 6 * rate :], result.samples[:, 6 * rate :])
    assert not np.array_equal(source.samples, result.samples)
    assert report["passage"]["outside"]["identical"]
    assert np.abs((beats + 0.25) % 0.5 - 0.25).max() < 0.05
    assert "fail" != report["kept"]["gates"]["harmony"]["verdict"]
    assert "fail" != report["passage"]["seams"]["start"]["verdict"]
