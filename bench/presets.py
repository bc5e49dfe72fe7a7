"""How long does the arranger take for presets of each family, on the riff of the demo?"""

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

TITLE = "Seconds per preset"
HEAD = ("Preset", "Median s", "Times real time")

RUNS = 3
ASKED = (
    "strings_quartet",
    "piano_classical",
    "rock_band",
    "cinematic_epic",
    "chiptune",
    "trap_808",
    "synth_ambient",
    "glitch_hop",
)
"""One of each family: what a preset costs is how many voices it has and of which sort."""


def rows() -> Iterator[tuple[str, ...]]:
    """Yield each preset with the median of its runs on a loaded engine."""
    _, opened = Residency(Settings()).open("arranger", "transforms")
    engine: Transforms = opened
    clip = codec.decode(RIFF)
    unheard = (clip.with_samples(clip.samples * np.float32(1 - 1e-4 * n)) for n in count())
    for name in ASKED:
        seconds = median(_seconds(engine, next(unheard), name) for _ in range(RUNS))
        yield f"`{name}`", f"{seconds:.1f}", f"{clip.seconds / seconds:.1f}"


def _seconds(engine: Transforms, clip: Clip, name: str) -> float:
    """Time one transform of a clip the engine has not met: it remembers the last ones."""
    variation = variations.load()[name]
    brief = Brief(variation=variation, prompt=variation.prompt)
    began = time.perf_counter()
    engine.transform(clip, [brief], on_step=lambda _done, _total: None)
    return time.perf_counter() - began
