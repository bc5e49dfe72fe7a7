"""How long does the arranger take for thirty seconds of music with each preset?"""

import time
from collections.abc import Iterator
from itertools import count
from statistics import median

import numpy as np

import variations
from server.cli.demo import RIFF
from server.config import Settings
from server.engines.protocols import Brief, Transforms
from server.engines.residency import Residency
from server.media import codec
from server.media.clip import Clip

TITLE = "Thirty seconds with each preset"
HEAD = ("Preset", "Median s", "Times real time")

RUNS = 3
SECONDS = 30.0


def rows() -> Iterator[tuple[str, ...]]:
    """Yield each preset with the median of its runs on a loaded engine, and what all of them say.

    The first run of each is not counted: it reads the preset's instruments from the sound bank.
    """
    _, opened = Residency(Settings()).open("arranger", "transforms")
    engine: Transforms = opened
    clip = minutes_of_riff(SECONDS / 60.0)
    unheard = (clip.with_samples(clip.samples * np.float32(1 - 1e-4 * n)) for n in count())
    taken: dict[str, float] = {}
    for name in variations.load():
        seconds(engine, next(unheard), name)
        taken[name] = median(seconds(engine, next(unheard), name) for _ in range(RUNS))
        yield f"`{name}`", f"{taken[name]:.1f}", f"{clip.seconds / taken[name]:.0f}"
    slowest = max(taken, key=lambda name: taken[name])
    yield "the median of all", f"{median(taken.values()):.1f}", ""
    yield f"the slowest, `{slowest}`", f"{taken[slowest]:.1f}", ""


def minutes_of_riff(minutes: float) -> Clip:
    """Return the riff of the demonstration, begun again until the time is full."""
    riff = codec.decode(RIFF)
    length = round(60.0 * minutes * riff.sample_rate)
    times = -(-length // riff.length)
    return riff.with_samples(np.tile(riff.samples, (1, times))[:, :length])


def seconds(engine: Transforms, clip: Clip, *names: str) -> float:
    """Time one transform of a clip the engine has not met: it remembers the last ones."""
    briefs = [
        Brief(variation=variations.load()[name], prompt=variations.load()[name].prompt)
        for name in names
    ]
    began = time.perf_counter()
    engine.transform(clip, briefs, on_step=lambda _done, _total: None)
    return time.perf_counter() - began
