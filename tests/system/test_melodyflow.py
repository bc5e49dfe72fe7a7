"""The flow model in the whole product: weights on disk, a worker that loads them, HTTP, sockets.

The weights are small and made by formula; the files, the worker and every step are the real ones.
"""

import base64
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import socketio

from server.media import codec
from server.media.clip import Clip
from tests import music
from tests.models import formula
from tests.system.processes import PATIENCE_SECONDS, Yard, until

FINAL = {"finished", "failed", "cancelled"}

LICENCE = "CC-BY-NC"


@dataclass(frozen=True)
class Flowing:
    """A server whose worker has a flow model, on the CPU."""

    url: str
    weights: Path

    def submit(self, clip: Clip, **order: Any) -> dict[str, Any]:
        """Upload a clip and order its transform; return the receipt."""
        file = {"audio": ("clip.wav", codec.encode(clip, "wav"), "audio/wav")}
        source = requests.post(f"{self.url}/artifacts", files=file, timeout=30).json()["id"]
        order = {"kind": "transform", "source": source, "seed": 5, **order}
        answer = requests.post(f"{self.url}/jobs", json=order, timeout=30)
        assert 202 == answer.status_code, answer.text
        receipt: dict[str, Any] = answer.json()
        return receipt

    def ended(self, clip: Clip, **order: Any) -> dict[str, Any]:
        """Order a transform and return the job at its ending."""
        return self.ending(self.submit(clip, **order)["id"])

    def ending(self, job_id: str) -> dict[str, Any]:
        """Return a job once it is over."""
        return until(lambda: self._over(job_id), every=0.1)

    def _over(self, job_id: str) -> dict[str, Any] | None:
        job: dict[str, Any] = requests.get(f"{self.url}/jobs/{job_id}?wait=5", timeout=30).json()
        return job if job["status"] in FINAL else None

    def sounds(self, job: dict[str, Any]) -> list[Clip]:
        """Return the results of a finished job."""
        assert "finished" == job["status"], job["error"]
        return [self._sound(each) for each in job["artifacts"] if each["role"] == "result"]

    def _sound(self, artifact: dict[str, Any]) -> Clip:
        return codec.decode(requests.get(self.url + artifact["url"], timeout=30).content)


@pytest.fixture(scope="module", name="flowing")
def _flowing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flowing]:
    weights = formula.write_checkpoint(tmp_path_factory.mktemp("weights"))
    formula.write_text_encoder(weights / "t5")
    with ExitStack() as ended:
        yard = Yard(tmp_path_factory.mktemp("flowing"), ended)
        server = yard.start(
            "-m",
            "server",
            "serve",
            "--data-dir",
            yard.data,
            "--port",
            0,
            MELODYFLOW_DEVICE="cpu",
            MELODYFLOW_MELODYFLOW_MODEL=str(weights),
        )
        url = yard.url(server)
        until(lambda: requests.get(f"{url}/health/ready", timeout=5).ok, every=0.25)
        yield Flowing(url, weights)


@pytest.fixture(scope="module", name="riff")
def _riff() -> Clip:
    return music.riff(seconds=2.0).clip


def test_the_table_of_engines_says_that_it_is_here_and_under_which_licence(
    flowing: Flowing,
) -> None:
    engines = requests.get(f"{flowing.url}/engines", timeout=30).json()["engines"]
    card = next(each for each in engines if each["name"] == "melodyflow")

    assert card["available"], card
    assert LICENCE in card["licence"]


def test_auto_takes_it_and_every_answer_names_engine_weights_and_licence(
    flowing: Flowing, riff: Clip
) -> None:
    job = flowing.ended(riff, variation="strings_quartet", format="flac")
    [sound] = flowing.sounds(job)

    assert ("melodyflow", 5) == (job["engine"], job["seed"])
    assert (riff.length, riff.sample_rate) == (sound.length, sound.sample_rate)
    assert LICENCE in job["licence"]
    assert {"name", "device", "precision", "checksum"} <= set(job["recipe"]["model"])
    assert str(flowing.weights) not in str(job)
    assert 0 == job["report"]["kept"]["gates"]["length"]["value"]


def test_progress_comes_by_every_step_after_a_warming(flowing: Flowing, riff: Clip) -> None:
    requests.post(f"{flowing.url}/cleanup", timeout=30)
    with socketio.SimpleClient() as client:
        client.connect(flowing.url, transports=["websocket"])
        job = flowing.submit(riff, variation="strings_quartet", engine="melodyflow")
        views = [client.call("follow", {"job_id": job["id"]}, timeout=PATIENCE_SECONDS)]
        while views[-1]["status"] not in FINAL:
            name, view = client.receive(timeout=PATIENCE_SECONDS)
            views += [view] if name == "job" else []

    assert "finished" == views[-1]["status"], views[-1]["error"]
    progress = [view["progress"] for view in views]
    assert sorted(progress) == progress
    assert 4 <= len(set(progress))


def test_several_presets_share_an_inversion_and_a_later_prompt_finds_it_kept(
    flowing: Flowing, riff: Clip
) -> None:
    order = {"flowstep": 0.21, "seed": 77}
    several = flowing.ended(
        riff, variations=["strings_quartet", {"custom_prompt": "a choir"}, "lofi_chill"], **order
    )
    later = flowing.ended(riff, custom_prompt="hand drums", **order)

    sounds = flowing.sounds(several)
    assert 3 == len(sounds)
    assert {riff.length} == {sound.length for sound in sounds}
    assert not np.allclose(sounds[0].samples, sounds[1].samples, atol=1e-3)
    made = [each["made"]["inversion"] for each in several["report"]["variations"]]
    assert ["computed", "shared", "shared"] == made
    assert "cached" == later["report"]["made"]["inversion"]


def test_a_seed_gives_the_same_samples_again(flowing: Flowing, riff: Clip) -> None:
    first, again, other = (
        flowing.sounds(flowing.ended(riff, custom_prompt="a choir", seed=seed))[0].samples
        for seed in (11, 11, 12)
    )

    assert np.array_equal(first, again)
    assert not np.allclose(first, other, atol=1e-3)


def test_more_than_the_window_keeps_its_length_to_the_sample(flowing: Flowing) -> None:
    clip = music.riff(seconds=9.7).clip

    job = flowing.ended(clip, custom_prompt="a choir")

    assert clip.length == flowing.sounds(job)[0].length
    assert 3 == job["report"]["made"]["windows"]


def test_a_passage_changes_and_every_other_sample_stays(flowing: Flowing) -> None:
    clip = music.riff(seconds=8.0).clip
    encoded = codec.decode(codec.encode(clip, "wav"))
    start, end = round(2.5 * clip.sample_rate), round(4.0 * clip.sample_rate)

    job = flowing.ended(clip, custom_prompt="a choir", start_seconds=2.5, end_seconds=4.0)

    sound = flowing.sounds(job)[0].samples
    assert np.array_equal(encoded.samples[:, :start], sound[: clip.channels, :start])
    assert np.array_equal(encoded.samples[:, end:], sound[: clip.channels, end:])
    assert not np.allclose(encoded.samples[:, start:end], sound[: clip.channels, start:end])


def test_a_preview_is_there_before_the_result(flowing: Flowing, riff: Clip) -> None:
    job = flowing.ended(riff, custom_prompt="a choir", preview=True, seed=31)

    roles = [each["role"] for each in job["artifacts"]]
    assert {"preview", "result"} <= set(roles)


def test_a_cancelled_job_stops_and_the_next_one_runs(flowing: Flowing, riff: Clip) -> None:
    long = music.riff(seconds=60.0).clip
    job = flowing.submit(long, custom_prompt="a choir", solver="midpoint", seed=99)
    until(lambda: requests.get(f"{flowing.url}/jobs/{job['id']}", timeout=5).json()["progress"])
    assert requests.delete(f"{flowing.url}/jobs/{job['id']}", timeout=30).ok

    assert "cancelled" == flowing.ending(job["id"])["status"]
    assert "finished" == flowing.ended(riff, custom_prompt="a choir")["status"]


def test_a_plugin_gets_a_sound_and_the_seed(flowing: Flowing, riff: Clip) -> None:
    order = {
        "audio_data": base64.b64encode(codec.encode(riff, "wav")).decode(),
        "variation": "accordion_folk",
        "custom_prompt": "a choir",
        "flowstep": 0.12,
        "solver": "euler",
        "seed": 3,
    }
    answer = requests.post(f"{flowing.url}/api/juce/transform_audio", json=order, timeout=30).json()
    poll = f"{flowing.url}/api/juce/poll_status/{answer['session_id']}"
    done = until(lambda: _completed(poll), every=0.1)

    sound = codec.decode(base64.b64decode(done["audio_data"]))
    assert (3, riff.length) == (answer["seed"], sound.length)


def _completed(url: str) -> dict[str, Any] | None:
    answer: dict[str, Any] = requests.get(url, timeout=30).json()
    return answer if answer.get("audio_data") else None
