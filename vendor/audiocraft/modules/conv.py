"""Convolutions whose output has `ceil(N / stride)` frames, as EnCodec pads them.

Défossez et al., "High Fidelity Neural Audio Compression", 2022. Weight norm is folded into plain
weights
when a checkpoint is read, so these are ordinary convolutions.
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
    """`[B, C, N] -> [B, D, ceil(N / stride)]`, the larger half of the padding on the left."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        pad_mode: str = "reflect",
    ) -> None:
        super().__init__()
        self.conv = nn.Conv1d(
            in_channels, out_channels, kernel_size, stride=stride, dilation=dilation
        )
        self.pad_mode = pad_mode
        self.kernel = (kernel_size - 1) * dilation + 1
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        total = self.kernel - self.stride
        extra = extra_padding(x.shape[-1], self.kernel, self.stride, total)
        right = total // 2
        y: Tensor = self.conv(pad1d(x, total - right, right + extra, self.pad_mode))
        return y


class StreamableConvTranspose1d(nn.Module):
    """`[B, C, T] -> [B, D, T * stride]`, trimmed on both sides, the larger half on the left."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.convtr = nn.ConvTranspose1d(in_channels, out_channels, kernel_size, stride=stride)
        self.trim = kernel_size - stride

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and trim."""
        y: Tensor = self.convtr(x)
        right = self.trim // 2
        return y[..., self.trim - right : y.shape[-1] - right]
