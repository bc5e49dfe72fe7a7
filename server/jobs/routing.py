"""Chooses whose job it is where workers differ: that of those with the best engine for it.

Without this a worker without a card would play on the CPU what another one's card could play.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from server.engines.catalog import EngineCard
from server.jobs.kind import Kinds
from server.jobs.ports import WorkerNote, WorkerStore
from server.jobs.record import Job


@dataclass(frozen=True, kw_only=True)
class Router:
    """Looks at what live workers say of themselves.

    Attributes:
        engines: the table of them, best first.
        within: workers that were silent for longer do not count.
    """

    workers: WorkerStore
    kinds: Kinds
    engines: Mapping[str, EngineCard]
    within: timedelta

    def engine_for(self, job: Job) -> str | None:
        """Return the engine whose workers should have a job, None where any worker may.

        Any worker may where all have the engine, so that jobs are done in order; and where none
        has it, so that one of them says so.
        """
        notes = self.workers.live(self.within)
        for name in self._wanted(job):
            having = [note for note in notes if _has(note, name)]
            if having:
                return None if len(having) == len(notes) else name
        return None

    def expected(self, job: Job) -> str | None:
        """Return the engine that a job would get as workers are now, None where none has one."""
        notes = self.workers.live(self.within)
        able = (name for name in self._wanted(job) if any(_has(note, name) for note in notes))
        return next(able, None)

    def _wanted(self, job: Job) -> Sequence[str]:
        capability = getattr(self.kinds.get(job.kind), "CAPABILITY", None)
        able = [name for name, card in self.engines.items() if capability in card.offers]
        named = job.spec.get("engine", "auto")
        return able if named == "auto" else [name for name in able if name == named]


def _has(note: WorkerNote, engine: str) -> bool:
    return any(offer.engine == engine and offer.available for offer in note.offers)
