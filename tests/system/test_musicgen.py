"""The language model in the whole product: weights on disk or fetched, a worker, HTTP, a join.

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
from tests.local_hub import COMMIT, Hub, serving
from tests.models import formula
from tests.system.processes import PATIENCE_SECONDS, Yard, until

FINAL = {"finished", "failed", "cancelled"}

LICENCE = "CC-BY-NC"

FINETUNE = "thepatch/vanya_ai_dnb_0.1"
ENCODER = "google-t5/t5-base"
CHANGES = {"conditioners.description.t5.name": "t5-small", "dataset.segment_duration": 6}


@dataclass(frozen=True)
class Playing:
    """A server whose worker has a language model, on the CPU."""

    url: str
    weights: Path

    def upload(self, clip: Clip) -> str:
        """Store a clip and return its id."""
        file = {"audio": ("clip.wav", codec.encode(clip, "wav"), "audio/wav")}
        answer = requests.post(f"{self.url}/artifacts", files=file, timeout=30)
        return str(answer.json()["id"])

    def submit(self, **order: Any) -> str:
        """Order a job and return its id."""
        answer = requests.post(f"{self.url}/jobs", json=order, timeout=30)
        assert 202 == answer.status_code, answer.text
        return str(answer.json()["id"])

    def ended(self, **order: Any) -> dict[str, Any]:
        """Order a job and return it at its ending."""
        return self.ending(self.submit(**order))

    def ending(self, job_id: str) -> dict[str, Any]:
        """Return a job once it is over."""
        return until(lambda: self._over(job_id), every=0.1)

    def sound(self, job: dict[str, Any]) -> Clip:
        """Return the result of a finished job."""
        assert "finished" == job["status"], job["error"]
        result = next(each for each in job["artifacts"] if each["role"] == "result")
        return codec.decode(requests.get(self.url + result["url"], timeout=30).content)

    def _over(self, job_id: str) -> dict[str, Any] | None:
        job: dict[str, Any] = requests.get(f"{self.url}/jobs/{job_id}?wait=5", timeout=30).json()
        return job if job["status"] in FINAL else None


@pytest.fixture(scope="module", name="hub")
def _hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub that has a finetune and its text encoder."""
    folder = tmp_path_factory.mktemp("hub")
    for name in ("finetune", "encoder"):
        (folder / name).mkdir()
    folders = {
        FINETUNE: formula.write_musicgen_checkpoint(folder / "finetune", changes=CHANGES),
        ENCODER: formula.write_text_encoder(folder / "encoder"),
    }
    with serving(Hub(folders=folders)) as hub:
        yield hub


@pytest.fixture(scope="module", name="playing")
def _playing(tmp_path_factory: pytest.TempPathFactory, hub: Hub) -> Iterator[Playing]:
    weights = tmp_path_factory.mktemp("weights") / "tiny"
    weights.mkdir()
    formula.write_musicgen_checkpoint(weights, changes=CHANGES)
    formula.write_text_encoder(weights / "t5")
    with ExitStack() as ended:
        yard = Yard(tmp_path_factory.mktemp("playing"), ended)
        server = yard.start(
            "-m",
            "server",
            "serve",
            "--data-dir",
            yard.data,
            "--port",
            0,
            MELODYFLOW_DEVICE="cpu",
            MELODYFLOW_MUSICGEN_MODEL=str(weights),
            HF_ENDPOINT=hub.url,
            HF_HOME=str(yard.data / "hf"),
        )
        url = yard.url(server)
        until(lambda: requests.get(f"{url}/health/ready", timeout=5).ok, every=0.25)
        yield Playing(url, weights)


@pytest.fixture(scope="module", name="riff")
def _riff() -> Clip:
    clip = music.riff(seconds=3.0).clip
    return codec.decode(codec.encode(clip, "wav"))


def test_the_table_of_engines_says_that_it_is_here_and_under_which_licence(
    playing: Playing,
) -> None:
    engines = requests.get(f"{playing.url}/engines", timeout=30).json()["engines"]
    card = next(each for each in engines if each["name"] == "musicgen")

    assert card["available"], card
    assert ["continues", "generates"] == sorted(card["offers"])
    assert LICENCE in card["licence"]


def test_a_continuation_keeps_every_sample_and_names_engine_weights_and_licence(
    playing: Playing, riff: Clip
) -> None:
    job = playing.ended(
        kind="continuation",
        source=playing.upload(riff),
        appended_seconds=2.5,
        prompt="a slow waltz",
        prompt_duration=2,
        most_takes=1,
        seed=5,
    )

    sound = playing.sound(job)
    assert ("musicgen", 5) == (job["engine"], job["seed"])
    assert riff.length + round(2.5 * riff.sample_rate) == sound.length
    assert (riff.sample_rate, riff.channels) == (sound.sample_rate, sound.channels)
    assert np.array_equal(riff.samples, sound.samples[:, : riff.length])
    assert np.abs(sound.samples[:, riff.length :]).max() > 0
    assert LICENCE in job["licence"]
    model = job["recipe"]["model"]
    assert ("tiny", 64, "float32") == (model["name"], len(model["checksum"]), model["precision"])
    assert str(playing.weights) not in str(job)


def test_a_seed_gives_the_same_samples_again(playing: Playing) -> None:
    first, again, other = (
        playing.sound(
            playing.ended(
                kind="generate", prompt="a waltz", seconds=1.5, seed=seed, engine="musicgen"
            )
        ).samples
        for seed in (11, 11, 12)
    )

    assert np.array_equal(first, again)
    assert not np.allclose(first, other, atol=1e-3)


def test_a_cancelled_job_stops_and_the_next_one_plays(playing: Playing) -> None:
    job_id = playing.submit(kind="generate", prompt="a waltz", seconds=250, engine="musicgen")
    until(lambda: requests.get(f"{playing.url}/jobs/{job_id}", timeout=5).json()["progress"])
    assert requests.delete(f"{playing.url}/jobs/{job_id}", timeout=30).ok

    assert "cancelled" == playing.ending(job_id)["status"]
    after = playing.ended(kind="generate", prompt="a waltz", seconds=0.5, engine="musicgen")
    assert "finished" == after["status"]


def test_weights_that_are_fetched_by_a_job_play_in_the_next(playing: Playing) -> None:
    """Named before they are here, they are refused with the command that fetches them."""
    order = {
        "kind": "generate",
        "prompt": "a waltz",
        "seconds": 0.5,
        "engine": "musicgen",
        "model": FINETUNE,
    }
    before = playing.ended(**order)
    fetched = playing.ended(kind="pull", name=FINETUNE)
    after = playing.ended(**order)

    assert ("failed", "invalid_input") == (before["status"], before["error"]["code"])
    assert f"models pull {FINETUNE}" in before["error"]["message"]
    assert "finished" == fetched["status"], fetched["error"]
    facts = fetched["report"]
    assert (FINETUNE, COMMIT) == (facts["name"], facts["revision"])
    assert LICENCE in facts["licence"]
    assert "finished" == after["status"], after["error"]
    assert (FINETUNE, COMMIT) == tuple(
        after["recipe"]["model"][key] for key in ("name", "revision")
    )


def test_a_plugin_s_socket_hears_music_go_on(playing: Playing, riff: Clip) -> None:
    """With the weights of the settings; of a prompt of 29 s there is one second left to play."""
    wav = base64.b64encode(codec.encode(riff, "wav")).decode()
    heard: dict[str, Any] = {}
    with socketio.SimpleClient() as client:
        client.connect(playing.url, transports=["websocket"])
        client.emit("continue_music_request", {"audio_data": wav, "prompt_duration": 29})
        while not heard.keys() & {"music_continued", "error"}:
            name, heard[name] = client.receive(timeout=PATIENCE_SECONDS)

    assert {"continue_music_received", "queue_status", "progress_update"} <= heard.keys()
    data = base64.b64decode(heard["music_continued"]["audio_data"])
    sound = codec.decode(data)
    assert b"engine: musicgen" in data
    assert riff.length + riff.sample_rate == sound.length
    np.testing.assert_array_equal(riff.samples, sound.samples[:, : riff.length])
