"""The client library that the plugins are locked to, as their Node script uses it."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pybase64
import pytest

from server.media import codec
from tests.http import sounds
from tests.http.legacy.stage import check_message
from tests.system.site import Site

SCRIPT = Path(__file__).with_name("plugin.js")
CONVERSATION_SECONDS = 100


@pytest.fixture(name="heard", scope="module")
def _heard(site: Site, node_modules: Path) -> list[tuple[str, dict[str, Any]]]:
    """Hold one long conversation: transform, undo, crop, break, verify, go on, fail, clean up."""
    file = site.yard.directory / "riff.wav"
    file.write_bytes(sounds.wav(30, rate=44_100, channels=2))
    done = subprocess.run(
        ["node", str(SCRIPT), site.url, str(file)],
        env={**os.environ, "NODE_PATH": str(node_modules)},
        capture_output=True,
        text=True,
        timeout=CONVERSATION_SECONDS,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
    return [(name, payload) for name, payload in json.loads(done.stdout)]


def test_it_is_told_from_request_to_result(heard: list[tuple[str, dict[str, Any]]]) -> None:
    """Half a minute of stereo goes both ways."""
    names = [name for name, _ in heard]
    result = next(payload for name, payload in heard if name == "audio_transformed")
    clip = codec.decode(pybase64.b64decode(result["audio_data"]))

    assert ["transform_audio_received", "queue_status"] == names[:2]
    assert (30 * 44_100, 44_100) == (clip.length, clip.sample_rate)


def test_it_finds_its_way_back(heard: list[tuple[str, dict[str, Any]]]) -> None:
    """Two jobs, two results, the second over a second connection."""
    names = [name for name, _ in heard]
    undone, cropped = (
        names.index(each) for each in ("transform_undone", "update_cropped_audio_complete")
    )

    assert 2 == names.count("audio_transformed")
    assert undone < cropped < len(names) - 1 - names[::-1].index("audio_transformed")
    assert "cleanup_complete" == names[-1]


def test_music_goes_on(heard: list[tuple[str, dict[str, Any]]]) -> None:
    """Half a minute, then 20 s more, then another 20 s in their place, all in one session."""
    told = dict(heard)
    lengths = {
        name: codec.decode(pybase64.b64decode(told[name]["audio_data"])).seconds
        for name in ("audio_processed", "music_continued", "music_retried")
    }

    assert {"audio_processed": 30.0, "music_continued": 50.0, "music_retried": 50.0} == lengths
    assert 1 == len({told[name]["session_id"] for name in lengths})


def test_everything_it_heard_is_in_the_vocabulary(heard: list[tuple[str, dict[str, Any]]]) -> None:
    """Names, fields, and a text for a message in every error."""
    for name, payload in heard:
        check_message(name, payload)

    assert ["Unknown variation: kazoo"] == [
        payload["message"] for name, payload in heard if name == "error"
    ]
