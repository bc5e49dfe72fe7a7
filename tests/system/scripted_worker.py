"""A worker whose engine does at once what real ones take seconds for; files in its data hold it.

Run as `python -m tests.system.scripted_worker`; settings come from the environment. This module is
the module of its engine too: it loads while `loading` exists, and plays while `held` does.
"""

import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from server import bootstrap
from server.config import Settings
from server.engines.catalog import Availability, EngineCard
from server.engines.protocols import (
    Brief,
    Continuation,
    OnPreview,
    OnStep,
    Sampling,
    Transformation,
    tell_nobody,
)
from server.media.clip import Clip

STEPS = 8
STEP_SECONDS = 0.02


class Halving:
    """Halves the level of a clip, or goes on with a hum, in eight steps."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def transform(
        self,
        clip: Clip,
        briefs: Sequence[Brief],
        *,
        on_step: OnStep,
        on_preview: OnPreview | None = None,
    ) -> list[Transformation]:
        """Do it, half way only until it is let go."""
        del on_preview
        self._step(on_step)
        half = clip.with_samples(clip.samples * np.float32(0.5))
        return [Transformation(clip=half) for _ in briefs]

    def continue_music(
        self,
        clip: Clip,
        brief: Brief,
        sampling: Sampling,
        *,
        seconds: float,
        on_step: OnStep,
        earlier: Clip | None = None,
    ) -> Continuation:
        """Do it, half way only until it is let go."""
        del brief, sampling, earlier
        self._step(on_step)
        at = np.arange(round((seconds + 1) * clip.sample_rate)) / clip.sample_rate
        hum = np.tile(0.1 * np.sin(2 * np.pi * 110 * at), (clip.channels, 1))
        return Continuation(clip=clip.with_samples(np.hstack((clip.samples, hum))))

    def _step(self, on_step: OnStep) -> None:
        for done in range(1, STEPS + 1):
            _wait_while(self._folder / "held", on_step, done=done if done > STEPS // 2 else 0)
            on_step(done, STEPS)


def open_engine(settings: Settings, *, on_step: OnStep = tell_nobody) -> Halving:
    """Load for as long as a test wants."""
    on_step(0, STEPS)
    _wait_while(settings.data_dir / "loading", on_step, done=1)
    return Halving(settings.data_dir)


def availability(settings: Settings) -> Availability:
    """Say that it works."""
    del settings
    return Availability(available=True)


def _wait_while(file: Path, on_step: OnStep, *, done: int) -> None:
    threading.Event().wait(STEP_SECONDS)
    while done and file.exists():
        on_step(done, STEPS)
        threading.Event().wait(STEP_SECONDS)


ENGINES: Mapping[str, EngineCard] = {
    "arranger": EngineCard(
        name="arranger",
        module="tests.system.scripted_worker",
        offers=frozenset({"transforms", "continues"}),
        summary="Halves the level, or hums.",
        licence="MIT",
    )
}


def main() -> int:
    """Work until told to stop."""
    settings = Settings.from_environment()
    url = str(settings.redis_url)
    return bootstrap.worker(settings, url, queues=["audio"], engines=ENGINES).serve()


if __name__ == "__main__":
    sys.exit(main())
