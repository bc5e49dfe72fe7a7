"""The transformer under the language model: causal, pre-norm, sinusoidal positions.

This is the plain path. Without a past it computes every position anew, which is obviously right;
with one it keeps keys and values by appending to them. Anything faster is compared with it.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class CausalConfig:
    """Shape of the transformer, as checkpoints write it."""

    dim: int
    num_heads: int
    num_layers: int
    hidden_scale: int = 4
    max_period: float = 10000.0
    has_cross_attention: bool = True


@dataclass
class Past:
    """Keys and values `[B, H, T, D]` of the positions before, by layer."""

    pairs: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """How many positions there are."""
        return self.pairs[0][0].shape[2] if self.pairs else 0

    def extended(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append to what a layer has and return all of it."""
        pair = (keys, values)
        if layer in self.pairs:
            before = self.pairs[layer]
            pair = (torch.cat((before[0], keys), dim=2), torch.cat((before[1], values), dim=2))
        self.pairs[layer] = pair
        return pair


def sinusoids(positions: Tensor, dim: int, *, max_period: float = 10000.0) -> Tensor:
    """Return `[T, dim]` for positions `[T]`: cosines, then sines.

    The slowest has exactly the longest period: exponents are divided by `dim / 2 - 1`.
    """
    half = dim // 2
    exponents = torch.arange(half, device=positions.device, dtype=torch.float32) / (half - 1)
    phase = positions.float()[:, None] / torch.tensor(max_period) ** exponents
    return torch.cat((phase.cos(), phase.sin()), dim=-1)


class _Attention(nn.Module):
    """Weights of one attention; `in_proj_weight` stacks query, key and value, as in checkpoints."""

    def __init__(self, config: CausalConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * config.dim, config.dim))
        self.out_proj = nn.Linear(config.dim, config.dim, bias=False)

    def _heads(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.num_heads, -1).transpose(1, 2)  # [B, H, T, D]

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        out: Tensor = self.out_proj(y.transpose(1, 2).flatten(-2))
        return out


class CausalSelfAttention(_Attention):
    """Attention of a sequence to itself and what was before it."""

    def __init__(self, config: CausalConfig, layer: int) -> None:
        super().__init__(config)
        self.layer = layer

    def forward(self, x: Tensor, past: Past | None) -> Tensor:
        """Attend; `[B, T, C]`."""
        q, k, v = (self._heads(y) for y in functional.linear(x, self.in_proj_weight).chunk(3, -1))
        if past is not None:
            k, v = past.extended(self.layer, k, v)
        length, total = q.shape[2], k.shape[2]
        mask = torch.ones(length, total, dtype=torch.bool, device=x.device)
        return self._attend(q, k, v, mask.tril(total - length))


class CrossAttention(_Attention):
    """Attention to all of a condition `[B, S, C]`; what is no text in it is zero."""

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        """Attend; `[B, T, C]`."""
        weights = self.in_proj_weight.chunk(3)
        q, k, v = (
            self._heads(functional.linear(y, weight))
            for y, weight in zip((x, source, source), weights, strict=True)
        )
        return self._attend(q, k, v, None)


class CausalLayer(nn.Module):
    """Self-attention, cross-attention where there is one, feed-forward, each normalised first."""

    def __init__(self, config: CausalConfig, layer: int) -> None:
        super().__init__()
        dim, hidden = config.dim, config.dim * config.hidden_scale
        self.self_attn = CausalSelfAttention(config, layer)
        self.linear1 = nn.Linear(dim, hidden, bias=False)
        self.linear2 = nn.Linear(hidden, dim, bias=False)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        if config.has_cross_attention:
            self.cross_attention = CrossAttention(config)
            self.norm_cross = nn.LayerNorm(dim)

    def forward(self, x: Tensor, source: Tensor | None, past: Past | None) -> Tensor:
        """Transform `[B, T, C]`."""
        x = x + self.self_attn(self.norm1(x), past)
        if source is not None:
            x = x + self.cross_attention(self.norm_cross(x), source)
        y: Tensor = x + self.linear2(functional.gelu(self.linear1(self.norm2(x))))
        return y


class CausalTransformer(nn.Module):
    """A stack of layers over inputs to which their positions are added."""

    def __init__(self, config: CausalConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(CausalLayer(config, n) for n in range(config.num_layers))

    def forward(
        self, x: Tensor, source: Tensor | None = None, *, past: Past | None = None
    ) -> Tensor:
        """Transform `[B, T, C]`, which follows what is past.

        `source` `[B, S, C]` is what the cross-attention hears; without, it is left out, which
        changes nothing where it would hear zeros.
        """
        first = 0 if past is None else past.length
        positions = torch.arange(first, first + x.shape[1], device=x.device)
        x = x + sinusoids(positions, x.shape[-1], max_period=self.config.max_period).to(x.dtype)
        for layer in self.layers:
            x = layer(x, source, past)
        return x
