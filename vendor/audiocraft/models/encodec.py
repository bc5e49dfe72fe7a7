"""The codecs under the generative models: SEANet auto-encoders, with or without a quantizer.

Défossez et al., "High Fidelity Neural Audio Compression", 2022.
"""

import dataclasses
import math

import torch
from torch import Tensor

from audiocraft.models.compression import CompressionModel
from audiocraft.models.stereo import InterleaveStereoCompressionModel
from audiocraft.modules.seanet import SEANetConfig, SEANetDecoder, SEANetEncoder
from audiocraft.modules.tiling import Rates
from audiocraft.quantization import BaseQuantizer, NoQuantizer, QuantizedResult

__all__ = ["CompressionModel", "EncodecModel", "InterleaveStereoCompressionModel"]


class EncodecModel(CompressionModel):
    """Waveform to codes and back; without a quantizer, to a continuous latent and back.

    Attributes:
        hop_length: samples a frame.
        latent_dim: width of what the decoder is given.
    """

    def __init__(
        self,
        encoder: SEANetConfig,
        decoder: SEANetConfig,
        *,
        sample_rate: int,
        quantizer: BaseQuantizer | None = None,
    ) -> None:
        super().__init__()
        self.encoder = SEANetEncoder(encoder)
        self.decoder = SEANetDecoder(decoder)
        self.quantizer = NoQuantizer() if quantizer is None else quantizer
        self.sample_rate = sample_rate
        self.channels = encoder.channels
        self.hop_length = math.prod(encoder.ratios)
        self.latent_dim = decoder.dimension

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return self.sample_rate / self.hop_length

    @property
    def reach_frames(self) -> int:
        """How many frames away the samples are, at most, that the encoder's convolutions hear."""
        return Rates.of(self.encoder.model).context

    @property
    def cardinality(self) -> int:
        """How many different codes a codebook has.

        Raises:
            AttributeError: the codec has no codebooks.
        """
        return self.quantizer.bins

    @property
    def num_codebooks(self) -> int:
        """How many codebooks codes have, K."""
        return self.quantizer.num_codebooks

    @property
    def total_codebooks(self) -> int:
        """How many codebooks there are."""
        return self.quantizer.total_codebooks

    def set_num_codebooks(self, n: int) -> None:
        """Use the first `n` codebooks.

        Raises:
            ValueError: there are not so many.
            AttributeError: the codec has no codebooks.
        """
        self.quantizer.set_num_codebooks(n)

    def forward(self, x: Tensor) -> QuantizedResult:
        """Return the waveform `[B, C, N]` as it comes back, and its codes.

        Raises:
            NotImplementedError: the codec has no codebooks.
        """
        result: QuantizedResult = self.quantizer(self.encoder(x), self.frame_rate)
        return dataclasses.replace(result, x=self.decoder(result.x)[..., : x.shape[-1]])

    def encode(
        self, x: Tensor, *, tile_frames: int | None = None, precision: torch.dtype | None = None
    ) -> tuple[Tensor, None]:
        """Return the codes `[B, K, ceil(N / hop)]` of `[B, C, N]`, and no scale.

        Without a quantizer it is the latent `[B, D, ceil(N / hop)]`. With `tile_frames` what runs
        at audio rate sees so many frames of one row at a time: the latent is the same to rounding,
        the memory does not grow with the length. `precision` is that of the same part; what runs
        at the rate of frames keeps that of the weights.

        Raises:
            ValueError: `tile_frames` is not positive.
        """
        latent = self.encoder(x, tile_frames=tile_frames, precision=precision)
        return self.quantizer.encode(latent), None

    def decode(
        self,
        codes: Tensor,
        scale: Tensor | None = None,  # noqa: ARG002 - there is none in these codecs
        *,
        tile_frames: int | None = None,
        precision: torch.dtype | None = None,
    ) -> Tensor:
        """Return the waveform `[B, C, T * hop]` of codes `[B, K, T]` or a latent `[B, D, T]`.

        The options are those of `encode`.

        Raises:
            ValueError: `tile_frames` is not positive, or there are not so many codebooks.
        """
        latent = self.decode_latent(codes)
        y: Tensor = self.decoder(latent, tile_frames=tile_frames, precision=precision)
        return y

    def decode_latent(self, codes: Tensor) -> Tensor:
        """Return the latent `[B, D, T]` of codes `[B, K, T]`; a latent is returned as it is."""
        return self.quantizer.decode(codes)
