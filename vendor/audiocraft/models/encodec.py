"""The codec under the flow model: a SEANet auto-encoder without a quantizer."""

import math

from torch import Tensor, nn

from audiocraft.modules.seanet import SEANetConfig, SEANetDecoder, SEANetEncoder


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

    def encode(self, x: Tensor) -> tuple[Tensor, None]:
        """Return the latent `[B, D, ceil(N / hop)]` of `[B, C, N]`, and no scale."""
        return self.encoder(x), None

    def decode(self, latent: Tensor, scale: None = None) -> Tensor:  # noqa: ARG002
        """Return the waveform `[B, C, T * hop]` of `[B, D, T]`; `scale` is always None here."""
        y: Tensor = self.decoder(latent)
        return y
