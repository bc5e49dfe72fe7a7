"""How the next token is chosen from logits: the most likely, or drawn from a filtered distribution.

Nothing here asks the device for a value, and what is drawn comes in as numbers drawn before, so a
choice can be recorded together with what computes the logits.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Draw = Callable[[Tensor], Tensor]
"""`draw(probabilities [..., card]) -> index [..., 1]`."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How tokens are chosen in one call.

    Attributes:
        use_sampling: otherwise the most likely token is taken.
        temp: logits are divided by it; 0 takes the most likely token.
        top_k: only so many of the most likely tokens can be drawn; 0 lets all.
        top_p: only the most likely tokens that have this probability together; 0 lets all. It goes
            before `top_k`.
    """

    use_sampling: bool = True
    temp: float = 1.0
    top_k: int = 250
    top_p: float = 0.0

    def __post_init__(self) -> None:
        if self.temp < 0 or self.top_k < 0 or not 0 <= self.top_p <= 1:
            raise ValueError("temp and top_k cannot be negative, and top_p lies between 0 and 1")

    @property
    def is_drawn(self) -> bool:
        """Whether noise is needed."""
        return self.use_sampling and self.temp > 0

    def of(self, logits: Tensor, noise: Tensor | None) -> Tensor:
        """Return tokens `[..., 1]` for logits `[..., card]`.

        `noise` are exponential numbers shaped like the logits; without, the most likely token is
        taken, of the filtered distribution.
        """
        if not self.is_drawn:
            return logits.argmax(-1, keepdim=True)
        probs = torch.softmax(logits.float() / self.temp, dim=-1)

        def draw(distribution: Tensor) -> Tensor:
            return multinomial(distribution, noise)

        if self.top_p > 0:
            return sample_top_p(probs, self.top_p, draw)
        return sample_top_k(probs, self.top_k, draw) if self.top_k else draw(probs)


def multinomial(probs: Tensor, noise: Tensor | None) -> Tensor:
    """Return one index `[..., 1]` for each distribution `[..., card]`.

    The index of the least `noise / p` is one drawn from p where the noise is exponential.
    """
    race = probs if noise is None else probs / noise
    return race.argmax(-1, keepdim=True)


def sample_top_k(probs: Tensor, k: int, draw: Draw) -> Tensor:
    """Draw from the k most likely; all that are as likely as the last of them can be drawn too."""
    return draw(among_top_k(probs, k))


def sample_top_p(probs: Tensor, p: float, draw: Draw) -> Tensor:
    """Draw from the most likely that have the probability p together."""
    sorted_probs, order = among_top_p(probs, p)
    return order.gather(-1, draw(sorted_probs))


def among_top_k(probs: Tensor, k: int) -> Tensor:
    """Return the distribution over those tokens, in their places."""
    least = probs.topk(min(k, probs.shape[-1]), dim=-1).values[..., -1:]
    kept = probs * (probs >= least)
    return kept / kept.sum(-1, keepdim=True)


def among_top_p(probs: Tensor, p: float) -> tuple[Tensor, Tensor]:
    """Return the distribution over those tokens, the most likely first, and which they are."""
    sorted_probs, order = probs.sort(dim=-1, descending=True)
    before = sorted_probs.cumsum(-1) - sorted_probs
    kept = sorted_probs * (before <= p)
    return kept / kept.sum(-1, keepdim=True), order
