"""The transformer under the flow model: pre-norm, rotary, cross-attention, U-shaped skips.

This is the plain, obviously right path; anything faster is compared with it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiocraft.modules.rope import RotaryEmbedding, rotate


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Shape of the transformer, as checkpoints write it."""

    dim: int
    num_heads: int
    num_layers: int
    hidden_scale: int = 4
    max_period: float = 10000.0
    skip_connections: bool = True
    add_zero_attn: bool = True


class _Attention(nn.Module):
    """Weights of one attention; `in_proj_weight` stacks query, key and value, as in checkpoints."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.add_zero_attn = config.add_zero_attn
        self.in_proj_weight = nn.Parameter(torch.empty(3 * config.dim, config.dim))
        self.out_proj = nn.Linear(config.dim, config.dim, bias=False)

    def _heads(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.num_heads, -1).transpose(1, 2)  # [B, H, T, D]

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        if self.add_zero_attn:
            # one key of zeros in front, never masked: a query may attend to nothing at all
            k, v = (functional.pad(x, (0, 0, 1, 0)) for x in (k, v))
            mask = None if mask is None else functional.pad(mask, (1, 0))
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        out: Tensor = self.out_proj(y.transpose(1, 2).flatten(-2))
        return out


class SelfAttention(_Attention):
    """Attention of a sequence to itself, with rotary positions."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.rope = RotaryEmbedding(config.dim // config.num_heads, max_period=config.max_period)

    def forward(self, x: Tensor) -> Tensor:
        """Attend; `[B, T, C]`."""
        q, k, v = (self._heads(y) for y in functional.linear(x, self.in_proj_weight).chunk(3, -1))
        cosine, sine = self.rope.angles(x.shape[1])
        return self._attend(rotate(q, cosine, sine), rotate(k, cosine, sine), v, None)


class CrossAttention(_Attention):
    """Attention to a condition `[B, S, C]` under an additive mask `[B, 1, 1, S]`."""

    def forward(self, x: Tensor, source: Tensor, mask: Tensor) -> Tensor:
        """Attend; `[B, T, C]`."""
        weights = self.in_proj_weight.chunk(3)
        q, k, v = (
            self._heads(functional.linear(y, weight))
            for y, weight in zip((x, source, source), weights, strict=True)
        )
        return self._attend(q, k, v, mask.to(q.dtype))


class TransformerLayer(nn.Module):
    """Self-attention, cross-attention and feed-forward, each normalised first.

    The timestep is added to the normalised input of both attentions, not of the feed-forward.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        dim, hidden = config.dim, config.dim * config.hidden_scale
        self.self_attn = SelfAttention(config)
        self.cross_attention = CrossAttention(config)
        self.linear1 = nn.Linear(dim, hidden, bias=False)
        self.linear2 = nn.Linear(hidden, dim, bias=False)
        self.norm1, self.norm2, self.norm_cross = (nn.LayerNorm(dim) for _ in range(3))

    def forward(self, x: Tensor, timestep: Tensor, source: Tensor, mask: Tensor) -> Tensor:
        """Transform `[B, T, C]`."""
        x = x + self.self_attn(self.norm1(x) + timestep)
        x = x + self.cross_attention(self.norm_cross(x) + timestep, source, mask)
        y: Tensor = x + self.linear2(functional.gelu(self.linear1(self.norm2(x))))
        return y


class StreamingTransformer(nn.Module):
    """A stack of layers; the first half's outputs return, last in first out, in the second half."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        half = config.num_layers // 2
        self.rope = RotaryEmbedding(config.dim // config.num_heads, max_period=config.max_period)
        self.layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.num_layers))
        self.middle = half if config.skip_connections else config.num_layers
        skips = half - 1 if config.skip_connections else 0
        self.skip_projections = nn.ModuleList(
            nn.Linear(2 * config.dim, config.dim, bias=False) for _ in range(skips)
        )

    def forward(self, x: Tensor, timestep: Tensor, source: Tensor, mask: Tensor) -> Tensor:
        """Transform `[B, T, C]`; `timestep` is `[B, 1, C]`."""
        kept: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            if index > self.middle:
                projection = self.skip_projections[index % len(self.skip_projections)]
                x = projection(torch.cat((x, kept.pop()), dim=-1))
            x = layer(x, timestep, source, mask)
            if index < len(self.skip_projections):
                kept.append(x)
        return x
