"""Multiplications of a few positions by weights that are held in half precision and lose nothing.

One step of a language model reads all of its weights for a row or two: the processor waits for
memory. Published weights are half precision to begin with, so half of what is read of them as
float32 is zeros. Here they are read as they were published and widened on the way; products and
sums are those of float32.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from audiocraft.modules.products import Product

_FEW = 128
"""Positions up to which this is the faster way."""

_CHUNK = 1 << 20
"""Weights that are compared at a time: nothing of the size of a model is allocated."""


class HalfProduct(Product):
    """The same as `Product`, with the weight in half of the memory.

    Arranging a weight takes some fifty nanoseconds for each of its numbers.
    """

    def __init__(self, weight: Tensor, *, is_sole: bool = False) -> None:
        """Take a float32 weight `[out, in]` for which `is_half` is true.

        It is kept for many positions, where it is faster, unless this is to be the sole copy.
        """
        super().__init__(weight.new_empty(0) if is_sole else weight)
        self._halves: Any = torch.ops.quantized.linear_prepack_fp16(weight.contiguous(), None)

    def of(self, x: Tensor) -> Tensor:
        """Return `x W'` of `[B, T, in]`."""
        if self.weight.numel() and x.numel() > _FEW * x.shape[-1]:
            return functional.linear(x, self.weight)
        y: Tensor = torch.ops.quantized.linear_dynamic_fp16(x, self._halves)
        return y

    def add_to(self, total: Tensor, x: Tensor) -> Tensor:
        """Add `x W'` to `total` `[B, T, out]` in place and return it."""
        return total.add_(self.of(x))


def can_halve(device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether this build of torch multiplies by half weights there."""
    engines = torch.backends.quantized.supported_engines
    return device.type == "cpu" and dtype == torch.float32 and "fbgemm" in engines


def is_half(weight: Tensor) -> bool:
    """Return whether half precision holds every value of a weight as it is."""
    flat = weight.detach().flatten()
    chunks = (flat[first : first + _CHUNK] for first in range(0, len(flat), _CHUNK))
    return all(torch.equal(chunk.half().to(chunk.dtype), chunk) for chunk in chunks)
