"""An engine that does as it is told, so that stories about jobs are short and exact."""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from server import errors
from server.engines.protocols import (
    Brief,
    Continuation,
    Inpainting,
    OnPreview,
    OnStep,
    Sampling,
    Transformation,
    tell_nobody,
)
from server.jobs.ports import Offer, WorkerNote
from server.jobs.record import now
from server.media.clip import Clip
from server.media.sheet import Sheet
from server.media.window import Window

STEPS = 4
PATIENCE_SECONDS = 20.0
RATE = 32_000
WORKER = "scripted-worker"


def hum(seconds: float, *, rate: int, channels: int = 1, seed: int = 0) -> Clip:
    """Return a tone struck twice a second, another one for each seed."""
    at = np.arange(round(seconds * rate)) / rate
    pitch = 220.0 * 2.0 ** ((seed % 12) / 12)
    sine = 0.3 * np.sin(2 * np.pi * pitch * at) * (0.2 + np.exp(-6 * (at % 0.5)))
    return Clip(np.tile(sine.astype(np.float32), (channels, 1)), rate)


def hummed(clip: Clip, seconds: float, seed: int) -> Clip:
    """Return a clip that goes on with a tone."""
    new = hum(seconds, rate=clip.sample_rate, channels=clip.channels, seed=seed)
    return clip.with_samples(np.concatenate([clip.samples, new.samples], axis=1))


def halved(clip: Clip) -> Clip:
    """Return a clip at half its level."""
    return clip.with_samples(clip.samples * np.float32(0.5))


def begun(seconds: float, seed: int) -> Clip:
    """Return a tone in stereo."""
    return hum(seconds, rate=RATE, channels=2, seed=seed)


class ScriptedEngine:
    """Halves the level of a clip, in four steps a brief; a test may hold, fail and watch it.

    Attributes:
        failure: raised instead of giving a result.
        briefs: what it was asked for, in order.
        clips: what it was given, one a call.
        earlier: what came before them, one a call of `continue_music`.
        windows: what it was to paint in them, one a call of `inpaint`.
        samplings: how it was to draw, one a call of `continue_music` and `generate`.
        seconds: how much it was to play, one a call of those.
        play: what it makes of a clip.
        go_on: what it makes of a clip, seconds and a seed when it goes on.
        begin: what it makes of seconds and a seed alone.
        sheet: the notes that it says it played, as long as it was given.
        split: what the parts of what it made of a clip are, by name, where they are wanted.
        heard: what it says of a clip.
        has_previews: whether it gives a preview after its second step, at a quarter of the level.
        steps: how many steps it made.
        is_stepping: set once it has made the step at which it is held.
    """

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self.briefs: list[Brief] = []
        self.clips: list[Clip] = []
        self.earlier: list[Clip | None] = []
        self.windows: list[tuple[Window, ...]] = []
        self.samplings: list[Sampling] = []
        self.seconds: list[float] = []
        self.play: Callable[[Clip], Clip] = halved
        self.go_on: Callable[[Clip, float, int], Clip] = hummed
        self.begin: Callable[[float, int], Clip] = begun
        self.sheet: Callable[[Clip], Sheet] | None = None
        self.split: Callable[[Clip], Mapping[str, Clip]] | None = None
        self.heard: dict[str, Any] = {"bpm": 120.0}
        self.has_previews = False
        self.steps = 0
        self.is_stepping = threading.Event()
        self._held_at = 1
        self._may_go_on = threading.Event()
        self._may_go_on.set()

    def hold(self, *, after: int = 1) -> None:
        """Stop after this step until `release`."""
        self._held_at = after
        self._may_go_on.clear()

    def release(self) -> None:
        """Let a held job go on."""
        self._may_go_on.set()

    def transform(
        self,
        clip: Clip,
        briefs: Sequence[Brief],
        *,
        on_step: OnStep,
        on_preview: OnPreview | None = None,
    ) -> list[Transformation]:
        """Do what the script says."""
        self.briefs += briefs
        self.clips.append(clip)
        total = STEPS * len(briefs)
        for done in range(1, total + 1):
            self._step(done, total, on_step)
            if done == total // 2 and self.has_previews and on_preview is not None:
                on_preview([halved(halved(clip)) for _ in briefs])
        if self.failure is not None:
            raise self.failure
        return [self._transformation(clip, brief) for brief in briefs]

    def inpaint(
        self,
        clip: Clip,
        windows: Sequence[Window],
        brief: Brief,
        *,
        takes: int,
        on_step: OnStep,
    ) -> list[Inpainting]:
        """Do what the script says; in the windows take k is noise of its own beside that."""
        self.briefs.append(brief)
        self.clips.append(clip)
        self.windows.append(tuple(windows))
        for done in range(1, STEPS + 1):
            self._step(done, STEPS, on_step)
        if self.failure is not None:
            raise self.failure
        return [self._inpainting(clip, windows, number) for number in range(takes)]

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
        """Do what the script says."""
        self.clips.append(clip)
        self.earlier.append(earlier)
        self._asked(brief, sampling, seconds, on_step)
        return self._continuation(self.go_on(clip, seconds, brief.seed))

    def generate(
        self, brief: Brief, sampling: Sampling, *, seconds: float, on_step: OnStep
    ) -> Continuation:
        """Do what the script says."""
        self._asked(brief, sampling, seconds, on_step)
        return self._continuation(self.begin(seconds, brief.seed))

    def _asked(self, brief: Brief, sampling: Sampling, seconds: float, on_step: OnStep) -> None:
        self.briefs.append(brief)
        self.samplings.append(sampling)
        self.seconds.append(seconds)
        for done in range(1, STEPS + 1):
            self._step(done, STEPS, on_step)
        if self.failure is not None:
            raise self.failure

    def _continuation(self, clip: Clip) -> Continuation:
        return Continuation(
            clip=clip,
            heard={"bpm": 120.0, "beats": [0.5, 1.0]},
            understood=("strings",),
            ignored=("purple",),
            model={"name": "scripted", "device": "cpu"},
            made={"steps": STEPS},
        )

    def _inpainting(self, clip: Clip, windows: Sequence[Window], number: int) -> Inpainting:
        played = self.play(clip)
        samples = played.samples.copy()
        for window in windows:
            inside = samples[:, window.start : window.end]
            inside += 0.1 * np.random.default_rng(number).standard_normal(inside.shape)
        return Inpainting(
            clip=played.with_samples(samples),
            heard={"bpm": 120.0, "beats": [0.5, 1.0]},
            understood=("strings",),
            ignored=("purple",),
            model={"name": "scripted", "device": "cpu"},
            made={"steps": STEPS},
        )

    def _step(self, done: int, total: int, on_step: OnStep) -> None:
        self.steps = done
        on_step(done, total)
        if done != self._held_at:
            return
        self.is_stepping.set()
        if not self._may_go_on.wait(PATIENCE_SECONDS):
            raise errors.EngineFailed("The test never released its engine.")

    def _transformation(self, clip: Clip, brief: Brief) -> Transformation:
        words = brief.prompt.split()
        played = self.play(clip)
        is_split = brief.wants_stems and self.split is not None
        return Transformation(
            clip=played,
            heard=self.heard,
            sheet=self.sheet(clip) if self.sheet else None,
            stems=self.split(played) if is_split and self.split else {},
            understood=tuple(word for word in words if word == "strings"),
            ignored=tuple(word for word in words if word == "purple"),
            model={"name": "scripted", "device": "cpu"},
            made={"steps": STEPS},
        )


class ScriptedEngines:
    """Opens the scripted engine under the name `arranger`."""

    def __init__(self, engine: ScriptedEngine) -> None:
        self._engine = engine

    def open(self, name: str, capability: str, *, on_step: OnStep = tell_nobody) -> tuple[str, Any]:
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
    # it stays for as long as any test lasts, however busy the machine is
    seen_at = now() + timedelta(hours=1)
    return WorkerNote(id=WORKER, queues=("audio",), offers=(offer,), loaded=loaded, seen_at=seen_at)


class TwoEngines:
    """One that has not the weights, and the next best."""

    def __init__(self, *engines: ScriptedEngine) -> None:
        self._engines = dict(zip(("musicgen", "arranger"), engines, strict=True))

    def open(self, name: str, capability: str, *, on_step: OnStep = tell_nobody) -> tuple[str, Any]:
        """Return the one that is named, or the best."""
        chosen = "musicgen" if name == "auto" else name
        return chosen, self._engines[chosen]
