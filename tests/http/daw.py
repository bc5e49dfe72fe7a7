"""An engine that knows what it played, and looking at the files that come of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from server.media import riff
from server.media.clip import Clip
from server.media.sheet import Sheet, SheetNote, Track
from tests.http import sounds
from tests.http.scripted import ScriptedEngine
from tests.http.world import World

SECONDS = 2.0
PARTS = ("violin 1", "drums (source)")
HEARD: dict[str, Any] = {
    "bpm": 120.0,
    "steady": True,
    "key": "A minor",
    "meter": "3/4",
    "beats": [0.0, 0.5, 1.0, 1.5],
    "chords": [{"start_seconds": 0.0, "name": "Am"}, {"start_seconds": 1.0, "name": "N"}],
}


def notes(clip: Clip) -> Sheet:
    """Return a note on every half second of a clip."""
    starts = [each / 2 for each in range(int(2 * clip.seconds))]
    played = tuple(SheetNote(start, 0.25, 60, 0.8) for start in starts)
    beats, chords = tuple(starts), ((0.0, "Am"),)
    tracks = (Track("violin 1", 40, played),)
    return Sheet(clip.seconds, beats, 0, (4, 4), 4, None, chords, tracks)


def halves(clip: Clip) -> Mapping[str, Clip]:
    """Return two parts that together are a clip."""
    part = clip.with_samples(np.round(clip.samples * np.float32(0.75), 4))
    return {PARTS[0]: part, PARTS[1]: clip.with_samples(clip.samples - part.samples)}


def done(here: World, **fields: Any) -> dict[str, Any]:
    """Return a transform of two seconds once it has ended."""
    receipt = here.submit(audio=sounds.base64_wav(SECONDS), **fields)
    job = here.finished(receipt["id"])
    assert "finished" == job["status"], job["error"]
    return job


def files(here: World, job: Mapping[str, Any], role: str) -> dict[str, bytes]:
    """Return the files of a role, by name."""
    found = [each for each in job["artifacts"] if each["role"] == role]
    return {each["name"]: here.client.get(each["url"]).data for each in found}


def chunk(data: bytes, name: bytes) -> bytes:
    """Return what is in a chunk of a WAV file."""
    return next(data[at : at + size] for found, at, size in riff.chunks(data) if found == name)


def script(engine: ScriptedEngine) -> None:
    """Have an engine know its notes, its parts and the music."""
    engine.sheet, engine.split, engine.heard = notes, halves, HEARD
