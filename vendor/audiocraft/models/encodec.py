"""The codec under the flow model: a SEANet auto-encoder without a quantizer."""

import math

import torch
from torch import Tensor, nn

from audiocraft.modules.seanet import SEANetConfig, SEANetDecoder, SEANetEncoder
from audiocraft.modules.tiling import Rates


class EncodecModel(nn.Module):
    """Waveform to continuous latent and back.

    Attributes:
        sample_rate: in Hz.
        channels: of the waveform.
        hop_length: samples a latent frame.
    """

    def __init__(self, encoder: SEANetConfig, decoder: SEANetConfig, *, sample_rate: int) -> None:
        super().__init__()
        self.encoder = SEANetEncoder(encoder)
        self.decoder = SEANetDecoder(decoder)
        self.sample_rate = sample_rate
        self.channels = encoder.channels
        self.hop_length = math.prod(encoder.ratios)
        self.latent_dim = decoder.dimension

    @property
    def frame_rate(self) -> float:
        """Latent frames a second."""
        return self.sample_rate / self.hop_length

    @property
    def reach_frames(self) -> int:
        """How many frames away the samples are, at most, that the encoder's convolutions hear."""
        return Rates.of(self.encoder.model).context

    def encode(
        self, x: Tensor, *, tile_frames: int | None = None, precision: torch.dtype | None = None
    ) -> tuple[Tensor, None]:
        """Return the latent `[B, D, ceil(N / hop)]` of `[B, C, N]`, and no scale.

        With `tile_frames` what runs at audio rate sees so many frames of one row at a time: the
        result is the same to rounding, the memory does not grow with the length. `precision` is
        that of the same part; what runs at the rate of frames keeps that of the weights.

        Raises:
            ValueError: `tile_frames` is not positive.
        """
        return self.encoder(x, tile_frames=tile_frames, precision=precision), None

    def decode(
        self,
        latent: Tensor,
        scale: None = None,  # noqa: ARG002 - there is none in this codec
        *,
        tile_frames: int | None = None,
        precision: torch.dtype | None = None,
    ) -> Tensor:
        """Return the waveform `[B, C, T * hop]` of `[B, D, T]`; the options are those of `encode`.

        Raises:
            ValueError: `tile_frames` is not positive.
        """
        y: Tensor = self.decoder(latent, tile_frames=tile_frames, precision=precision)
        return y
