"""Vector quantization, its tensors named as in checkpoints.

Zeghidour et al., "SoundStream: An End-to-End Neural Audio Codec", 2021: every level quantizes what
the levels before it left over.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional


class EuclideanCodebook(nn.Module):
    """A set of vectors; the nearest one stands for any other.

    `inited`, `cluster_size` and `embed_avg` are what training left in the file. They are kept
    because a checkpoint has to fit, and used for nothing.
    """

    inited: Tensor
    cluster_size: Tensor
    embed: Tensor
    embed_avg: Tensor

    def __init__(self, dim: int, codebook_size: int) -> None:
        super().__init__()
        self.register_buffer("inited", torch.ones(1))
        self.register_buffer("cluster_size", torch.zeros(codebook_size))
        self.register_buffer("embed", torch.zeros(codebook_size, dim))
        self.register_buffer("embed_avg", torch.zeros(codebook_size, dim))

    def encode(self, x: Tensor) -> Tensor:
        """Return which vector is nearest to each of `[*, D]`, the first of equally near ones."""
        rows = x.reshape(-1, x.shape[-1])
        # |x|² is the same for all candidates; it stays because what is rounded decides near ties
        squares = rows.pow(2).sum(1, keepdim=True)
        distances = squares - 2 * rows @ self.embed.t() + self.embed.pow(2).sum(1)
        return distances.argmin(dim=-1).view(x.shape[:-1])

    def decode(self, codes: Tensor) -> Tensor:
        """Return the vectors `[*, D]` of `[*]`."""
        return functional.embedding(codes, self.embed)


class VectorQuantization(nn.Module):
    """One level of a residual quantizer."""

    def __init__(self, dim: int, codebook_size: int) -> None:
        super().__init__()
        self._codebook = EuclideanCodebook(dim, codebook_size)

    def encode(self, x: Tensor) -> Tensor:
        """Return codes `[B, T]` of `[B, D, T]`."""
        return self._codebook.encode(x.transpose(1, 2))

    def decode(self, codes: Tensor) -> Tensor:
        """Return the latent `[B, D, T]` of codes `[B, T]`."""
        return self._codebook.decode(codes).transpose(1, 2)


class ResidualVectorQuantization(nn.Module):
    """Levels one after another."""

    def __init__(self, *, num_quantizers: int, dim: int, codebook_size: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            VectorQuantization(dim, codebook_size) for _ in range(num_quantizers)
        )

    def encode(self, x: Tensor, n_q: int) -> Tensor:
        """Return codes `[K, B, T]` of `[B, D, T]` from the first `n_q` levels."""
        codes, residual = [], x
        for level in self._levels(n_q):
            codes.append(level.encode(residual))
            residual = residual - level.decode(codes[-1])
        return torch.stack(codes)

    def decode(self, codes: Tensor) -> Tensor:
        """Return the latent `[B, D, T]` of codes `[K, B, T]`, of as many levels as there are."""
        levels = self._levels(len(codes))
        total = levels[0].decode(codes[0])
        for level, row in zip(levels[1:], codes[1:], strict=True):
            total = total + level.decode(row)
        return total

    def _levels(self, n_q: int) -> list[VectorQuantization]:
        return cast("list[VectorQuantization]", list(self.layers[:n_q]))
