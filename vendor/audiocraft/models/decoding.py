"""Which rows a language model evaluates for its samples, and how it goes on from token to token.

Guidance needs two rows of a sample: one that hears its conditions and one that hears none. A sample
without conditions needs only the latter: both would be equal, and so would be what is guided.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

import torch
from torch import Tensor

from audiocraft.modules.causal import Past
from audiocraft.modules.conditioners import Condition

if TYPE_CHECKING:  # the language model offers these decoders
    from collections.abc import Iterator

    from audiocraft.models.lm import LMModel


class Fuser(Protocol):
    """How conditions reach the transformer, by their names."""

    @property
    def prepend(self) -> Sequence[str]:
        """Those that are put in front of the sequence."""

    @property
    def cross(self) -> Sequence[str]:
        """Those that are attended to."""


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What samples are conditioned on.

    Attributes:
        source: `[B, S, dim]`, what is attended to.
        prefix: `[B, P, dim]`, what stands in front of the sequence.
        empty_prefix: `[B, P, dim]`, what stands there where nothing is heard; by default zeros.
        rows: the samples that have any condition; the others have zeros.
    """

    source: Tensor | None = None
    prefix: Tensor | None = None
    empty_prefix: Tensor | None = None
    rows: tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        conditions: Mapping[str, Condition],
        fuser: Fuser,
        *,
        nothing: Mapping[str, Condition] | None = None,
    ) -> Self:
        """Fuse conditions; of those in front, each stands before the ones named before it.

        `nothing` are the conditions of the same samples without anything in them. They need not be
        zeros: a melody that is none is silence.
        """
        attended = [x for name, (x, _) in conditions.items() if name in fuser.cross]
        masks = [mask.bool().any(dim=1) for _, mask in conditions.values()]
        has_any = torch.stack(masks).any(dim=0).tolist() if masks else []
        return cls(
            source=torch.cat(attended, dim=1) if attended else None,
            prefix=_in_front(conditions, fuser),
            empty_prefix=_in_front(nothing or {}, fuser),
            rows=tuple(row for row, is_there in enumerate(has_any) if is_there),
        )


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows that are evaluated in one batch.

    Attributes:
        samples: `[R]`, whose tokens each row follows.
        source: `[H, S, dim]`, what the first H rows attend to; the others would attend to zeros.
        prefix: `[R, P, dim]`, what stands in front of each row.
    """

    samples: Tensor
    source: Tensor | None = None
    prefix: Tensor | None = None

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def in_front(self) -> int:
        """Positions before the sequence."""
        return 0 if self.prefix is None else self.prefix.shape[1]


class Decoder(Protocol):
    """Goes on where it was; one for each run."""

    def __call__(self, tokens: Tensor) -> Tensor:
        """Take tokens `[R, K, S]` that follow; return the logits after them `[R, K, card]`."""


Decoding = Callable[[Rows, int], AbstractContextManager[Decoder]]
"""`decoding(rows, steps)` opens a decoder for so many steps of the sequence."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The rows of a run and how their logits are put together.

    Attributes:
        parts: batches; the rows of all of them are those that hear, then those that do not.
        wanted: `[H]`, the samples of the rows that hear.
        coefficient: of the guidance; None where each sample has one row.
    """

    parts: tuple[Rows, ...]
    wanted: Tensor
    coefficient: float | None

    @classmethod
    def of(
        cls, heard: Heard, count: int, device: torch.device, *, coefficient: float, in_two: bool
    ) -> Self:
        """Plan for `count` samples; with a coefficient of 1 guidance changes nothing.

        `in_two` evaluates rows that hear and rows that do not one after the other.
        """
        is_guided = bool(heard.rows) and coefficient != 1.0
        wanted = torch.tensor(heard.rows, dtype=torch.int64, device=device)
        free = [n for n in range(count) if is_guided or n not in heard.rows]
        rest = torch.tensor(free, dtype=torch.int64, device=device)
        source, prefix = (
            None if x is None else x.index_select(0, wanted) for x in (heard.source, heard.prefix)
        )
        nothing = None if prefix is None else prefix.new_zeros(len(free), *prefix.shape[1:])
        if heard.empty_prefix is not None:
            nothing = heard.empty_prefix.index_select(0, rest)
        hearing = Rows(samples=wanted, source=source, prefix=prefix)
        deaf = Rows(samples=rest, prefix=nothing)
        parts = (hearing, deaf) if in_two else (_joined(hearing, deaf),)
        return cls(
            parts=tuple(part for part in parts if len(part)),
            wanted=wanted,
            coefficient=coefficient if is_guided else None,
        )

    def together(self, logits: Tensor) -> Tensor:
        """Return the logits of the samples `[B, …]` from those of the rows `[R, …]`."""
        hearing, deaf = logits.tensor_split((len(self.wanted),))
        if self.coefficient is None:
            order = torch.cat([part.samples for part in self.parts])
            return torch.empty_like(logits).index_copy_(0, order, logits)
        null = deaf.index_select(0, self.wanted)
        return deaf.index_copy(0, self.wanted, null + (hearing - null) * self.coefficient)


def _in_front(conditions: Mapping[str, Condition], fuser: Fuser) -> Tensor | None:
    found = [x for name, (x, _) in conditions.items() if name in fuser.prepend]
    return torch.cat(found[::-1], dim=1) if found else None


def _joined(hearing: Rows, deaf: Rows) -> Rows:
    prefixes = [part.prefix for part in (hearing, deaf) if part.prefix is not None]
    return Rows(
        samples=torch.cat((hearing.samples, deaf.samples)),
        source=hearing.source if len(hearing) else None,
        prefix=torch.cat(prefixes) if prefixes else None,
    )


@contextmanager
def plainly(lm: "LMModel", rows: Rows, past: Past | None = None) -> "Iterator[Decoder]":
    """Open a decoder of the model as it stands: keys and values are appended at every step.

    It may go on from what another one has kept.
    """
    past = Past() if past is None else past
    source = rows.source
    if source is not None:  # zeros are attended to as well, with nothing as the result
        source = torch.cat((source, source.new_zeros(len(rows) - len(source), *source.shape[1:])))

    def decode(tokens: Tensor) -> Tensor:
        x = lm.embedded(tokens)
        if rows.prefix is not None and not past.length:
            x = torch.cat((rows.prefix, x), dim=1)
        return lm.logits(lm.transformer(x, source, past=past)[:, -1:])[:, :, 0]

    yield decode
