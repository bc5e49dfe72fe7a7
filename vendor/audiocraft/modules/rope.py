"""Rotary position embedding on interleaved pairs (Su et al., "RoFormer", 2021)."""

import torch
from torch import Tensor, nn


class RotaryEmbedding(nn.Module):
    """Holds the frequencies a checkpoint brings: rounded ones, so never recomputed."""

    frequencies: Tensor

    def __init__(self, head_dim: int, *, max_period: float = 10000.0) -> None:
        super().__init__()
        # not by torch.arange: without memory (device "meta") its first call imports for seconds
        frequencies = [max_period ** (-2 * pair / head_dim) for pair in range(head_dim // 2)]
        self.register_buffer("frequencies", torch.tensor(frequencies))

    def angles(self, length: int) -> tuple[Tensor, Tensor]:
        """Return cosine and sine of every position's rotation, each `[length, head_dim / 2]`."""
        positions = torch.arange(length, device=self.frequencies.device, dtype=torch.float32)
        phase = torch.outer(positions, self.frequencies.float())
        return phase.cos(), phase.sin()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate the pairs (0, 1), (2, 3), … of `[B, H, T, D]`."""
    even, odd = x[..., 0::2], x[..., 1::2]
    pairs = torch.stack((even * cosine - odd * sine, even * sine + odd * cosine), dim=-1)
    return pairs.flatten(-2).to(x.dtype)


def rotate_in_place(x: Tensor, turns: Tensor) -> Tensor:
    """Rotate the pairs of `[B, T, H, D]`, whose layout is kept, by complex `[T, 1, D / 2]`.

    A pair is a complex number where it lies, so float32 needs one pass and no copy; anything
    narrower is rotated in float32 and rounded once.
    """
    wide = x.float()
    torch.view_as_complex(wide.view(*wide.shape[:-1], -1, 2)).mul_(turns)
    return x if wide is x else x.copy_(wide)
