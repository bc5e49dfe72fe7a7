"""How long does it take to paint 8 s into a song of 60 s, with everything from file to file?"""

import time
from collections.abc import Iterator
from itertools import count
from statistics import median

import numpy as np

from server import bootstrap, kinds
from server.cli import song as demo_song
from server.config import Settings
from server.engines.residency import Residency
from server.kinds import inpaint
from server.media import codec
from server.media.clip import Clip

TITLE = "Eight seconds painted into a song of sixty"
HEAD = ("Engine", "Prompt", "Takes", "Median s", "Slowest s")

RUNS = 3
SECONDS = 60.0
WINDOW = (26.0, 34.0)
PROMPT = "Upbeat coffee shop promo with acoustic guitar"


def rows() -> Iterator[tuple[str, ...]]:
    """Yield a row for each engine that can do it here, and for one take and four."""
    song = _song()
    songs = (song.with_samples(song.samples * np.float32(1 - 1e-4 * n)) for n in count())
    settings = Settings()
    offers = Residency(settings).offers()
    with bootstrap.local(settings) as local:
        for engine in ("arranger", "melodyflow"):
            if not offers[engine].available:
                continue
            for takes in (1, 4):
                _seconds(local, next(songs), engine, takes)  # the engine is loaded by the first
                seconds = [_seconds(local, next(songs), engine, takes) for _ in range(RUNS)]
                yield (
                    f"`{engine}`",
                    PROMPT,
                    str(takes),
                    f"{median(seconds):.1f}",
                    f"{max(seconds):.1f}",
                )


def _song() -> Clip:
    """Return the song of the demonstration, begun again until the minute is full."""
    song = demo_song.compose()
    length = round(SECONDS * song.sample_rate)
    times = -(-length // song.length)
    return song.with_samples(np.tile(song.samples, (1, times))[:, :length])


def _seconds(local: bootstrap.Local, song: Clip, engine: str, takes: int) -> float:
    """Time one job from its submission to its stored result; no clip comes twice."""
    source = local.record.artifacts.save(
        codec.encode(song, "wav"), name="song.wav", media_type="audio/wav"
    )
    asked = {"source": source.id, "windows": [WINDOW], "prompt": PROMPT}
    spec = kinds.parse(inpaint, {**asked, "takes": takes, "engine": engine, "seed": 1})
    began = time.perf_counter()
    job = local.run(inpaint, spec)
    seconds = time.perf_counter() - began
    if job.error is not None:
        raise RuntimeError(job.error.message)
    return seconds
