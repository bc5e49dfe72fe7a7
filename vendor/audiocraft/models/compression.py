"""What a generative model asks of its codec."""

from abc import ABC, abstractmethod
from pathlib import Path

import torch
from torch import Tensor, nn

from audiocraft.quantization import QuantizedResult


class CompressionModel(ABC, nn.Module):
    """Waveforms to what a generative model works on, and back.

    Attributes:
        sample_rate: of the waveform, in Hz.
        channels: of the waveform.
    """

    sample_rate: int
    channels: int

    @abstractmethod
    def forward(self, x: Tensor) -> QuantizedResult:
        """Return the waveform `[B, C, N]` as it comes back, and its codes."""

    @abstractmethod
    def encode(
        self, x: Tensor, *, tile_frames: int | None = None, precision: torch.dtype | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the codes `[B, K, T]` of a waveform `[B, C, N]`, and its scale or None."""

    @abstractmethod
    def decode(
        self,
        codes: Tensor,
        scale: Tensor | None = None,
        *,
        tile_frames: int | None = None,
        precision: torch.dtype | None = None,
    ) -> Tensor:
        """Return the waveform `[B, C, T * hop]` of codes `[B, K, T]`."""

    @abstractmethod
    def decode_latent(self, codes: Tensor) -> Tensor:
        """Return the latent `[B, D, T]` of codes, which is what the decoder is given."""

    @property
    @abstractmethod
    def frame_rate(self) -> float:
        """Frames a second."""

    @property
    @abstractmethod
    def cardinality(self) -> int:
        """How many different codes a codebook has."""

    @property
    @abstractmethod
    def num_codebooks(self) -> int:
        """How many codebooks codes have, K."""

    @property
    @abstractmethod
    def total_codebooks(self) -> int:
        """How many codebooks of the quantizer could be used."""

    @abstractmethod
    def set_num_codebooks(self, n: int) -> None:
        """Use the first `n` codebooks of the quantizer.

        Raises:
            ValueError: it has not so many.
        """

    @staticmethod
    def get_pretrained(name: str | Path, device: torch.device | str = "cpu") -> "CompressionModel":
        """Load the codec from a directory, a file, an https address or a hub id.

        Raises:
            InvalidCheckpoint: there is none, or it cannot be read.
        """
        from audiocraft.models import loaders  # noqa: PLC0415 - which builds what is defined here

        return loaders.load_compression_model(name, device)
