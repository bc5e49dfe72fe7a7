"""SEANet: the convolutional encoder and decoder of the codecs.

Tagliasacchi et al., "SEANet: A Multi-modal Speech Enhancement Network", 2020. The index of a layer
in `model` counts activations too; checkpoints name their tensors by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from audiocraft.modules.conv import StreamableConv1d, StreamableConvTranspose1d
from audiocraft.modules.lstm import StreamableLSTM
from audiocraft.modules.tiling import Stage, Stages


@dataclass(frozen=True, kw_only=True)
class SEANetConfig:
    """Shape of an encoder or decoder, as checkpoints write it.

    Attributes:
        dimension: channels of the latent.
        ratios: upsampling of the decoder's stages; the encoder takes them reversed.
        compress: how much narrower the inside of a residual block is.
        lstm: number of recurrent layers, 0 for none.
        causal: whether nothing hears what comes later, but for a partial last frame.
        trim_right_ratio: how much of a causal decoder's surplus is trimmed on the right.
    """

    dimension: int
    channels: int
    n_filters: int
    n_residual_layers: int
    ratios: tuple[int, ...]
    activation: str
    activation_alpha: float = 1.0
    kernel_size: int = 7
    last_kernel_size: int = 7
    residual_kernel_size: int = 3
    dilation_base: int = 2
    pad_mode: str = "reflect"
    true_skip: bool = True
    compress: int = 2
    lstm: int = 0
    causal: bool = False
    trim_right_ratio: float = 1.0

    @property
    def widths(self) -> list[int]:
        """Channels of the stages, from audio rate inwards."""
        return [self.n_filters * 2**stage for stage in range(len(self.ratios))]

    def conv(self, inputs: int, outputs: int, kernel: int, **more: int) -> StreamableConv1d:
        """Return a convolution padded as this network pads."""
        return StreamableConv1d(
            inputs, outputs, kernel, causal=self.causal, pad_mode=self.pad_mode, **more
        )

    def upsampling(self, inputs: int, ratio: int) -> StreamableConvTranspose1d:
        """Return a transposed convolution to half the channels, trimmed as this network trims."""
        return StreamableConvTranspose1d(
            inputs,
            inputs // 2,
            2 * ratio,
            ratio,
            causal=self.causal,
            trim_right_ratio=self.trim_right_ratio,
        )

    def act(self, channels: int) -> nn.Module:
        """Return the activation for that many channels."""
        if self.activation == "snake":
            return Snake1d(channels)
        return nn.ELU(alpha=self.activation_alpha)


class Snake1d(nn.Module):
    """`x + sin(alpha x)^2 / alpha` with one alpha a channel (Ziyin et al., 2020)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Activate `[B, C, N]`."""
        # in place from the first product on: sizes like these are bound by memory
        y = (x * self.alpha.to(x.dtype)).sin_()
        y.mul_(y).mul_((self.alpha + 1e-9).reciprocal().to(x.dtype))
        return y.add_(x)


class SEANetResnetBlock(nn.Module):
    """Activation and convolution, twice, around a skip."""

    def __init__(self, config: SEANetConfig, channels: int, dilation: int) -> None:
        super().__init__()
        hidden = channels // config.compress
        self.block = nn.Sequential(
            config.act(channels),
            config.conv(channels, hidden, config.residual_kernel_size, dilation=dilation),
            config.act(hidden),
            config.conv(hidden, channels, 1),
        )
        self.shortcut = nn.Identity() if config.true_skip else config.conv(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Add the block's output to the skip."""
        y: Tensor = self.shortcut(x) + self.block(x)
        return y


def _blocks(config: SEANetConfig, channels: int) -> Sequence[nn.Module]:
    dilations = [config.dilation_base**j for j in range(config.n_residual_layers)]
    return [SEANetResnetBlock(config, channels, dilation) for dilation in dilations]


class SEANetEncoder(nn.Module):
    """`[B, channels, N] -> [B, dimension, ceil(N / hop)]`."""

    def __init__(self, config: SEANetConfig) -> None:
        super().__init__()
        width = config.n_filters
        layers: list[nn.Module] = [config.conv(config.channels, width, config.kernel_size)]
        ends = [0]
        for ratio in reversed(config.ratios):
            layers += [*_blocks(config, width), config.act(width)]
            layers.append(config.conv(width, 2 * width, 2 * ratio, stride=ratio))
            ends.append(len(layers))
            width *= 2
        if config.lstm:
            layers.append(StreamableLSTM(width, config.lstm))
        layers += [config.act(width), config.conv(width, config.dimension, config.last_kernel_size)]
        self.model = nn.Sequential(*layers)
        self._fine, self._latent_rate = _stages(self.model, ends, config.widths), ends[-1]

    def forward(
        self, x: Tensor, *, tile_frames: int | None = None, precision: torch.dtype | None = None
    ) -> Tensor:
        """Encode; the options bound the memory of what runs at audio rate."""
        frames = self._fine.run(x, tile=tile_frames, precision=precision)
        y: Tensor = self.model[self._latent_rate :](frames)
        return y


class SEANetDecoder(nn.Module):
    """`[B, dimension, T] -> [B, channels, T * hop]`."""

    def __init__(self, config: SEANetConfig) -> None:
        super().__init__()
        width = config.n_filters * 2 ** len(config.ratios)
        layers: list[nn.Module] = [config.conv(config.dimension, width, config.kernel_size)]
        if config.lstm:
            layers.append(StreamableLSTM(width, config.lstm))
        ends = [len(layers)]
        for ratio in config.ratios:
            layers.append(config.act(width))
            layers.append(config.upsampling(width, ratio))
            width //= 2
            layers += _blocks(config, width)
            ends.append(len(layers))
        layers += [config.act(width), config.conv(width, config.channels, config.last_kernel_size)]
        ends[-1] = len(layers)
        self.model = nn.Sequential(*layers)
        self._fine, self._audio_rate = _stages(self.model, ends, config.widths[::-1]), ends[0]

    def forward(
        self, x: Tensor, *, tile_frames: int | None = None, precision: torch.dtype | None = None
    ) -> Tensor:
        """Decode; the options bound the memory of what runs at audio rate."""
        frames: Tensor = self.model[: self._audio_rate](x)
        return self._fine.run(frames, tile=tile_frames, precision=precision)


def _stages(model: nn.Sequential, ends: Sequence[int], widths: Sequence[int]) -> Stages:
    spans = zip(pairwise(ends), widths, strict=True)
    return Stages([Stage(model[start:stop], width) for (start, stop), width in spans])
