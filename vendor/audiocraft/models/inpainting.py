"""Painting some frames of a latent while the others stay what they are.

A rectified flow goes from noise to data in a straight line. Frames that are known are held on their
own line: at every flow step they are what the known latent would be, renoised to that step, so that
the model always sees them as it was taught to, and paints the rest to fit (after Lugmayr et al.,
"RePaint", 2022, whose known region is renoised at every step as well). Because the line is straight
its velocity is constant, every solver follows it exactly, and it ends at the known latent.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from audiocraft.models.solvers import Velocity

Span = tuple[float, float]
"""First and last second, the last one excluded."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a solve holds on to.

    Attributes:
        latent: the known latent `[1 or B, C, T]`, in the model's scale.
        share: of each frame, `[T]`: 1 is kept, 0 is painted.
    """

    latent: Tensor
    share: Tensor


def held(velocity: Velocity, kept: Kept, *, start: Tensor, flowstep: float) -> Velocity:
    """Return a velocity under which kept frames run straight from `start` to the known latent.

    `start` `[B, C, T]` is where the solve begins, at `flowstep`.
    """
    share = kept.share.to(start)
    line = (kept.latent.to(start) - start) / (1.0 - flowstep)

    def painted(z: Tensor, t: Tensor) -> Tensor:
        return share * line + (1.0 - share) * velocity(z, t)

    return painted


def kept_share(
    frames: int, spans: Sequence[Span], *, frame_rate: float, reach_frames: int
) -> Tensor:
    """Return which frames are kept `[frames]`: all but those that heard something of the spans.

    A frame of the codec hears `reach_frames` either way, so that many more are painted than are in
    the spans.
    """
    share = torch.ones(frames)
    for first, last in spans:
        start = math.floor(first * frame_rate) - reach_frames
        end = math.ceil(last * frame_rate) + reach_frames
        share[max(0, start) : max(0, end)] = 0.0
    return share
