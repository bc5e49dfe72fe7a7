"""Music goes on where a sound ends, and what was there stays as it is."""

import io
from collections.abc import Callable
from typing import Any

import av
import numpy as np
import pybase64
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server import errors, kinds
from server.kinds import continuation
from server.media import codec
from server.media.clip import Clip
from tests import music
from tests.http import sounds
from tests.http.conftest import MakeWorld
from tests.http.scripted import hummed
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
