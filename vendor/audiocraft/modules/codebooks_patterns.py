"""Orders in which the codebooks of a frame are spelt out as steps of a sequence.

A frame of a residual quantizer is several tokens, one a codebook. A pattern says at which step of
the sequence each of them stands: all at once, each codebook a little later than the one before it,
or one after another. The first step of every pattern is empty; a special token stands there.

Copet et al., "Simple and Controllable Music Generation", 2023, section 2.2.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

Placed = tuple[Tensor, Tensor, Tensor]
"""Values, the flat indices they were taken from, and a mask of those that are no filling."""

Targets = tuple[np.ndarray, np.ndarray]
"""Flat indices of targets, and of what belongs there."""


class LayoutCoord(NamedTuple):
    """One token: of which timestep, of which codebook."""

    t: int
    q: int


PatternLayout = Sequence[Sequence[LayoutCoord]]
"""For every step of the sequence the tokens that stand there."""


@dataclass(frozen=True)
class Pattern:
    """One order for a certain number of timesteps.

    Attributes:
        layout: the first step is empty. Tokens of timesteps that do not exist are allowed, so that
            a step is written the same way everywhere; they are never taken.
        timesteps: how many there are.
        n_q: codebooks.
    """

    layout: PatternLayout
    timesteps: int
    n_q: int

    def __post_init__(self) -> None:
        if not self.layout or self.layout[0]:
            raise ValueError("the first step of a pattern must be empty")
        reached = [0] * self.n_q
        for step, coords in enumerate(self.layout):
            if len({coord.q for coord in coords}) < len(coords):
                raise ValueError(f"a codebook stands twice at step {step}")
            for coord in coords:
                if coord.t < reached[coord.q]:
                    raise ValueError(f"codebook {coord.q} goes back in time at step {step}")
                reached[coord.q] = coord.t

    @property
    def num_sequence_steps(self) -> int:
        """Steps after the empty one."""
        return len(self.layout) - 1

    @property
    def max_delay(self) -> int:
        """Timesteps that the layout names beyond those that exist."""
        last = max((coord.t for coords in self.layout for coord in coords), default=-1)
        return last + 1 - self.timesteps

    @property
    def valid_layout(self) -> PatternLayout:
        """The steps before those that lack a token."""
        return self.layout[: len(self.layout) - self.max_delay]

    def get_sequence_coords_with_timestep(
        self, t: int, q: int | None = None
    ) -> list[tuple[int, LayoutCoord]]:
        """Return steps and tokens of a timestep, of one codebook or of all.

        Raises:
            ValueError: there is no such timestep or codebook.
        """
        if t > self.timesteps or (q is not None and q >= self.n_q):
            raise ValueError(f"the pattern has no timestep {t} of codebook {q}")
        return [
            (step, coord)
            for step, coords in enumerate(self.layout)
            for coord in coords
            if coord.t == t and q in (None, coord.q)
        ]

    def get_steps_with_timestep(self, t: int, q: int | None = None) -> list[int]:
        """Return the steps that hold a token of that timestep."""
        return [step for step, _ in self.get_sequence_coords_with_timestep(t, q)]

    def get_first_step_with_timesteps(self, t: int, q: int | None = None) -> int | None:
        """Return the first step that holds a token of that timestep, None where there is none."""
        return next(iter(self.get_steps_with_timestep(t, q)), None)

    def build_pattern_sequence(
        self, z: Tensor, special_token: int, *, keep_only_valid_steps: bool = False
    ) -> Placed:
        """Spell codes `[B, K, T]` out as a sequence `[B, K, S]`, filled with the special token.

        Raises:
            ValueError: they have other codebooks than the pattern, or more timesteps.
        """
        timesteps = z.shape[-1]
        if timesteps > self.timesteps:
            raise ValueError(f"the pattern has {self.timesteps} timesteps and not {timesteps}")
        steps, s, t, q = self._known(z.shape[1], only_valid=keep_only_valid_steps, before=timesteps)
        targets = (q * steps + s, q * timesteps + t)
        return _taken(z, steps, targets, special_token)

    def revert_pattern_sequence(
        self, s: Tensor, special_token: int, *, keep_only_valid_steps: bool = False
    ) -> Placed:
        """Bring a sequence `[B, K, S]` back into codes `[B, K, T]`.

        Raises:
            ValueError: it has other codebooks than the pattern, or more steps.
        """
        targets = self._reverted(s.shape, 0, only_valid=keep_only_valid_steps)
        return _taken(s, self.timesteps, targets, special_token)

    def revert_pattern_logits(
        self, logits: Tensor, special_token: float, *, keep_only_valid_steps: bool = False
    ) -> Placed:
        """Bring what was predicted at a sequence `[B, card, K, S]` back: `[B, card, K, T]`.

        A step predicts the next one, so the last prediction belongs to nothing.

        Raises:
            ValueError: it has other codebooks than the pattern, or more steps.
        """
        targets = self._reverted(logits.shape[1:], 1, only_valid=keep_only_valid_steps)
        flat = logits.flatten(0, 1)
        values, index, mask = _taken(flat, self.timesteps, targets, special_token)
        return values.view(*logits.shape[:3], -1), index, mask

    def _known(
        self, n_q: int, *, only_valid: bool, before: int
    ) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
        """Return the number of steps, and step, timestep and codebook of every token that is."""
        if n_q != self.n_q:
            raise ValueError(f"the pattern is one of {self.n_q} codebooks and not of {n_q}")
        layout = self.valid_layout if only_valid else self.layout
        tokens = [(s, *coord) for s, coords in enumerate(layout) for coord in coords]
        s, t, q = np.array(tokens, dtype=np.int64).reshape(-1, 3).T
        is_known = t < before
        return len(layout), s[is_known], t[is_known], q[is_known]

    def _reverted(self, shape: Sequence[int], behind: int, *, only_valid: bool) -> Targets:
        _, n_q, steps = shape
        expected, s, t, q = self._known(n_q, only_valid=only_valid, before=self.timesteps)
        if steps > expected:
            raise ValueError(f"the pattern has {expected} steps and not {steps}")
        s = s - behind
        is_there = s < steps
        return (q * self.timesteps + t)[is_there], (q * steps + s)[is_there]


def _taken(source: Tensor, length: int, targets: Targets, filling: float) -> Placed:
    """Return `[B, K, length]`: at the targets what belongs there, the filling elsewhere."""
    n_q, there, taken = source.shape[1], *targets
    flat = source.flatten(1)
    indices, mask = np.full(n_q * length, flat.shape[1]), np.zeros(n_q * length, dtype=bool)
    indices[there], mask[there] = taken, True
    flat = torch.cat((flat, torch.full_like(flat[:, :1], filling)), dim=1)
    index, known = (torch.from_numpy(x).to(source.device).view(n_q, -1) for x in (indices, mask))
    return flat[:, index.flatten()].view(len(source), n_q, length), index, known


class CodebooksPatternProvider(ABC):
    """Makes the patterns of one order; each is made once."""

    def __init__(self, n_q: int, *, cached: bool = True) -> None:
        """Take the number of codebooks.

        Raises:
            ValueError: it is not positive.
        """
        if n_q < 1:
            raise ValueError(f"a pattern needs at least one codebook, not {n_q}")
        self.n_q = n_q
        self._kept: dict[int, Pattern] | None = {} if cached else None

    def get_pattern(self, timesteps: int) -> Pattern:
        """Return the pattern for that many timesteps."""
        pattern = None if self._kept is None else self._kept.get(timesteps)
        if pattern is None:
            pattern = Pattern(self.layout(timesteps), timesteps=timesteps, n_q=self.n_q)
        if self._kept is not None:
            self._kept[timesteps] = pattern
        return pattern

    @abstractmethod
    def layout(self, timesteps: int) -> PatternLayout:
        """Return the tokens of every step."""


class DelayedPatternProvider(CodebooksPatternProvider):
    """Every codebook stands a number of steps later than its timestep.

    ```text
    S 1 2 3 .
    S S 1 2 3
    ```

    The first `flatten_first` timesteps may be spelt out one token a step, after `empty_initial`
    steps that are empty.
    """

    def __init__(
        self,
        n_q: int,
        delays: Sequence[int] | None = None,
        *,
        flatten_first: int = 0,
        empty_initial: int = 0,
    ) -> None:
        """Take a delay for every codebook; by default each is one later than the one before.

        Raises:
            ValueError: the delays are not as many as codebooks, or do not ascend.
        """
        super().__init__(n_q)
        self.delays = _ascending("delays", list(range(n_q)) if delays is None else delays, n_q)
        self.flatten_first = flatten_first
        self.empty_initial = empty_initial

    def layout(self, timesteps: int) -> PatternLayout:
        """Return the tokens of every step."""
        first = self.flatten_first
        flat = product(range(min(timesteps, first)), range(self.n_q))
        start: list[list[LayoutCoord]] = [[] for _ in range(1 + self.empty_initial)]
        start += [[LayoutCoord(*coord)] for coord in flat]
        return start + _delayed(self.delays, range(first, timesteps + max(self.delays)), first)


class ParallelPatternProvider(DelayedPatternProvider):
    """All codebooks of a timestep stand at one step."""

    def __init__(self, n_q: int, *, empty_initial: int = 0) -> None:
        """Take the number of codebooks."""
        super().__init__(n_q, [0] * n_q, empty_initial=empty_initial)


class UnrolledPatternProvider(CodebooksPatternProvider):
    """A timestep takes several steps: `flattening` names the one each codebook stands at.

    Codebooks of one inner step may be delayed together, by timesteps.
    """

    def __init__(
        self,
        n_q: int,
        flattening: Sequence[int] | None = None,
        delays: Sequence[int] | None = None,
    ) -> None:
        """Take inner steps, by default one a codebook, and delays, by default none.

        Raises:
            ValueError: they are not as many as codebooks, do not ascend, or codebooks of one inner
                step are delayed differently.
        """
        super().__init__(n_q)
        inner = _ascending("flattening", range(n_q) if flattening is None else flattening, n_q)
        delays = _ascending("delays", [0] * n_q if delays is None else delays, n_q)
        self.max_delay = max(delays)
        self._delay_of = dict(zip(inner, delays, strict=True))
        if [self._delay_of[step] for step in inner] != delays:
            raise ValueError("codebooks of one inner step must have one delay")
        self._groups = [
            [q for q, of in enumerate(inner) if of == step] for step in range(inner[-1] + 1)
        ]

    def num_virtual_steps(self, timesteps: int) -> int:
        """Return how many steps so many timesteps take, the empty one included."""
        return timesteps * len(self._groups) + 1

    def layout(self, timesteps: int) -> PatternLayout:
        """Return the tokens of every step."""
        end = timesteps + self.max_delay
        at_time: list[tuple[int, list[LayoutCoord]]] = [(-1, [])]
        for t, (inner, group) in product(range(end), enumerate(self._groups)):
            time = t + self._delay_of.get(inner, 0)
            if time < end:
                at_time.append((time, [LayoutCoord(t, q) for q in group]))
        # what meets at one time stands in the order of its timesteps, and empty steps before it
        return [coords for _, coords in sorted(at_time)]


class CoarseFirstPattern(CodebooksPatternProvider):
    """The first codebook of all timesteps, then the others, delayed among themselves.

    What comes later stands at a place that depends on the number of timesteps: a model of this
    order must always generate as many as it was trained with.
    """

    def __init__(self, n_q: int, delays: Sequence[int] | None = None) -> None:
        """Take a delay for every codebook but the first; by default there is none.

        Raises:
            ValueError: there is one codebook, or the delays do not fit the others or do not ascend.
        """
        super().__init__(n_q)
        if n_q < 2:
            raise ValueError("there must be codebooks after the first")
        self.delays = _ascending("delays", [0] * (n_q - 1) if delays is None else delays, n_q - 1)

    def layout(self, timesteps: int) -> PatternLayout:
        """Return the tokens of every step."""
        coarse = [[LayoutCoord(t, 0)] for t in range(timesteps)]
        fine = _delayed(self.delays, range(timesteps + max(self.delays)), 0)
        later = [[LayoutCoord(t, q + 1) for t, q in coords] for coords in fine]
        return [[], *coarse, *later]


class MusicLMPattern(CodebooksPatternProvider):
    """One token a step: a group of codebooks over all timesteps, then the next group."""

    def __init__(self, n_q: int, group_by: int = 2) -> None:
        """Take the size of a group.

        Raises:
            ValueError: codebooks cannot be divided into such groups.
        """
        super().__init__(n_q)
        if group_by < 1 or n_q % group_by:
            raise ValueError(f"{n_q} codebooks make no groups of {group_by}")
        self.group_by = group_by

    def layout(self, timesteps: int) -> PatternLayout:
        """Return the tokens of every step."""
        groups = range(0, self.n_q, self.group_by)
        order = product(groups, range(timesteps), range(self.group_by))
        return [[], *([LayoutCoord(t, group + q)] for group, t, q in order)]


def _delayed(delays: Sequence[int], times: range, first: int) -> list[list[LayoutCoord]]:
    return [
        [LayoutCoord(t - delay, q) for q, delay in enumerate(delays) if t - delay >= first]
        for t in times
    ]


def _ascending(name: str, values: Sequence[int], count: int) -> list[int]:
    if len(values) != count or sorted(values) != list(values) or values[0] < 0:
        raise ValueError(f"{name} must be {count} ascending numbers, not {list(values)}")
    return list(values)
