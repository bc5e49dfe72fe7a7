"""From briefs to edits: which of them share an inversion, and how far the work is.

Knows the choices of an edit and nothing of networks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from audiocraft.models.melodyflow import Editing
from audiocraft.models.solvers import Draw, Regularization
from torch import Tensor

from server.engines.protocols import Brief, OnStep

EULER_STEPS, MIDPOINT_STEPS = 25, 64
"""Steps where nobody chose any; the midpoint solver counts half steps and takes no other number."""

REGULARIZATION = Regularization(iterations=2, keep_last=1, weight=0.2)
"""Of every euler inversion; the midpoint solver has none."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Briefs with one inversion.

    Attributes:
        places: where the briefs stand among all.
        prompts: their words, in the same order.
    """

    editing: Editing
    seed: int
    places: tuple[int, ...]
    prompts: tuple[str, ...]


def editing_of(brief: Brief) -> Editing:
    """Return the edit that a brief asks for."""
    if brief.solver == "midpoint":
        return Editing(solver="midpoint", steps=MIDPOINT_STEPS, target_flowstep=brief.flowstep)
    return Editing(
        steps=brief.steps or EULER_STEPS,
        target_flowstep=brief.flowstep,
        regularization=REGULARIZATION,
    )


def is_identity(brief: Brief) -> bool:
    """Whether a brief asks for the source itself."""
    return brief.flowstep >= 1.0


def grouped(briefs: Sequence[Brief]) -> list[Group]:
    """Return the edits to be made; briefs that differ in words alone are one group."""
    groups: dict[tuple[Editing, int], list[int]] = {}
    for place, brief in enumerate(briefs):
        if not is_identity(brief):
            groups.setdefault((editing_of(brief), brief.seed), []).append(place)
    return [
        Group(
            editing=editing,
            seed=seed,
            places=tuple(places),
            prompts=tuple(briefs[place].prompt for place in places),
        )
        for (editing, seed), places in groups.items()
    ]


def noise_of(seed: int) -> Draw:
    """Return the noise of a seed: the same sequence on every device."""
    generator = torch.Generator().manual_seed(seed)

    def draw(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator).to(like)

    return draw


def paced(on_step: OnStep, device: torch.device) -> OnStep:
    """Return an `on_step` that tells of what a card has done, not of what it was told to do.

    A card takes orders long before it carries them out. Each step waits for the one before, so the
    card always has the next one in hand, and a stop comes at most two steps late.
    """
    if device.type != "cuda":
        return on_step
    ordered: list[torch.cuda.Event] = []

    def report(done: int, total: int) -> None:
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        ordered.append(event)
        if len(ordered) > 1:
            ordered.pop(0).synchronize()
        on_step(done, total)

    return report


class Ledger:
    """Progress over stages that follow each other; it never falls, even where one is repeated."""

    def __init__(self, on_step: OnStep, total: int) -> None:
        """Take whom to tell, and the units of all stages together."""
        self._on_step = on_step
        self._total = total
        self._begun = 0
        self._furthest = 0

    def stage(self, units: int) -> Callable[[int, int], None]:
        """Return the `on_step` of the next stage."""
        start = self._begun
        self._begun += units

        def report(done: int, total: int) -> None:
            self._furthest = max(self._furthest, start + units * done // max(total, 1))
            self._on_step(self._furthest, self._total)

        return report
