"""Inpainting with the flow model: windows of a clip are painted, the rest is held at every step.

What is in the windows is silenced before the model hears the clip, so it cannot matter; only where
the brief asks for its groove is it heard, and the painting starts from its inversion.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from audiocraft.models.flow import Watch
from audiocraft.models.inpainting import Kept, kept_share
from audiocraft.models.melodyflow import Editing
from torch import Tensor

from server.engines.melodyflow import pivots, plan
from server.engines.melodyflow.pivots import CODEC_UNITS, Pivots, Sound
from server.engines.melodyflow.plan import Ledger
from server.engines.melodyflow.sounds import heard_by, prepared
from server.engines.protocols import Brief, OnStep
from server.media import loudness, resample, window
from server.media.clip import Clip
from server.media.window import Window

LEAST_CONTEXT_SECONDS = 4.0
"""What the model sees on either side even where windows leave less room; then it takes the whole
through windows of its own."""

LARGEST_CORRECTION_DB = 6.0
"""The codec hardly changes a level; more than that is no level but another sound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """The part of a clip that the model sees.

    Attributes:
        seen: in samples of the clip.
        windows: what is painted, in samples of the part.
    """

    seen: Window
    windows: tuple[Window, ...]


def canvas(clip: Clip, windows: Sequence[Window], *, most_seconds: float) -> Canvas:
    """Return the windows with as much around them as the model hears at once.

    What one side does not have the other gets. Windows that leave less than
    `LEAST_CONTEXT_SECONDS` either side get that all the same.
    """
    first, last = windows[0].start, windows[-1].end
    room = math.floor(most_seconds * clip.sample_rate) - (last - first)
    least = round(LEAST_CONTEXT_SECONDS * clip.sample_rate)
    room = max(room, 2 * least)
    before = min(first, max(room // 2, room - (clip.length - last)))
    after = min(clip.length - last, room - before)
    seen = Window(first - before, last + after)
    return Canvas(
        seen=seen,
        windows=tuple(Window(each.start - seen.start, each.end - seen.start) for each in windows),
    )


def silenced(clip: Clip, windows: Sequence[Window]) -> Clip:
    """Return the clip with silence in the windows."""
    samples = clip.samples.copy()
    for each in windows:
        samples[:, each.start : each.end] = 0.0
    return clip.with_samples(samples)


@dataclass(frozen=True, kw_only=True)
class Painter:
    """Paints with one model."""

    pivots: Pivots

    def paint(
        self,
        clip: Clip,
        windows: Sequence[Window],
        brief: Brief,
        *,
        takes: int,
        on_step: OnStep,
    ) -> tuple[list[Clip], Mapping[str, Any]]:
        """Return the clip with its windows painted, a take a seed, and how that was made.

        Raises:
            errors.EngineFailed: what came out is no sound.
        """
        model = self.pivots.model
        where = canvas(clip, windows, most_seconds=model.max_duration)
        source = window.cut(clip, where.seen)
        known = Sound(prepared=prepared(silenced(source, where.windows), model))
        editing = _editing(brief)
        ledger = Ledger(on_step, _units(editing, takes, keeps_groove=brief.keeps_groove))
        latent = self._known(known, ledger)
        share = self._share(where, source.sample_rate, latent.shape[-1])
        starts = self._starts(source, latent, brief, editing, takes, ledger)
        painted = self._solved(starts, brief, editing, Kept(latent=latent, share=share), ledger)
        finished = []
        for each in painted:
            told = ledger.stage(CODEC_UNITS)
            sound = heard_by(model, self.pivots.memory, each[None], length=known.prepared.length)
            finished.append(back(sound, clip, where))
            told(1, 1)
        return finished, self._made(editing, where, source, share, brief)

    def _known(self, sound: Sound, ledger: Ledger) -> Tensor:
        """Return the model's latent `[1, C, T]` of what is known; its likeliest, without noise."""
        told = ledger.stage(CODEC_UNITS)
        latent = self.pivots.model.lm.source_latent(self.pivots.encoded(sound), torch.zeros_like)
        told(1, 1)
        return latent

    def _share(self, where: Canvas, sample_rate: int, frames: int) -> Tensor:
        model = self.pivots.model
        spans = [(each.start / sample_rate, each.end / sample_rate) for each in where.windows]
        return kept_share(
            frames,
            spans,
            frame_rate=model.compression_model.frame_rate,
            reach_frames=model.compression_model.reach_frames,
        )

    def _starts(
        self,
        source: Clip,
        latent: Tensor,
        brief: Brief,
        editing: Editing,
        takes: int,
        ledger: Ledger,
    ) -> Tensor:
        """Return where each take starts `[takes, C, T]`: noise, or the inverted source."""
        seeds = range(brief.seed, brief.seed + takes)
        if not brief.keeps_groove:
            return torch.cat([plan.noise_of(seed)(latent) for seed in seeds])
        sound = Sound(prepared=prepared(source, self.pivots.model))
        return torch.cat(
            [self.pivots.pivot(sound, editing, seed=seed, ledger=ledger)[0] for seed in seeds]
        )

    def _solved(
        self, starts: Tensor, brief: Brief, editing: Editing, kept: Kept, ledger: Ledger
    ) -> Tensor:
        model = self.pivots.model
        told = ledger.stage(editing.generation().evaluations * len(starts))
        watch = Watch(on_step=plan.paced(told, model.device))
        return self.pivots.memory.solve(
            lambda rows: model.render(
                starts, [brief.prompt] * len(starts), editing, watch=watch, rows=rows, kept=kept
            ),
            size=starts.shape[0] * starts.shape[-1],
        )

    def _made(
        self, editing: Editing, where: Canvas, source: Clip, share: Tensor, brief: Brief
    ) -> Mapping[str, Any]:
        first, last = where.windows[0], where.windows[-1]
        rate = source.sample_rate
        windows = self.pivots.model.windows(len(share))
        return {
            "start": "inversion" if brief.keeps_groove else "noise",
            "seen_seconds": source.seconds,
            "context_seconds": [first.start / rate, (source.length - last.end) / rate],
            "painted_frames": int((share == 0).sum()),
            "windows": len(windows.starts) if windows else 1,
            "solver": editing.solver,
            "steps": editing.steps,
            "flowstep": editing.target_flowstep,
            "memory": self.pivots.memory.rungs(),
        }


def _editing(brief: Brief) -> Editing:
    """Return how to paint: from noise as the original generates, or from the pivot of an edit."""
    if brief.keeps_groove:
        return plan.editing_of(brief)
    if brief.solver == "midpoint":
        return Editing(solver="midpoint", steps=plan.MIDPOINT_STEPS, target_flowstep=0.0)
    return Editing(steps=brief.steps or plan.EULER_STEPS, target_flowstep=0.0)


def _units(editing: Editing, takes: int, *, keeps_groove: bool) -> int:
    inversions = takes * pivots.units(editing) if keeps_groove else 0
    return CODEC_UNITS + inversions + takes * (editing.generation().evaluations + CODEC_UNITS)


def back(painted: Clip, clip: Clip, where: Canvas) -> Clip:
    """Return the clip with the painted part in it, as loud as the clip around the windows."""
    source = window.cut(clip, where.seen)
    back = resample.resample(painted, clip.sample_rate).as_stereo()
    back = back.with_samples(window.fit_length(back.samples, source.length))
    wanted, found = (
        loudness.integrated_loudness(silenced(each, where.windows)) for each in (source, back)
    )
    gain_db = wanted - found if math.isfinite(wanted) and math.isfinite(found) else 0.0
    gain_db = float(np.clip(gain_db, -LARGEST_CORRECTION_DB, LARGEST_CORRECTION_DB))
    whole = clip.as_stereo().samples.copy()
    whole[:, where.seen.start : where.seen.end] = back.samples * np.float32(10 ** (gain_db / 20))
    return Clip(whole, clip.sample_rate)
