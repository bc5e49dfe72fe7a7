"""Clips and words for a small MusicGen, and asking it to go on."""

import numpy as np

from server.engines.musicgen.engine import MusicGenEngine
from server.engines.protocols import Brief, Sampling, tell_nobody
from server.media.clip import Clip

WINDOW_SECONDS = 2
CHANGES = {
    "conditioners.description.t5.name": "t5-small",
    "dataset.segment_duration": WINDOW_SECONDS,
}
STEREO = "mine/stereo"
"""Weights in the store; those of the setting are mono."""


def clip_of(seconds: float = 1.0, *, rate: int = 32000, channels: int = 1) -> Clip:
    """Return noise."""
    samples = np.random.default_rng(7).standard_normal((channels, round(seconds * rate)))
    return Clip((0.1 * samples).astype(np.float32), rate)


def brief(prompt: str = "a slow waltz", *, seed: int = 5) -> Brief:
    """Return free words."""
    return Brief(variation=None, prompt=prompt, seed=seed)


def continued(
    engine: MusicGenEngine, clip: Clip, *, seconds: float = 0.2, seed: int = 5, model: str = ""
) -> Clip:
    """Return a clip with what comes next."""
    return engine.continue_music(
        clip,
        brief(seed=seed),
        Sampling(model=model),
        seconds=seconds,
        on_step=tell_nobody,
    ).clip
