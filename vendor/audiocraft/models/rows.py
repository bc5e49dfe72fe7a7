"""Which rows a velocity needs: of every latent one that hears its text and one that hears none.

Rows that would only repeat another are not evaluated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Text:
    """What the rows with text listen to.

    Attributes:
        keys: `[layers, rows, heads, S, D]`, the zero key in front where the model has one.
        values: likewise.
        mask: additive, `[rows, 1, 1, S]`; None where there is no padding.
    """

    keys: Tensor
    values: Tensor
    mask: Tensor | None

    def of(self, rows: Tensor) -> "Text":
        """Return the same for a batch of those rows."""
        mask = None if self.mask is None else self.mask.index_select(0, rows)
        keys, values = (x.index_select(1, rows) for x in (self.keys, self.values))
        return Text(keys=keys, values=values, mask=mask)

    def __len__(self) -> int:
        return self.keys.shape[1]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Which rows are evaluated for a number of latents, and what they hear.

    Attributes:
        rows: the latent of every row, those with text first; None means each latent once.
        wanted: latents with text, as many as rows with text.
        texts: for every part of the rows that is evaluated at once, what its first rows hear.
        turns: rotations, complex `[layers, T, 1, D / 2]`.
    """

    rows: Tensor | None
    wanted: Tensor
    texts: tuple[Text | None, ...]
    turns: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """Return a batch of one part as named tensors; `from_tensors` makes it one again."""
        (text,) = self.texts
        heard = (text.keys, text.values, text.mask) if text else (None, None, None)
        names = ("wanted", "turns", "rows", "keys", "values", "mask")
        values = (self.wanted, self.turns, self.rows, *heard)
        return {name: x for name, x in zip(names, values, strict=True) if x is not None}

    @classmethod
    def from_tensors(cls, named: Mapping[str, Tensor]) -> Self:
        """Return the batch of those tensors."""
        text = None
        if "keys" in named:
            text = Text(keys=named["keys"], values=named["values"], mask=named.get("mask"))
        rows, wanted, turns = named.get("rows"), named["wanted"], named["turns"]
        return cls(rows=rows, wanted=wanted, turns=turns, texts=(text,))


def plan(
    entries: Sequence[int | None],
    text: Text | None,
    turns: Tensor,
    *,
    guided: bool,
    one_by_one: bool,
) -> Batch:
    """Return the batch for latents that hear those entries of the text."""

    def indices(of: list[int]) -> Tensor:
        return torch.tensor(of, device=turns.device, dtype=torch.int64)

    wanted = [row for row, entry in enumerate(entries) if entry is not None]
    # a guided latent without text is its own null row: both terms of the guidance are equal
    free = [row for row, entry in enumerate(entries) if guided or entry is None]
    heard = [entry for entry in entries if entry is not None]
    texts: list[Text | None] = [None]
    if one_by_one:
        texts = [text and text.of(indices([entry])) for entry in heard] + [None] * len(free)
    elif text is not None and heard:
        texts = [text.of(indices(heard))]
    in_order = wanted + free == list(range(len(entries)))
    return Batch(
        rows=None if in_order else indices(wanted + free),
        wanted=indices(wanted),
        texts=tuple(texts),
        turns=turns,
    )
