"""An engine that does as it is told, so that stories about jobs are short and exact."""

import threading
from typing import Any

import numpy as np

from server import errors
from server.engines.protocols import Brief, OnStep, Transformation
from server.jobs.ports import Offer, WorkerNote
from server.media.clip import Clip

STEPS = 4
PATIENCE_SECONDS = 20.0
WORKER = "scripted-worker"


class ScriptedEngine:
    """Halves the level of a clip, in four steps; a test may hold it, fail it, and look on.

    Attributes:
        failure: raised instead of giving a result.
        briefs: what it was asked for, in order.
        is_stepping: set once a held job has made its first step.
    """

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self.briefs: list[Brief] = []
        self.is_stepping = threading.Event()
        self._may_go_on = threading.Event()
        self._may_go_on.set()

    def hold(self) -> None:
        """Stop after the first step until `release`."""
        self._may_go_on.clear()

    def release(self) -> None:
        """Let a held job go on."""
        self._may_go_on.set()

    def transform(self, clip: Clip, brief: Brief, *, on_step: OnStep) -> Transformation:
        """Do what the script says."""
        self.briefs.append(brief)
        on_step(1, STEPS)
        self.is_stepping.set()
        if not self._may_go_on.wait(PATIENCE_SECONDS):
            raise errors.EngineFailed("The test never released its engine.")
        for done in range(2, STEPS + 1):
            on_step(done, STEPS)
        if self.failure is not None:
            raise self.failure
        return Transformation(
            clip=clip.with_samples(clip.samples * np.float32(0.5)),
            heard={"bpm": 120.0},
            understood=tuple(word for word in brief.prompt.split() if word == "strings"),
            ignored=tuple(word for word in brief.prompt.split() if word == "purple"),
        )


class ScriptedEngines:
    """Opens the scripted engine under the name `arranger`."""

    def __init__(self, engine: ScriptedEngine) -> None:
        self._engine = engine

    def open(self, _name: str, _capability: str) -> tuple[str, Any]:
        """Return the engine."""
        return "arranger", self._engine


def worker_note(*, available: bool = True, loaded: tuple[str, ...] = ()) -> WorkerNote:
    """Return what a worker with the arranger says of itself."""
    offer = Offer(
        engine="arranger",
        available=available,
        reason="" if available else "There is no sound bank.",
        advice="" if available else "Run make sounds.",
    )
    return WorkerNote(id=WORKER, queues=("audio",), offers=(offer,), loaded=loaded)
