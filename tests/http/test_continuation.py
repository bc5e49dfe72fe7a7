"""Music goes on where a sound ends, and what was there stays as it is."""

import io
from collections.abc import Callable
from typing import Any

import av
import numpy as np
import pybase64
import pytest

import variations
from server import errors
from server.engines.protocols import Sampling
from server.media import codec, resample
from server.media.clip import Clip
from tests import music
from tests.http import sounds
from tests.http.conftest import MakeWorld
from tests.http.scripted import ScriptedEngine, TwoEngines, hummed
from tests.http.world import World

SECONDS = 4.0
SOURCE = codec.decode(sounds.wav(SECONDS, channels=2))
RATE = SOURCE.sample_rate

GoOn = Callable[[Clip, float, int], Clip]


def order(**fields: Any) -> dict[str, Any]:
    """Return an order to go on for two seconds, without what is None."""
    sound = sounds.base64_wav(SECONDS, channels=2)
    sent = {"audio": sound, "appended_seconds": 2, "prompt": "purple strings", **fields}
    return {name: value for name, value in sent.items() if value is not None}


def submitted(here: World, **fields: Any) -> dict[str, Any]:
    """Submit one and return the receipt."""
    return here.json(here.client.post("/continue", json=order(**fields)), status=202)


def done(here: World, **fields: Any) -> tuple[dict[str, Any], Clip]:
    """Return such a job once it has ended, and its result."""
    job = here.finished(submitted(here, **fields)["id"])
    assert "finished" == job["status"], job["error"]
    return job, codec.decode(here.client.get(job["artifacts"][0]["url"]).data)


def test_what_was_there_stays_to_the_last_sample(here: World) -> None:
    """And the report has the hash that proves it."""
    job, result = done(here)
    report = job["report"]

    assert ("continuation", 6 * RATE, 2) == (job["kind"], result.length, result.channels)
    assert RATE == result.sample_rate
    np.testing.assert_array_equal(SOURCE.samples, result.samples[:, : SOURCE.length])
    assert (True, SOURCE.length) == (report["kept"]["identical"], report["kept"]["samples"])
    assert 64 == len(report["kept"]["sha256"])
    assert (4.0, 2.0, 6.0) == tuple(
        report[name] for name in ("kept_seconds", "appended_seconds", "total_seconds")
    )
    assert np.abs(result.samples[:, SOURCE.length :]).max() > 0.05


def _noise(seconds: float) -> Clip:
    return music.noise(seconds, sample_rate=RATE)


@pytest.mark.parametrize(
    "go_on",
    [
        lambda clip, seconds, seed: clip.with_samples(
            hummed(clip, seconds, seed).samples * np.float32(50)
        ),
        lambda clip, seconds, seed: _noise(clip.seconds + seconds),
        lambda clip, seconds, seed: hummed(clip, seconds, seed).in_channels(1),
        lambda clip, seconds, seed: Clip(-hummed(clip, seconds, seed).samples, RATE),
        lambda clip, seconds, seed: clip,
        lambda clip, seconds, seed: clip.with_samples(clip.samples[:, :100]),
        lambda clip, seconds, seed: resample.resample(hummed(clip, seconds, seed), 32000),
        lambda clip, seconds, seed: hummed(clip, seconds + 3, seed),
    ],
    ids=["loud", "other", "mono", "upside down", "nothing", "stump", "other rate", "longer"],
)
def test_whatever_the_engine_plays_the_rest_stays(here: World, go_on: GoOn) -> None:
    """And the length, the rate and the channels are what they should be."""
    here.engine.go_on = go_on
    _, result = done(here, most_takes=1)

    assert (6 * RATE, RATE, 2) == (result.length, result.sample_rate, result.channels)
    np.testing.assert_array_equal(SOURCE.samples, result.samples[:, : SOURCE.length])


@pytest.mark.parametrize(
    ("fields", "heard", "kept", "total"),
    [
        ({}, (0.0, 4.0), 4.0, 6.0),
        ({"prompt_duration": 1.5}, (2.5, 4.0), 4.0, 6.0),
        ({"prompt_duration": 1.5, "prompt_from": "start"}, (0.0, 1.5), 1.5, 3.5),
        ({"prompt_window": [1.0, 3.0]}, (1.0, 3.0), 3.0, 5.0),
        ({"appended_seconds": None, "total_seconds": 5}, (0.0, 4.0), 4.0, 5.0),
        (
            {"appended_seconds": None, "total_seconds": 5, "prompt_from": "start"},
            (0.0, 4.0),
            4.0,
            5.0,
        ),
    ],
)
def test_what_is_heard_kept_and_new_is_what_was_asked_for(
    here: World, fields: dict[str, Any], heard: tuple[float, float], kept: float, total: float
) -> None:
    job, result = done(here, **fields)
    report = job["report"]

    part = slice(round(heard[0] * RATE), round(heard[1] * RATE))
    np.testing.assert_array_equal(SOURCE.samples[:, part], here.engine.clips[0].samples)
    before = here.engine.earlier[0]
    assert part.start == (0 if before is None else before.length)
    assert list(heard) == report["heard_seconds"]
    assert (kept, total) == (report["kept_seconds"], report["total_seconds"])
    assert round(total * RATE) == result.length
    assert [total - kept] == here.engine.seconds
    end = round(kept * RATE)
    np.testing.assert_array_equal(SOURCE.samples[:, :end], result.samples[:, :end])
    assert ("source" if kept < 4 else "prediction") == report["join"]["fades_out"]


def test_nothing_said_of_lengths_means_half_a_minute_with_the_prompt(here: World) -> None:
    _, result = done(here, appended_seconds=None, prompt_duration=28)

    assert (4 + 2) * RATE == result.length


def test_words_seed_and_sampling_reach_the_engine(here: World) -> None:
    """No words are words as well: the music decides."""
    fields = {"top_k": "10", "top_p": 0.5, "temperature": 0.7, "cfg_coef": 5, "seed": "9"}
    job, _ = done(here, **fields)
    done(here, prompt=None)
    done(here, prompt="", variation="celtic")

    assert 9 == job["seed"] == here.engine.briefs[0].seed
    wanted = Sampling(top_k=10, top_p=0.5, temperature=0.7, cfg_coef=5.0)
    assert wanted == here.engine.samplings[0]
    words = [brief.prompt for brief in here.engine.briefs]
    assert ("purple strings", "") == (words[0], words[1])
    assert variations.load()["celtic"] == here.engine.briefs[2].variation
    assert (["strings"], ["purple"]) == (job["report"]["understood"], job["report"]["ignored"])
    assert "MIT" in job["report"]["licence"]


def test_a_report_tells_of_the_join_and_how_it_fits(here: World) -> None:
    report = done(here)[0]["report"]

    assert {"seconds", "crossfade_seconds", "shift_ms", "likeness", "gains_db", "law"} <= set(
        report["join"]
    )
    assert {"click", "flux", "loudness", "lag", "hole", "peak"} <= set(report["fit"]["gates"])
    assert "pass" == report["fit"]["gates"]["loudness"]["verdict"]


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (lambda clip, seconds: _behind(clip, seconds, silent=(0.0, 1.0)), "silent_opening"),
        (lambda clip, seconds: _behind(clip, seconds, silent=(1.2, 3.5)), "silence"),
        (lambda clip, seconds: _behind(clip, seconds, silent=(3.0, 9.0)), "early_end"),
        (lambda clip, seconds: _behind(clip, seconds - 1, silent=(0.0, 0.0)), "early_end"),
    ],
)
def test_music_that_stops_is_played_again_with_the_next_seed(
    here: World, first: Callable[[Clip, float], Clip], code: str
) -> None:
    """And the report says which take failed, and why."""
    here.engine.go_on = lambda clip, seconds, seed: (
        first(clip, seconds) if seed == 7 else hummed(clip, seconds, seed)
    )
    job, result = done(here, appended_seconds=4, seed=7)
    takes = job["report"]["takes"]

    assert [7, 8] == [each["seed"] for each in takes] == [each.seed for each in here.engine.briefs]
    assert [[code], []] == [[fault["code"] for fault in each["faults"]] for each in takes]
    assert (1, 7) == (job["report"]["best"], job["seed"])
    assert not any("take" in notice for notice in job["report"]["notices"])
    assert result.samples[:, -RATE // 2 :].std() > 0.01


def _behind(clip: Clip, seconds: float, *, silent: tuple[float, float]) -> Clip:
    whole = hummed(clip, seconds, 0)
    start, end = (clip.length + round(each * RATE) for each in silent)
    samples = whole.samples.copy()
    samples[:, start:end] = 0.0
    return whole.with_samples(samples)


@pytest.mark.parametrize("most", [1, 4])
def test_there_are_not_more_takes_than_asked_for_and_the_best_is_kept(
    here: World, most: int
) -> None:
    """Negative control: music without a fault is played once."""
    here.engine.go_on = lambda clip, seconds, seed: hummed(clip, 1.0 if seed == 2 else 0.2, seed)
    job, _ = done(here, most_takes=most, seed=1)
    report = job["report"]

    assert most == len(report["takes"]) == len(here.engine.briefs)
    assert min(1, most - 1) == report["best"]
    assert any("No take was without fault" in notice for notice in report["notices"])
    here.engine.go_on = hummed
    assert 1 == len(done(here)[0]["report"]["takes"])


def test_a_sound_that_is_silent_may_go_on_silently(here: World) -> None:
    silence = music.silence(4.0, sample_rate=RATE)
    here.engine.go_on = lambda clip, seconds, seed: music.silence(
        clip.seconds + seconds, sample_rate=RATE
    )
    sound = pybase64.b64encode(codec.encode(silence, "wav")).decode()

    report = done(here, audio=sound)[0]["report"]

    assert [[]] == [each["faults"] for each in report["takes"]]


def test_on_the_beat_the_join_moves_back_and_without_a_beat_that_is_said(here: World) -> None:
    rate = 22050
    band = music.band(seconds=5.2, sample_rate=rate).clip
    sound = pybase64.b64encode(codec.encode(band, "wav")).decode()
    report = done(here, audio=sound, join="beat")[0]["report"]

    assert 5.0 == pytest.approx(report["kept_seconds"], abs=0.02)
    assert 0.2 == pytest.approx(report["join"]["moved_back_seconds"], abs=0.02)
    assert report["kept"]["identical"]
    sound = pybase64.b64encode(codec.encode(_noise(5.0), "wav")).decode()
    report = done(here, audio=sound, join="beat")[0]["report"]

    assert (5.0, 0.0) == (report["kept_seconds"], report["join"]["moved_back_seconds"])
    assert any("no clear beat" in notice for notice in report["notices"])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"total_seconds": 9}, "total_seconds"),
        ({"appended_seconds": None, "total_seconds": 4}, "total_seconds"),
        ({"prompt_window": [1, 4.5]}, "prompt_window"),
        ({"audio": None}, "audio"),
        ({"audio": sounds.base64_wav(0.2)}, "source"),
    ],
)
def test_a_wrong_order_is_refused_by_field(
    here: World, changes: dict[str, Any], field: str
) -> None:
    answer = here.client.post("/continue", json=order(**changes))

    assert (422, field) == (answer.status_code, answer.get_json()["error"]["field"])
    assert [] == here.engine.clips


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"appended_seconds": 7}, "appended_seconds"),
        ({"appended_seconds": None, "total_seconds": 10.5}, "total_seconds"),
    ],
)
def test_more_than_a_sound_may_last_is_too_long(
    make_world: MakeWorld, changes: dict[str, Any], field: str
) -> None:
    """Negative control: what is as long as a sound may be is taken."""
    here = make_world(max_source_seconds=10)
    answer = here.client.post("/continue", json=order(**changes))

    assert (413, field) == (answer.status_code, answer.get_json()["error"]["field"])
    assert 10 * RATE == done(here, appended_seconds=6)[1].length


def test_a_form_may_say_the_window_as_a_span(here: World) -> None:
    answer = here.client.post(
        "/continue",
        data={
            "audio": (io.BytesIO(sounds.wav(SECONDS)), "song.wav"),
            "prompt_window": "1.5-3",
            "total_seconds": "4.5",
        },
    )
    job = here.finished(here.json(answer, status=202)["id"])

    assert [1.5, 3.0] == job["recipe"]["parameters"]["prompt_window"]
    assert 4.5 == job["report"]["total_seconds"]


@pytest.mark.parametrize("fmt", ["wav", "flac", "mp3", "ogg"])
def test_a_file_says_what_made_it_and_that_it_was_a_machine(here: World, fmt: str) -> None:
    job, result = done(here, format=fmt)
    data = here.client.get(job["artifacts"][0]["url"]).data
    with av.open(io.BytesIO(data)) as file:
        streams = {name: text for each in file.streams for name, text in each.metadata.items()}
        said = " ".join({**streams, **file.metadata}.values())

    assert 6 * RATE == result.length
    for words in ("purple strings", "arranger", "MIT", "AI"):
        assert words in said
    assert (fmt in {"wav", "flac"}) is job["report"]["kept"]["identical"]


def test_a_mono_sound_stays_mono(here: World) -> None:
    here.engine.go_on = lambda clip, seconds, seed: hummed(clip, seconds, seed).as_stereo()
    job, result = done(here, audio=sounds.base64_wav(SECONDS))

    assert 1 == result.channels
    assert any("mixed down" in notice for notice in job["report"]["notices"])


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


def test_a_replay_plays_the_same_samples(here: World) -> None:
    """With the seed that was drawn; takes that failed fail again."""
    here.engine.go_on = lambda clip, seconds, seed: hummed(clip, seconds if seed % 2 else 1.0, seed)
    job, result = done(here, appended_seconds=None, total_seconds=7, seed=4)
    receipt = here.json(here.client.post(f"/jobs/{job['id']}/replay"), status=202)
    again = here.finished(receipt["id"])
    made = codec.decode(here.client.get(again["artifacts"][0]["url"]).data)

    assert (job["seed"], 2) == (again["seed"], len(again["report"]["takes"]))
    np.testing.assert_array_equal(result.samples, made.samples)


def test_a_result_can_be_gone_on_from(here: World) -> None:
    """Again and again, and its session knows the last one."""
    job, result = done(here, session_id="mine")
    longer, whole = done(
        here, audio=None, source=job["artifacts"][0]["id"], session_id="mine", seed=3
    )

    assert result.length + 2 * RATE == whole.length
    np.testing.assert_array_equal(result.samples, whole.samples[:, : result.length])
    found = here.services.sessions.find("mine")
    assert found is not None
    assert longer["artifacts"][0]["id"] == found.last_processed
    assert job["artifacts"][0]["id"] == found.last_input


def test_an_estimate_goes_by_what_is_new(here: World) -> None:
    done(here)
    short, long = (
        here.json(here.client.post("/continue?dry_run=true", json=order(appended_seconds=seconds)))
        for seconds in (2, 200)
    )

    assert short["estimated_seconds"] < long["estimated_seconds"]
    assert 1 == len(here.engine.clips)


def test_weights_that_did_not_play_are_told_of(here: World) -> None:
    """Negative control: those that did are not."""
    report = done(here, model="somebody/finetune")[0]["report"]
    other = done(here, model="somebody/scripted")[0]["report"]

    assert any("somebody/finetune were not used" in each for each in report["notices"])
    assert not any("not used" in each for each in other["notices"])


def test_where_weights_are_missing_the_next_best_engine_plays(make_world: MakeWorld) -> None:
    """And says so; negative control: an engine that was named refuses instead."""
    best, next_best = ScriptedEngine(), ScriptedEngine()
    best.failure = errors.InvalidInput("There are no weights of that name here.", field="model")
    here = make_world(engines=TwoEngines(best, next_best))
    job, _ = done(here, model="somebody/finetune")
    named = here.finished(submitted(here, model="somebody/finetune", engine="musicgen")["id"])

    assert ("arranger", 1) == (job["engine"], len(next_best.briefs))
    notice = "There are no weights of that name here. arranger played instead."
    assert notice in job["report"]["notices"]
    assert ("failed", best.failure.message) == (named["status"], named["error"]["message"])


def test_what_an_engine_cannot_do_is_how_the_job_ends(here: World) -> None:
    here.engine.failure = errors.InvalidInput("That is too long for me.", field="seconds")
    job = here.finished(submitted(here)["id"])

    assert ("failed", "invalid_input") == (job["status"], job["error"]["code"])
    assert "That is too long for me." == job["error"]["message"]
