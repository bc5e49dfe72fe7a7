"""Engine `melodyflow`: the same music played by something else, by a flow model.

The half of an edit that does not know the prompt is done once for all briefs that allow it, and
kept for the next job on the same clip.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from audiocraft.models import MelodyFlow
from audiocraft.models.flow import Watch
from torch import Tensor

from server.engines.melodyflow import pivots, plan
from server.engines.melodyflow.inversions import Inversions
from server.engines.melodyflow.memory import Memory
from server.engines.melodyflow.painting import Painter
from server.engines.melodyflow.pivots import CODEC_UNITS, Pivots, Sound
from server.engines.melodyflow.plan import Group, Ledger
from server.engines.melodyflow.sounds import heard_by, prepared
from server.engines.protocols import (
    Brief,
    Inpainting,
    OnPreview,
    OnStep,
    Transformation,
    tell_nobody,
)
from server.media import mastering
from server.media.clip import Clip
from server.media.window import Window

PREVIEW_AT = 0.6
"""Share of the generation after which its end is foreseen."""

STRENGTH_IS_NOT_READ = "strength is the arranger's; melodyflow went by the flowstep."


@dataclass(kw_only=True)
class _Task:
    """One transform under way: what every stage of it needs."""

    source: Clip
    sound: Sound
    ledger: Ledger
    results: dict[int, Transformation] = field(default_factory=dict)


class MelodyFlowEngine:
    """Transforms with one model on one device. Same clip, brief, seed and device: same samples."""

    def __init__(
        self,
        model: MelodyFlow,
        *,
        identity: Mapping[str, str],
        memory: Memory,
        inversions: Inversions,
    ) -> None:
        """Take the loaded model, who it is, and what minds its memory and keeps inversions."""
        self._model = model
        self._identity = dict(identity)
        self._memory = memory
        self._inversions = inversions
        self._pivots = Pivots(
            model=model, identity=self._identity, memory=memory, inversions=inversions
        )

    def transform(
        self,
        clip: Clip,
        briefs: Sequence[Brief],
        *,
        on_step: OnStep,
        on_preview: OnPreview | None = None,
    ) -> list[Transformation]:
        """Return the same music in other voices; a flowstep of 1 is the source itself.

        Raises:
            errors.OutOfMemory: even the smallest way of doing it did not fit.
            errors.DeviceLost: the device failed and is of no use to this process any more.
            errors.EngineFailed: what came out is no sound.
        """
        groups = plan.grouped(briefs)
        task = _Task(
            source=clip,
            sound=Sound(prepared=prepared(clip, self._model)),
            ledger=Ledger(on_step, _units(groups)),
        )
        previews = _Previews(on_preview, len(briefs))
        for place, brief in enumerate(briefs):
            if plan.is_identity(brief):
                previews.add([place], [clip.as_stereo()])
                task.results[place] = self._told(clip.as_stereo(), brief, {"inversion": "none"})
        with self._memory.minded(), torch.no_grad():
            for group in groups:
                self._edit(task, group, briefs, previews)
        return [task.results[place] for place in range(len(briefs))]

    def inpaint(
        self,
        clip: Clip,
        windows: Sequence[Window],
        brief: Brief,
        *,
        takes: int,
        on_step: OnStep,
    ) -> list[Inpainting]:
        """Return takes of the clip with something else in its windows.

        Raises:
            errors.OutOfMemory: even the smallest way of doing it did not fit.
            errors.DeviceLost: the device failed and is of no use to this process any more.
            errors.EngineFailed: what came out is no sound.
        """
        painter = Painter(pivots=self._pivots)
        with self._memory.minded(), torch.no_grad():
            clips, made = painter.paint(clip, windows, brief, takes=takes, on_step=on_step)
        return [Inpainting(clip=each, model=self._identity, made=made) for each in clips]

    def warm(self) -> None:
        """Compute something small: libraries prepare themselves at the first use."""
        silence = np.zeros((2, self._model.sample_rate // 2), np.float32)
        brief = Brief(variation=None, prompt="music", steps=2)
        self.transform(Clip(silence, self._model.sample_rate), [brief], on_step=tell_nobody)
        self._inversions.forget()

    def rest(self) -> None:
        """Give back what only the last job needed."""
        self._memory.rest()

    def close(self) -> None:
        """Give the memory and the device back."""
        self._inversions.forget()
        del self._pivots
        self._model.lm.evaluation = self._model.lm.naive  # the other one and the model hold it
        del self._model
        self._memory.close()

    def _edit(
        self, task: _Task, group: Group, briefs: Sequence[Brief], previews: "_Previews"
    ) -> None:
        pivot, origin = self._pivots.pivot(
            task.sound, group.editing, seed=group.seed, ledger=task.ledger
        )
        latents = self._generated(task, group, pivot, previews)
        for number, (place, latent) in enumerate(zip(group.places, latents, strict=True)):
            told = task.ledger.stage(CODEC_UNITS)
            clip = self._sound(latent[None], task)
            made = self._made(group, pivot, "shared" if number else origin)
            task.results[place] = self._told(clip, briefs[place], made)
            told(1, 1)

    def _generated(self, task: _Task, group: Group, pivot: Tensor, previews: "_Previews") -> Tensor:
        units = group.editing.generation().evaluations * len(group.places)
        generated = plan.paced(task.ledger.stage(units), self._model.device)

        def foresee(estimates: Tensor) -> None:
            clips = [self._sound(latent[None], task) for latent in estimates]
            previews.add(group.places, clips)

        watch = Watch(
            on_step=generated,
            estimates=foresee if previews.are_wanted else None,
            estimate_at=PREVIEW_AT,
        )
        return self._memory.solve(
            lambda rows: self._model.render(
                pivot, group.prompts, group.editing, watch=watch, rows=rows
            ),
            size=len(group.prompts) * pivot.shape[-1],
        )

    def _sound(self, latent: Tensor, task: _Task) -> Clip:
        """Return the finished clip of a latent `[1, C, T]`.

        Raises:
            errors.EngineFailed: it is no sound.
        """
        length = task.sound.prepared.length
        clip = heard_by(self._model, self._memory, latent, length=length)
        matched = mastering.match(clip, task.sound.prepared)
        return mastering.finished(matched, like=task.source)

    def _made(self, group: Group, pivot: Tensor, inversion: str) -> dict[str, Any]:
        windows = self._model.windows(pivot.shape[-1])
        return {
            "inversion": inversion,
            "windows": len(windows.starts) if windows else 1,
            "solver": group.editing.solver,
            "steps": group.editing.steps,
            "flowstep": group.editing.target_flowstep,
            "memory": self._memory.rungs(),
        }

    def _told(self, clip: Clip, brief: Brief, made: Mapping[str, Any]) -> Transformation:
        notices = () if brief.strength is None else (STRENGTH_IS_NOT_READ,)
        return Transformation(clip=clip, model=self._identity, made=made, notices=notices)


class _Previews:
    """Gathers one clip a brief, and shows them when all are there."""

    def __init__(self, show: OnPreview | None, count: int) -> None:
        self._show = show
        self._count = count
        self._clips: dict[int, Clip] = {}
        self._are_shown = False

    @property
    def are_wanted(self) -> bool:
        return self._show is not None

    def add(self, places: Sequence[int], clips: Sequence[Clip]) -> None:
        self._clips.update(zip(places, clips, strict=True))
        if self._show is not None and len(self._clips) == self._count and not self._are_shown:
            self._are_shown = True
            self._show([self._clips[place] for place in sorted(self._clips)])


def _units(groups: Sequence[Group]) -> int:
    return sum(
        pivots.units(group.editing)
        + (CODEC_UNITS + group.editing.generation().evaluations) * len(group.places)
        for group in groups
    )
