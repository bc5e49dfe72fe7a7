"""Minds the memory of one engine: the ladders of its two kinds of work.

The solve takes fewer rows at a time, the codec smaller tiles, then half the precision, then the
processor. Knows networks by the two things it does with them.
"""

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from audiocraft.models import MelodyFlow
from audiocraft.models.encodec import EncodecModel
from torch import Tensor, nn

from server.engines.hardware.device import CPU
from server.engines.hardware.ladder import Rung
from server.engines.hardware.memory import WorkingMemory

T = TypeVar("T")

FULL_TILE_FRAMES = 750
"""What the codec does at a time as long as memory lasts: a whole window, so longer clips take no
more than one."""

SMALL_TILE_FRAMES = 64

HALF = torch.bfloat16
"""Half the memory of float32 with the same range: nothing can overflow."""

_CodecWork = Callable[..., Tensor]


class Memory(WorkingMemory):
    """The ladders of an engine's two kinds of work."""

    def solve(self, work: Callable[[int | None], T], *, size: float = 1.0) -> T:
        """Do `work(None)`, all rows at once, or `work(1)`, row by row.

        Raises:
            errors.OutOfMemory: even a single row did not fit.
        """
        rungs = [Rung("batch", lambda: work(None)), Rung("rows", lambda: work(1))]
        return self.climb("solve", rungs, size=size)

    def encode(self, model: MelodyFlow, waveform: Tensor) -> Tensor:
        """Return the posterior of a waveform `[B, C, N]`, on the model's device.

        Raises:
            errors.OutOfMemory: it did not fit in any way.
        """

        def work(codec: EncodecModel, place: torch.device, **options: Any) -> Tensor:
            latent, _ = codec.encode(waveform.to(place), **options)
            return latent.to(model.device)

        return self._through_codec("encode", model, work, waveform.shape[0] * waveform.shape[-1])

    def decode(self, model: MelodyFlow, latent: Tensor) -> Tensor:
        """Return the waveform `[B, C, T * hop]` of the model's own latent, wherever it was made.

        Raises:
            errors.OutOfMemory: it did not fit in any way.
        """
        tokens = model.lm.denormalize(latent)

        def work(codec: EncodecModel, place: torch.device, **options: Any) -> Tensor:
            return codec.decode(tokens.to(place), **options)

        return self._through_codec("decode", model, work, latent.shape[0] * latent.shape[-1])

    def _through_codec(self, what: str, model: MelodyFlow, work: _CodecWork, size: float) -> Tensor:
        codec, place = model.compression_model, model.device
        small = {"tile_frames": SMALL_TILE_FRAMES}
        rungs = [
            Rung("full", lambda: work(codec, place, tile_frames=FULL_TILE_FRAMES)),
            Rung("tiled", lambda: work(codec, place, **small)),
            Rung("half", lambda: work(codec, place, **small, precision=HALF)),
        ]
        if place.type != CPU:
            rungs.append(Rung("cpu", lambda: work(on_cpu(codec), torch.device(CPU), **small)))
        return self.climb(what, rungs, size=size)


def on_cpu(codec: EncodecModel) -> EncodecModel:
    """Return a copy of the codec on the processor; its own device needs no memory for that."""
    parameters = {
        id(parameter): nn.Parameter(parameter.detach().cpu(), requires_grad=False)
        for parameter in codec.parameters()
    }
    return copy.deepcopy(codec, parameters)
