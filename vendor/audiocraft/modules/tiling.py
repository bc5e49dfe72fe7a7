"""Runs convolutions piece by piece, with the result of running them over the whole at once.

Each piece is computed with as much of its surroundings as its values depend on, and only the piece
itself is kept. A piece at the true start or end has nothing beyond it, so the layers pad there as
they pad the whole; padding anywhere else touches only what is thrown away. Pieces start at whole
coarse samples, so that strided layers stay in step and a partial last frame stays the last.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from audiocraft.modules.conv import StreamableConv1d, StreamableConvTranspose1d

CACHED_ELEMENTS = 2**20
"""Elements of a tensor that stays in a CPU's caches from one layer to the next."""


@dataclass(frozen=True, kw_only=True)
class Rates:
    """How many samples go in and come out a coarse sample, and how much context that takes.

    Attributes:
        inputs: samples of the input.
        outputs: samples of the output.
        context: coarse samples, either way, that a result depends on at most.
    """

    inputs: int
    outputs: int
    context: int

    @classmethod
    def of(cls, layers: nn.Module) -> Self:
        """Read them off layers that go either down in rate or up, not both."""
        inputs, reach_down = _walk(layers.modules(), StreamableConv1d)
        outputs, reach_up = _walk(reversed(list(layers.modules())), StreamableConvTranspose1d)
        reach = reach_down if outputs == 1 else reach_up
        return cls(inputs=inputs, outputs=outputs, context=-(-reach // (inputs * outputs)))


def _walk(layers: Iterable[nn.Module], strided: type[nn.Module]) -> tuple[int, int]:
    """Return the stride and the reach in fine samples, walking from fine to coarse."""
    period, reach = 1, 0
    for layer in layers:
        if isinstance(layer, StreamableConv1d | StreamableConvTranspose1d):
            reach += period * layer.reach
            period *= layer.stride if isinstance(layer, strided) else 1
    return period, reach


@dataclass(frozen=True, slots=True)
class _Piece:
    """Coarse samples [start, stop) of the whole, computed from [left, right)."""

    start: int
    stop: int
    left: int
    right: int


def _pieces(length: int, tile: int, context: int) -> Iterator[_Piece]:
    for start in range(0, length, tile):
        stop = min(length, start + tile)
        yield _Piece(start, stop, max(0, start - context), min(length, stop + context))


def run_in_tiles(
    layers: Callable[[Tensor], Tensor], x: Tensor, *, rates: Rates, tile: int
) -> Tensor:
    """Return `layers(x)` of `[B, C, N]`, computed a row and `tile` coarse samples at a time.

    Raises:
        ValueError: the tile is not positive.
    """
    if tile < 1:
        raise ValueError(f"a tile of {tile} samples cannot be")
    pieces = list(_pieces(-(-x.shape[-1] // rates.inputs), tile, rates.context))
    rows = [
        torch.cat([_run(layers, row, rates, p) for p in pieces], -1) for row in torch.split(x, 1)
    ]
    return torch.cat(rows)


def _run(layers: Callable[[Tensor], Tensor], row: Tensor, rates: Rates, piece: _Piece) -> Tensor:
    y = layers(row[..., piece.left * rates.inputs : piece.right * rates.inputs])
    first = (piece.start - piece.left) * rates.outputs
    return y[..., first : first + (piece.stop - piece.start) * rates.outputs]


@dataclass(frozen=True, slots=True)
class Stage:
    """Layers around one change of rate; `channels` is the width at the finer rate."""

    layers: nn.Module
    channels: int


class Stages:
    """Stages one after another, from fine to coarse or from coarse to fine."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        """Take the stages in the order they run."""
        self._stages = [(stage, Rates.of(stage.layers)) for stage in stages]
        whole = nn.ModuleList(stage.layers for stage in stages)
        self._rates = Rates.of(whole)

    def run(self, x: Tensor, *, tile: int | None, precision: torch.dtype | None) -> Tensor:
        """Run over `[B, C, N]` at once, or in tiles of so many of the coarsest samples.

        `precision` is that of the layers inside; the result has the precision of `x`.
        """

        def through(x: Tensor) -> Tensor:
            return self._through(x if precision is None else x.to(precision)).to(x.dtype)

        if tile is None:
            return through(x)
        return run_in_tiles(through, x, rates=self._rates, tile=tile)

    def _through(self, x: Tensor) -> Tensor:
        for stage, rates in self._stages:
            x = _run_stage(stage, x, rates)
        return x


def _run_stage(stage: Stage, x: Tensor, rates: Rates) -> Tensor:
    """Run one stage, on the CPU in tiles that stay in its caches.

    Nearly all the passes of an outer stage wait for memory. Inner stages are short and have large
    weights, which every tile reads again: they run at once.
    """
    fine = CACHED_ELEMENTS // stage.channels
    tile = fine // (rates.inputs * rates.outputs)
    if (
        x.device.type != "cpu"
        or tile <= 8 * rates.context
        or x.shape[-1] * rates.outputs < 2 * fine
    ):
        return stage.layers(x)  # type: ignore[no-any-return]
    return run_in_tiles(stage.layers, x, rates=rates, tile=tile)
