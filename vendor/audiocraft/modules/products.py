"""Multiplications by constant weights, `x W'`, plain or with the weight laid out in advance."""

from typing import Any

import psutil
import torch
from torch import Tensor
from torch.nn import functional

_ROOM = 1.5
"""Packed weights may take two thirds of the memory that is free."""


class Product:
    """A multiplication by the transpose of a weight `[out, in]`."""

    def __init__(self, weight: Tensor) -> None:
        """Keep the weight; nothing is copied."""
        self.weight = weight

    def of(self, x: Tensor) -> Tensor:
        """Return `x W'` of `[B, T, in]`."""
        return functional.linear(x, self.weight)

    def add_to(self, total: Tensor, x: Tensor) -> Tensor:
        """Add `x W'` to `total` `[B, T, out]` in place and return it."""
        flat = total.view(-1, total.shape[-1])
        flat.addmm_(x.reshape(len(flat), -1), self.weight.t())
        return total


class PackedProduct(Product):
    """The same with the weight in the blocks the processor's multiplication works in.

    MKL would arrange a weight into them at every call: a fifth of the time at 250 positions. They
    depend on the number of positions, so another number arranges anew. The blocks take as much
    memory as the weight.
    """

    def __init__(self, weight: Tensor) -> None:
        """Keep the weight; it is packed at the first call."""
        super().__init__(weight)
        self._positions = 0
        self._blocks: Any = None

    def of(self, x: Tensor) -> Tensor:
        """Return `x W'` of `[1, T, in]`."""
        positions = x.numel() // x.shape[-1]
        if positions != self._positions:
            self._blocks = None  # before the new ones are there: never hold three times the weight
            reorder = torch.ops.mkl._mkl_reorder_linear_weight  # noqa: SLF001 - not public
            self._blocks = reorder(self.weight.contiguous(), positions)
            self._positions = positions
        multiply = torch.ops.mkl._mkl_linear  # noqa: SLF001 - as above
        y: Tensor = multiply(x, self._blocks, self.weight, None, positions)
        return y

    def add_to(self, total: Tensor, x: Tensor) -> Tensor:
        """Add `x W'` to `total` `[1, T, out]` in place and return it."""
        return total.add_(self.of(x))


def can_pack(device: torch.device, dtype: torch.dtype, *, weights: int) -> bool:
    """Return whether so many weights there can be packed, and there is memory for it."""
    is_known = hasattr(torch.ops.mkl, "_mkl_linear")  # not in every build, not on every processor
    if not is_known or device.type != "cpu" or dtype != torch.float32:
        return False
    return psutil.virtual_memory().available > _ROOM * weights * torch.float32.itemsize
