"""What can be heard of a job before its end."""

from typing import Any

import numpy as np
import pytest

from server.kinds.transform import NO_PREVIEW
from server.media import codec
from server.media.clip import Clip
from tests.http import sounds
from tests.http.scripted import STEPS
from tests.http.world import World

HALF_WAY = STEPS // 2 + 1
"""The step after the one that gives a preview."""


def running(here: World, **fields: Any) -> dict[str, Any]:
    """Return a running job whose preview is there."""
    here.engine.has_previews = True
    here.engine.hold(after=HALF_WAY * len(fields.get("variations", [0])))
    receipt = here.submit(preview=True, **fields)
    assert here.engine.is_stepping.wait(20)
    return here.json(here.client.get(receipt["links"]["self"]))


def heard(here: World, artifact: dict[str, Any]) -> Clip:
    """Return an artifact's sound."""
    return codec.decode(here.client.get(artifact["url"]).data)


def test_a_running_job_shows_its_preview(here: World) -> None:
    """As a file that can be played, marked as what it is."""
    job = running(here)
    (preview,) = job["artifacts"]
    source = codec.decode(sounds.wav())

    assert ("running", "preview", "preview.wav") == (
        job["status"],
        preview["role"],
        preview["name"],
    )
    np.testing.assert_allclose(source.samples / 4, heard(here, preview).samples, atol=2**-15)


def test_a_preview_is_kept_behind_the_result(here: World) -> None:
    """Who takes the first file takes the result."""
    job = running(here)
    here.engine.release()
    job = here.finished(job["id"])

    assert [("transformed.wav", "result"), ("preview.wav", "preview")] == [
        (each["name"], each["role"]) for each in job["artifacts"]
    ]
    assert NO_PREVIEW not in job["report"]["notices"]


def test_each_variation_has_a_preview(here: World) -> None:
    """Named like its result."""
    job = running(here, variation="custom", variations=["celtic", "chiptune"])

    assert ["preview-1-celtic.wav", "preview-2-chiptune.wav"] == [
        each["name"] for each in job["artifacts"]
    ]


def test_a_preview_of_a_passage_is_the_whole_sound(here: World) -> None:
    """With the rest as it is."""
    job = running(here, audio=sounds.base64_wav(1.0), start_seconds=0.5)
    source, preview = codec.decode(sounds.wav(1.0)), heard(here, job["artifacts"][0])
    half = source.length // 2

    np.testing.assert_array_equal(source.samples[:, :half], preview.samples[:, :half])
    assert not np.array_equal(source.samples[:, half:], preview.samples[:, half:])


def test_nobody_gets_a_preview_unasked(here: World) -> None:
    here.engine.has_previews = True
    job = here.finished(here.submit()["id"])

    assert ["result"] == [each["role"] for each in job["artifacts"]]


def test_an_engine_without_previews_is_no_reason_to_fail(here: World) -> None:
    """The report says so."""
    job = here.finished(here.submit(preview=True)["id"])

    assert "finished" == job["status"]
    assert NO_PREVIEW in job["report"]["notices"]
    assert ["result"] == [each["role"] for each in job["artifacts"]]


def test_a_job_cancelled_after_its_preview_keeps_that(here: World) -> None:
    """It may be what made somebody cancel; a result there is none."""
    job = running(here)
    here.client.delete(job["links"]["cancel"])
    here.engine.release()
    ended = here.finished(job["id"])

    assert "cancelled" == ended["status"]
    assert ["preview"] == [each["role"] for each in ended["artifacts"]]


@pytest.mark.parametrize("preview", ["maybe", 7, [], {}])
def test_preview_is_yes_or_no(here: World, preview: object) -> None:
    order = {"audio": sounds.base64_wav(), "variation": "celtic", "preview": preview}
    refused = here.json(here.client.post("/jobs", json=order), status=422)

    assert "preview" == refused["error"]["field"]
