"""Overlapping windows of a latent that is longer than the flow model was made for.

At every evaluation the model looks at one window at a time and the velocities are faded into each
other where windows overlap (Bar-Tal et al., "MultiDiffusion", 2023), so that the solver integrates
one latent: noise is shared, and there is no seam to join afterwards.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from audiocraft.models.solvers import Velocity

Between = Callable[[], None]
"""Called before every window but the first of an evaluation; may raise to stop the work."""


@dataclass(frozen=True, kw_only=True)
class Windows:
    """How a latent of `frames` is covered.

    Attributes:
        frames: of the whole latent.
        length: frames of one window, the same for all.
        starts: first frame of each window, ascending; the last window ends with the latent.
    """

    frames: int
    length: int
    starts: tuple[int, ...]

    def shares(self) -> Tensor:
        """Return each window's share of every frame `[windows, frames]`; columns sum to 1.

        Triangles, normalised: where two windows overlap one falls straight as the other rises.
        """
        position = torch.arange(self.length, dtype=torch.float32) + 0.5
        triangle = torch.minimum(position, self.length - position)
        shares = torch.zeros(len(self.starts), self.frames)
        for row, start in zip(shares, self.starts, strict=True):
            row[start : start + self.length] = triangle
        return shares / shares.sum(0)


def cover(frames: int, *, length: int, overlap: int) -> Windows:
    """Return equal windows, evenly spread, that overlap by at least `overlap` frames.

    Raises:
        ValueError: there are no frames, or windows that overlap so far would not advance.
    """
    if frames < 1 or not 0 <= overlap < length:
        raise ValueError(f"windows of {length} frames with {overlap} shared cannot cover {frames}")
    if frames <= length:
        return Windows(frames=frames, length=frames, starts=(0,))
    count = math.ceil((frames - overlap) / (length - overlap))
    spread = (frames - length) / (count - 1)
    starts = tuple(round(index * spread) for index in range(count))
    return Windows(frames=frames, length=length, starts=starts)


def windowed(velocity: Velocity, windows: Windows, *, between: Between) -> Velocity:
    """Return a velocity of the whole latent made of those of its windows."""
    if len(windows.starts) == 1:
        return velocity
    shares = windows.shares()

    def whole(z: Tensor, flowstep: Tensor) -> Tensor:
        total = torch.zeros_like(z)
        for index, start in enumerate(windows.starts):
            if index:
                between()
            part = slice(start, start + windows.length)
            share = shares[index, part].to(z.device)
            total[..., part] += share * velocity(z[..., part], flowstep)
        return total

    return whole
