"""The quantizer of EnCodec: latents to a few codes a frame."""

import math

import torch
from torch import Tensor

from audiocraft.quantization.base import BaseQuantizer, QuantizedResult
from audiocraft.quantization.core_vq import ResidualVectorQuantization


class ResidualVectorQuantizer(BaseQuantizer):
    """Codebooks one after another, each for what the ones before it left over.

    Attributes:
        n_q: how many codebooks are used.
        max_n_q: how many there are.
        bins: vectors a codebook.
    """

    def __init__(self, dimension: int = 256, n_q: int = 8, bins: int = 1024) -> None:
        """Make room for `n_q` codebooks of `bins` vectors of that dimension."""
        super().__init__()
        self.max_n_q = self.n_q = n_q
        self.dimension, self.bins = dimension, bins
        self.vq = ResidualVectorQuantization(num_quantizers=n_q, dim=dimension, codebook_size=bins)

    def forward(self, x: Tensor, frame_rate: float) -> QuantizedResult:
        """Quantize `[B, D, T]`; frames come at `frame_rate` Hz."""
        codes = self.encode(x)
        kilobits = self.n_q * math.log2(self.bins) * frame_rate / 1000
        return QuantizedResult(
            self.decode(codes), codes, torch.tensor(kilobits).to(x), penalty=x.new_zeros(())
        )

    def encode(self, x: Tensor) -> Tensor:
        """Return codes `[B, K, T]`, int64, of `[B, D, T]`."""
        return self.vq.encode(x, self.n_q).transpose(0, 1)

    def decode(self, codes: Tensor) -> Tensor:
        """Return the latent `[B, D, T]` of codes `[B, K, T]` of the first K codebooks.

        Raises:
            ValueError: there are not so many codebooks, or no codes.
        """
        self._check(codes.shape[1])
        return self.vq.decode(codes.transpose(0, 1))

    @property
    def total_codebooks(self) -> int:
        """How many codebooks there are."""
        return self.max_n_q

    @property
    def num_codebooks(self) -> int:
        """How many codebooks are used."""
        return self.n_q

    def set_num_codebooks(self, n: int) -> None:
        """Use the first `n` codebooks.

        Raises:
            ValueError: there are not so many.
        """
        self._check(n)
        self.n_q = n

    def _check(self, n: int) -> None:
        if not 1 <= n <= self.max_n_q:
            raise ValueError(f"{n} codebooks cannot be used: there are {self.max_n_q}")
