"""Who plays, and how often: engines that go on with music, and their takes.

A take with a fault is followed by one of the next seed, up to a bound. Knows engines and faults;
what becomes of a take it does not know.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server import errors
from server.engines.catalog import ENGINES
from server.engines.protocols import Continuation, OnStep
from server.jobs.context import Context

if TYPE_CHECKING:
    from server.media.endings import Fault

PLAYED_INSTEAD = "{message} {engine} played instead."
NOT_USED = "The weights {model} were not used: {engine} played."
NO_GOOD_TAKE = "No take was without fault; the best of {count} was kept. {words}"

_FIRST_SHARE = 0.85
"""Of the progress of all takes: most jobs need one."""

Play = Callable[[Any, int, OnStep], Continuation]
"""Called with an engine, the number of the take, and what follows it."""


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """What was played once.

    Attributes:
        seed: it was drawn from.
        played: what the engine returned.
        faults: where the music stopped by itself.
    """

    seed: int
    played: Continuation
    faults: "Sequence[Fault]"

    @property
    def silent_seconds(self) -> float:
        """How much of it is missing."""
        return sum(fault.seconds for fault in self.faults)

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as plain JSON values."""
        return {"seed": self.seed, "faults": [fault.as_dict() for fault in self.faults]}


@dataclass(frozen=True, slots=True, eq=False)
class Takes:
    """All that was played for one piece of music."""

    made: tuple[Take, ...]

    @property
    def best(self) -> int:
        """The place of the one that stops least; the first of equals."""
        return min(range(len(self.made)), key=lambda place: self.made[place].silent_seconds)

    @property
    def chosen(self) -> Take:
        """The best one."""
        return self.made[self.best]

    @property
    def notices(self) -> tuple[str, ...]:
        """What the musician should read of them."""
        if not self.chosen.faults:
            return ()
        words = " ".join(dict.fromkeys(fault.words for fault in self.chosen.faults))
        return (NO_GOOD_TAKE.format(count=len(self.made), words=words),)


class Player:
    """An engine of a job.

    Where `auto` chose one that has not the weights asked for, the next best plays, and says so.

    Attributes:
        notices: sentences about who plays.
    """

    def __init__(self, name: str, capability: str, ctx: Context) -> None:
        """Open the engine."""
        self.notices: list[str] = []
        self._may_change = name == "auto"
        self._capability = capability
        self._ctx = ctx
        self._engine: Any = ctx.engine(name, capability)

    @property
    def name(self) -> str:
        """Of the engine."""
        return str(self._ctx.job.engine)

    def takes(
        self,
        play: Play,
        judge: "Callable[[Continuation], Sequence[Fault]]",
        *,
        seed: int,
        most: int,
        share: tuple[float, float],
    ) -> Takes:
        """Play until a take is without fault, `most` times at most; `share` is of the progress."""
        made: list[Take] = []
        while len(made) < most and (not made or made[-1].faults):
            number = len(made)
            on_step = self._ctx.stage("playing", *_part(share, number, most))
            played = self._played(play, number, on_step)
            made.append(Take(seed + number, played, judge(played)))
        return Takes(tuple(made))

    def _played(self, play: Play, number: int, on_step: OnStep) -> Continuation:
        try:
            return play(self._engine, number, on_step)
        except errors.InvalidInput as refusal:
            if refusal.field != "model" or not self._may_change:
                raise
            self._change(refusal)
            return play(self._engine, number, on_step)

    def _change(self, refusal: errors.InvalidInput) -> None:
        """Open the next best engine.

        Raises:
            errors.InvalidInput: there is none.
        """
        able = [name for name, card in ENGINES.items() if self._capability in card.offers]
        for name in able[able.index(self.name) + 1 :]:
            try:
                self._engine = self._ctx.engine(name, self._capability)
            except errors.EngineUnavailable:
                continue
            self.notices.append(PLAYED_INSTEAD.format(message=refusal.message, engine=name))
            return
        raise refusal

    def unused(self, model: str, played: Continuation) -> tuple[str, ...]:
        """Return a notice where other weights played than were asked for."""
        is_used = model.rpartition("/")[2] in played.model.get("name", "")
        if is_used or self.notices:
            return ()
        return (NOT_USED.format(model=model, engine=self.name),)


def _part(share: tuple[float, float], number: int, most: int) -> tuple[float, float]:
    """Return the part of the progress that a take has."""
    start, end = share
    first = start + (end - start) * (_FIRST_SHARE if most > 1 else 1.0)
    if not number:
        return start, first
    step = (end - first) / (most - 1)
    return first + (number - 1) * step, first + number * step
