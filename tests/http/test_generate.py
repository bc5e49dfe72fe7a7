"""Music is made from words alone, in one passage or scene by scene."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from server import errors
from server.config import Settings
from server.engines.protocols import Sampling
from server.engines.residency import Residency
from server.media import codec, loudness
from server.media.clip import Clip
from tests.http import sounds
from tests.http.conftest import MakeWorld
from tests.http.scripted import RATE, begun
from tests.http.world import World

SCENES = [
    {"seconds": 1.5, "prompt": "soft strings"},
    {"seconds": 2.25, "variation": "celtic"},
    {"seconds": 1.0, "variation": "celtic", "prompt": "purple rain"},
]


def order(**fields: Any) -> dict[str, Any]:
    """Return an order for two seconds of music, without what is None."""
    sent = {"prompt": "purple strings", "seconds": 2, **fields}
    return {name: value for name, value in sent.items() if value is not None}


def scenes(**fields: Any) -> dict[str, Any]:
    """Return an order for three scenes."""
    return {"prompt": None, "seconds": None, "segments": SCENES, **fields}


def submitted(here: World, **fields: Any) -> dict[str, Any]:
    """Submit one and return the receipt."""
    return here.json(here.client.post("/generate", json=order(**fields)), status=202)


def done(here: World, **fields: Any) -> tuple[dict[str, Any], Clip]:
    """Return such a job once it has ended, and its result."""
    job = here.finished(submitted(here, **fields)["id"])
    assert "finished" == job["status"], job["error"]
    return job, codec.decode(here.client.get(job["artifacts"][0]["url"]).data)


def test_words_become_music_of_the_length_asked_for(here: World) -> None:
    """Told of like every job: who, by which words, with which seed."""
    job, clip = done(here, seed=7, temperature=0.5, top_k=10, top_p=0.2, cfg_coef=2)
    report = job["report"]

    assert ("generate", 2 * RATE, RATE, 2) == (
        job["kind"],
        clip.length,
        clip.sample_rate,
        clip.channels,
    )
    assert ("generated.wav", "arranger", 7) == (
        job["artifacts"][0]["name"],
        job["engine"],
        job["seed"],
    )
    assert (["strings"], ["purple"]) == (report["understood"], report["ignored"])
    assert [2.0] == here.engine.seconds
    wanted = Sampling(temperature=0.5, top_k=10, top_p=0.2, cfg_coef=2.0)
    assert [wanted] == here.engine.samplings
    assert ("purple strings", 7) == (here.engine.briefs[0].prompt, here.engine.briefs[0].seed)


def test_without_a_length_it_is_half_a_minute(here: World) -> None:
    job, clip = done(here, seconds=None)

    assert (30 * RATE, 30.0) == (clip.length, job["report"]["total_seconds"])


def test_the_peak_is_as_high_as_it_may_be_unless_that_is_not_wanted(here: World) -> None:
    here.engine.begin = lambda seconds, seed: quiet(begun(seconds, seed))
    _, raised = done(here)
    _, plain = done(here, normalize="none")

    assert -1.0 == pytest.approx(loudness.true_peak_db(raised), abs=0.02)
    assert -20.0 > loudness.true_peak_db(plain)


def quiet(clip: Clip) -> Clip:
    """Return a clip at a twentieth of its level."""
    return clip.with_samples(clip.samples * np.float32(0.05))


@pytest.mark.parametrize("more", [-0.3, 0.0, 0.7])
def test_the_length_is_exact_whatever_an_engine_plays(here: World, more: float) -> None:
    here.engine.begin = lambda seconds, seed: begun(seconds + more, seed)

    assert 2 * RATE == done(here)[1].length


def test_scenes_go_on_from_each_other(here: World) -> None:
    """Each by its own words, for exactly its own seconds, from the end of what there is."""
    job, clip = done(here, **scenes(prompt_duration=1))
    told = job["report"]["segments"]

    assert round(4.75 * RATE) == clip.length
    assert [(0.0, 1.5), (1.5, 2.25), (3.75, 1.0)] == [
        (each["start_seconds"], each["seconds"]) for each in told
    ]
    words = [brief.prompt for brief in here.engine.briefs]
    assert ("soft strings", "purple rain") == (words[0], words[2])
    assert words[1] == told[1]["prompt"]
    assert "celtic" == told[1]["variation"]
    assert [RATE, RATE] == [heard.length for heard in here.engine.clips]
    assert 3 == len({brief.seed for brief in here.engine.briefs})
    assert {"join", "fit"} <= set(told[1])


def test_an_earlier_scene_is_unchanged_in_the_longer_music(here: World) -> None:
    """As one file alone and as the beginning of the whole."""
    _, whole = done(here, **scenes(normalize="none", seed=5))
    _, first = done(here, **scenes(normalize="none", seed=5, segments=SCENES[:1]))
    _, two = done(here, **scenes(normalize="none", seed=5, segments=SCENES[:2]))

    np.testing.assert_array_equal(first.samples, whole.samples[:, : first.length])
    np.testing.assert_array_equal(two.samples, whole.samples[:, : two.length])


def test_seven_scenes_are_one_track(here: World) -> None:
    segments = [{"seconds": 1, "prompt": f"scene {number}"} for number in range(7)]
    _, clip = done(here, **scenes(segments=segments, format="mp3"))

    assert 7.0 == pytest.approx(clip.seconds, abs=0.06)


def test_a_form_sends_scenes_as_json(here: World) -> None:
    data = {"segments": json.dumps(SCENES), "seed": "3"}
    answer = here.client.post("/generate", data=data, content_type="multipart/form-data")
    job = here.finished(here.json(answer, status=202)["id"])

    assert ("finished", 3) == (job["status"], len(job["report"]["segments"]))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"prompt": None}, "prompt"),
        (scenes(segments=[{"prompt": "x"}]), "segments.0.seconds"),
        ({"source": "a" * 32}, "source"),
        ({"audio": sounds.base64_wav()}, "source"),
    ],
)
def test_a_wrong_order_is_refused_by_field(
    here: World, changes: dict[str, Any], field: str
) -> None:
    answer = here.client.post("/generate", json=order(**changes))

    assert (422, field) == (answer.status_code, answer.get_json()["error"]["field"])
    assert [] == here.engine.briefs


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"seconds": 301}, "seconds"),
        (scenes(segments=[{"seconds": 200, "prompt": "a"}] * 2), "segments"),
    ],
)
def test_more_than_a_sound_may_last_is_too_long(
    here: World, changes: dict[str, Any], field: str
) -> None:
    answer = here.client.post("/generate", json=order(**changes))

    assert (413, field) == (answer.status_code, answer.get_json()["error"]["field"])


def test_silence_is_played_again_with_the_next_seed(here: World) -> None:
    """Negative control: music is played once."""
    played = done(here, seed=1)[0]["report"]["segments"][0]["takes"]
    here.engine.begin = lambda seconds, seed: begun(seconds if seed > 2 else 0.5, seed)
    again = done(here, seed=1)[0]["report"]["segments"][0]

    assert [[]] == [each["faults"] for each in played]
    assert [1, 2, 3] == [each["seed"] for each in again["takes"]]
    assert 2 == again["best"]
    assert "early_end" == again["takes"][0]["faults"][0]["code"]


def test_a_replay_plays_the_same_samples(here: World) -> None:
    """Of words and of scenes, whose words are kept in the recipe."""
    for fields in ({}, scenes()):
        job, clip = done(here, **fields)
        receipt = here.json(here.client.post(f"/jobs/{job['id']}/replay"), status=202)
        again = here.finished(receipt["id"])
        made = codec.decode(here.client.get(again["artifacts"][0]["url"]).data)

        np.testing.assert_array_equal(clip.samples, made.samples)
    assert job["report"]["segments"][1]["prompt"] == again["report"]["segments"][1]["prompt"]
    assert again["recipe"]["parameters"]["segments"][1]["prompt"]


def test_asking_first_stores_nothing(here: World) -> None:
    answer = here.json(here.client.post("/generate?dry_run=true", json=order()))

    assert answer["valid"]
    assert [] == here.engine.briefs


def test_it_is_known_how_long_music_takes_by_its_length(here: World) -> None:
    """What is asked of the history is seconds of music, not that there is no source."""
    done(here)
    short, long = (
        here.json(here.client.post("/generate?dry_run=true", json=order(seconds=seconds)))
        for seconds in (2, 200)
    )

    assert short["estimated_seconds"] < long["estimated_seconds"]


def test_it_can_be_cancelled_between_steps(here: World) -> None:
    here.engine.hold(after=2)
    receipt = submitted(here)
    assert here.engine.is_stepping.wait(20)
    seen = here.json(here.client.get(f"/jobs/{receipt['id']}"))
    here.client.delete(receipt["links"]["cancel"])
    here.engine.release()
    job = here.finished(receipt["id"])

    assert "playing" == seen["stage"]
    assert ("cancelled", []) == (job["status"], job["artifacts"])


def test_a_session_goes_on_from_it(here: World) -> None:
    job, _ = done(here, session_id="mine")

    found = here.services.sessions.find("mine")
    assert found is not None
    assert job["artifacts"][0]["id"] == found.last_processed


@pytest.mark.parametrize("refuse", [errors.InvalidInput, errors.EngineFailed])
def test_what_an_engine_cannot_do_is_how_the_job_ends(
    here: World, refuse: Callable[[str], errors.MelodyflowError]
) -> None:
    here.engine.failure = refuse("That is too much.")
    job = here.finished(submitted(here)["id"])

    assert ("failed", "That is too much.") == (job["status"], job["error"]["message"])


def test_a_form_may_send_a_blank_list(here: World) -> None:
    data = {"segments": " ", "prompt": "strings", "seconds": "2"}
    answer = here.client.post("/generate", data=data, content_type="multipart/form-data")

    assert "finished" == here.finished(here.json(answer, status=202)["id"])["status"]


def test_the_arranger_plays_scenes_and_goes_on_from_them(make_world: MakeWorld) -> None:
    """Nothing scripted: words to scenes, and the music further on from there."""
    here = make_world(engines=Residency(Settings()))
    segments = [
        {"seconds": 3, "prompt": "slow piano, 100 bpm"},
        {"seconds": 3, "prompt": "strings"},
    ]
    job, clip = done(here, **scenes(segments=segments, engine="arranger", format="flac", seed=2))
    fields = {"source": job["artifacts"][0]["id"], "appended_seconds": 3, "engine": "arranger"}
    receipt = here.json(here.client.post("/continue", json=fields), status=202)
    further = here.finished(receipt["id"])
    longer = codec.decode(here.client.get(further["artifacts"][0]["url"]).data)

    assert ("arranger", 6 * clip.sample_rate) == (job["engine"], clip.length)
    assert "finished" == further["status"], further["error"]
    assert 9 * clip.sample_rate == longer.length
    np.testing.assert_array_equal(clip.samples, longer.samples[:, : clip.length])
    for report in (job["report"], further["report"]):
        assert not any("No take was without fault" in notice for notice in report["notices"])
    assert further["report"]["fit"]["gates"]["loudness"]["value"] <= 1.0
    assert longer.samples[:, clip.length :].std() > 0.01
