"""Minds the memory of one engine: the ladders of its two kinds of work, and what a job leaves.

The solve takes fewer rows at a time, the codec smaller tiles, then half the precision, then the
processor. Knows networks by the two things it does with them.
"""

import copy
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from audiocraft.models import MelodyFlow
from audiocraft.models.encodec import EncodecModel
from torch import Tensor, nn

from server import errors
from server.engines.hardware.device import CPU, DeviceMemory, Held
from server.engines.hardware.faults import is_fatal
from server.engines.hardware.ladder import Ladder, Rung

log = logging.getLogger(__name__)

T = TypeVar("T")

FULL_TILE_FRAMES = 750
"""What the codec does at a time as long as memory lasts: a whole window, so longer clips take no
more than one."""

SMALL_TILE_FRAMES = 64

HALF = torch.bfloat16
"""Half the memory of float32 with the same range: nothing can overflow."""

_CodecWork = Callable[..., Tensor]


class Memory:
    """What one engine may use, and how it makes do with less. One thread uses it."""

    def __init__(self, held: Held | None = None, *, device: DeviceMemory | None = None) -> None:
        """Take the place to give up in the end, and its memory; by default the processor."""
        self._held = held
        self._device = device or DeviceMemory(held.place.name if held else CPU)
        self._solves = self._ladder("the solve")
        self._codec = {what: self._ladder(what) for what in ("encode", "decode")}
        self._used: dict[str, str] = {}
        self._device.baseline()

    @contextmanager
    def minded(self) -> Iterator[None]:
        """Give back what the block needed, and tell what ends this process's use of the device.

        Raises:
            errors.DeviceLost: the device failed and is of no use to this process any more.
        """
        self._used.clear()
        try:
            yield
        except RuntimeError as error:
            if is_fatal(error):
                raise errors.DeviceLost("The graphics card failed.") from error
            raise
        self.rest()

    def rest(self) -> None:
        """Give back what is held and not in use; called between jobs."""
        self._device.release()
        if not self._device.is_back_to_baseline():
            log.info("%.0f MB are held after the job", self._device.held_mb())

    def solve(self, work: Callable[[int | None], T], *, size: float = 1.0) -> T:
        """Do `work(None)`, all rows at once, or `work(1)`, row by row.

        Raises:
            errors.OutOfMemory: even a single row did not fit.
        """
        rungs = [Rung("batch", lambda: work(None)), Rung("rows", lambda: work(1))]
        return self._climb("solve", self._solves, rungs, size)

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

    def rungs(self) -> list[str]:
        """Return what this job did in a smaller way than usual, such as `decode: tiled`."""
        return [f"{what}: {rung}" for what, rung in self._used.items()]

    def close(self) -> None:
        """Forget what did not fit, and give the memory and the place back."""
        for ladder in (self._solves, *self._codec.values()):
            ladder.forget()
        self._device.release()
        if self._held is not None:
            self._held.give_up()

    def _ladder(self, what: str) -> Ladder:
        return Ladder(what, release=self._device.release, free_mb=self._device.free_mb)

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
        return self._climb(what, self._codec[what], rungs, size)

    def _climb(self, what: str, ladder: Ladder, rungs: list[Rung[T]], size: float) -> T:
        climbed = ladder.climb(rungs, size=size)
        if climbed.rung != rungs[0].name:
            self._used[what] = climbed.rung
        return climbed.value


def on_cpu(codec: EncodecModel) -> EncodecModel:
    """Return a copy of the codec on the processor; its own device needs no memory for that."""
    parameters = {
        id(parameter): nn.Parameter(parameter.detach().cpu(), requires_grad=False)
        for parameter in codec.parameters()
    }
    return copy.deepcopy(codec, parameters)
