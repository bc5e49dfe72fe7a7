"""What a codec asks of its quantizer, and the two quantizers that do not quantize."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

_FLOAT_BITS = 32


@dataclass(frozen=True)
class QuantizedResult:
    """A latent after it was quantized.

    Attributes:
        x: the quantized latent `[B, D, T]`.
        codes: `[B, K, T]`.
        bandwidth: of the codes, in kbit/s, a scalar.
        penalty: what training would add to its loss; None where there is nothing to train.
        metrics: always empty here.
    """

    x: Tensor
    codes: Tensor
    bandwidth: Tensor
    penalty: Tensor | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)


class BaseQuantizer(ABC, nn.Module):
    """Latents `[B, D, T]` to codes and back.

    Attributes:
        bins: vectors a codebook, where there are codebooks.
    """

    bins: int

    @abstractmethod
    def forward(self, x: Tensor, frame_rate: float) -> QuantizedResult:
        """Quantize `[B, D, T]`; `frame_rate` in Hz is needed for the bandwidth alone."""

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Return the codes of `[B, D, T]`."""

    @abstractmethod
    def decode(self, codes: Tensor) -> Tensor:
        """Return the latent `[B, D, T]` of codes."""

    @property
    @abstractmethod
    def total_codebooks(self) -> int:
        """How many codebooks there are."""

    @property
    @abstractmethod
    def num_codebooks(self) -> int:
        """How many codebooks are used."""

    @abstractmethod
    def set_num_codebooks(self, n: int) -> None:
        """Use the first `n` codebooks.

        Raises:
            ValueError: there are not so many.
            AttributeError: there are none to choose from.
        """


class _Unquantized(BaseQuantizer):
    """One codebook that cannot be chosen."""

    @property
    def total_codebooks(self) -> int:
        """One."""
        return 1

    @property
    def num_codebooks(self) -> int:
        """One."""
        return 1

    def set_num_codebooks(self, n: int) -> None:  # noqa: ARG002 - the interface's
        """Refuse.

        Raises:
            AttributeError: always.
        """
        raise AttributeError("there are no codebooks to choose from")


class DummyQuantizer(_Unquantized):
    """The latent itself as the single "codebook": codes are `[B, 1, D, T]`, in float."""

    def forward(self, x: Tensor, frame_rate: float) -> QuantizedResult:
        """Return the latent; its bandwidth is that of plain floats."""
        kilobits = x.numel() * _FLOAT_BITS * frame_rate / 1000 / len(x)
        return QuantizedResult(x, self.encode(x), torch.tensor(kilobits).to(x))

    def encode(self, x: Tensor) -> Tensor:
        """Return `[B, 1, D, T]` of `[B, D, T]`."""
        return x.unsqueeze(1)

    def decode(self, codes: Tensor) -> Tensor:
        """Return `[B, D, T]` of `[B, 1, D, T]`."""
        return codes.squeeze(1)


class NoQuantizer(_Unquantized):
    """Of a codec whose latent is a distribution: encoder and decoder have different widths."""

    def forward(self, x: Tensor, frame_rate: float) -> QuantizedResult:
        """Refuse: what lies between encoder and decoder is a draw, which is the caller's.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("encode, draw a latent from the distribution, and decode it")

    def encode(self, x: Tensor) -> Tensor:
        """Return the latent as it is."""
        return x

    def decode(self, codes: Tensor) -> Tensor:
        """Return the latent as it is."""
        return codes
