"""Convolutions whose output has `ceil(N / stride)` frames, as EnCodec pads them.

Défossez et al., "High Fidelity Neural Audio Compression", 2022. Weight norm is folded into plain
weights when a checkpoint is read, so these are ordinary convolutions.
"""

import math

from torch import Tensor, nn
from torch.nn import functional


def extra_padding(length: int, kernel: int, stride: int, padding_total: int) -> int:
    """Return how many samples the last, partial frame is short of."""
    frames = (length - kernel + padding_total) / stride + 1
    ideal_length = (math.ceil(frames) - 1) * stride + kernel - padding_total
    return ideal_length - length


def pad1d(x: Tensor, left: int, right: int, mode: str) -> Tensor:
    """Pad `[B, C, N]`; an input too short to be reflected gets zeros behind it first."""
    if mode != "reflect":
        return functional.pad(x, (left, right), mode)
    short = max(left, right) - x.shape[-1] + 1
    if short <= 0:
        return functional.pad(x, (left, right), mode)
    padded = functional.pad(functional.pad(x, (0, short)), (left, right), mode)
    return padded[..., : padded.shape[-1] - short]


class StreamableConv1d(nn.Module):
    """`[B, C, N] -> [B, D, ceil(N / stride)]`, the larger half of the padding on the left.

    A causal one has all of its padding on the left, but for a partial frame's. Weights follow
    the input's precision.

    Attributes:
        reach: input samples, either way, that an output depends on at most, reflected ones too.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        causal: bool = False,
        pad_mode: str = "reflect",
    ) -> None:
        super().__init__()
        self.conv = nn.Conv1d(
            in_channels, out_channels, kernel_size, stride=stride, dilation=dilation
        )
        self.pad_mode = pad_mode
        self.kernel = (kernel_size - 1) * dilation + 1
        self.stride = stride
        padding = self.kernel - stride
        self.right = 0 if causal else padding // 2
        self.left = padding - self.right
        self.reach = max(self.left, self.kernel - 1 - self.left)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        extra = extra_padding(x.shape[-1], self.kernel, self.stride, self.left + self.right)
        padded = pad1d(x, self.left, self.right + extra, self.pad_mode)
        weight, bias = _in_precision_of(x, self.conv)
        return functional.conv1d(
            padded, weight, bias, stride=self.conv.stride, dilation=self.conv.dilation
        )


class StreamableConvTranspose1d(nn.Module):
    """`[B, C, T] -> [B, D, T * stride]`, trimmed on both sides, the larger half on the left.

    Of a causal one, a share of `trim_right_ratio` is trimmed on the right. Weights follow the
    input's precision.

    Attributes:
        reach: output samples, either way, that an input has an effect on at most.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        *,
        causal: bool = False,
        trim_right_ratio: float = 1.0,
    ) -> None:
        super().__init__()
        self.convtr = nn.ConvTranspose1d(in_channels, out_channels, kernel_size, stride=stride)
        self.stride = stride
        padding = kernel_size - stride
        self.right = math.ceil(padding * trim_right_ratio) if causal else padding // 2
        self.left = padding - self.right
        self.reach = max(self.left, kernel_size - 1 - self.left)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and trim."""
        weight, bias = _in_precision_of(x, self.convtr)
        y = functional.conv_transpose1d(x, weight, bias, stride=self.stride)
        return y[..., self.left : y.shape[-1] - self.right]


def _in_precision_of(
    x: Tensor, layer: nn.Conv1d | nn.ConvTranspose1d
) -> tuple[Tensor, Tensor | None]:
    bias = layer.bias
    return layer.weight.to(x.dtype), None if bias is None else bias.to(x.dtype)
