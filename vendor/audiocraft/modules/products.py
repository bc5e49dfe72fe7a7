"""Multiplications by constant weights."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Product:
    """A multiplication by the transpose of a weight `[out, in]`."""

    weight: Tensor

    def of(self, x: Tensor) -> Tensor:
        """Return `x W'` of `[B, T, in]`."""
        return functional.linear(x, self.weight)

    def add_to(self, total: Tensor, x: Tensor) -> Tensor:
        """Add `x W'` to `total` `[B, T, out]` in place and return it."""
        flat = total.view(-1, total.shape[-1])
        flat.addmm_(x.reshape(len(flat), -1), self.weight.t())
        return total
