"""How more is generated than a language model can hear: in calls that overlap."""

from dataclasses import dataclass

import torch

from audiocraft.models.solvers import OnStep


@dataclass(frozen=True)
class Stretch:
    """What one call of the language model makes of a longer run, in frames.

    Attributes:
        offset: where it begins.
        given: how many of its frames are known.
        length: how many it has, those included.
    """

    offset: int
    given: int
    length: int


def stretches(total: int, *, window: int, stride: int, known: int = 0) -> list[Stretch]:
    """Return what is generated one after the other until `total` frames are known.

    Each call begins `stride` frames later than the one before, and hears what is known from there
    on. Where more is known than a call can hear, it hears the last `window - stride` frames of it.
    """
    offset = 0 if known < window or total <= window else known - (window - stride)
    found = []
    while known < total:
        length = min(total - offset, window)
        found.append(Stretch(offset, known - offset, length))
        known = offset + length
        offset += stride
    return found


@dataclass(frozen=True, kw_only=True)
class Run:
    """What follows the calls of one request, and what they draw from.

    Attributes:
        on_step: hears (done, total) in frames over all calls; neither ever falls.
        on_token: hears what the original tells: of each call its steps, counted from its offset.
        generator: None draws from that of the process.
    """

    on_step: OnStep
    on_token: OnStep | None
    generator: torch.Generator | None

    def within(self, stretch: Stretch, known: int, total: int) -> OnStep:
        """Return the callback of one call, where `known` of `total` frames were there before."""
        before, fresh = stretch.offset + stretch.given - known, stretch.length - stretch.given

        def on_call_step(done: int, steps: int) -> None:
            if self.on_token is not None:
                self.on_token(stretch.offset + done, steps)
            self.on_step(before + done * fresh // steps, total - known)

        return on_call_step
