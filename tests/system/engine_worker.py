"""A worker with a kind that plays on scripted engines: they load, fail and die as a job says.

Run it as a module; settings come from the environment, as for any worker.

This module is also that of the engine `frail`, which is made of the file `weights` in the data
directory and needs the card that is there while the file `card` is; while the file `slow` is there
its load goes on. `steady` needs nothing.
"""

import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from server import bootstrap, errors
from server.config import Settings
from server.engines.catalog import Availability, Device, EngineCard
from server.engines.protocols import OnStep, tell_nobody
from server.jobs.context import Context
from server.jobs.kind import JobSpec, Kinds

DAMAGED = "The checksum of the weights is wrong."

NEEDED = "It needs 4096 MB; 512 MB of 8192 MB are free."


class PlaySpec(JobSpec):
    """Which engine, and what happens in each attempt: `play`, `lose`, `crash`, `overfill`."""

    engine: str = "auto"
    acts: Sequence[str] = ("play",)


class Play:
    """Has the engine do what the attempt's act says, and stores who did it."""

    NAME = "play"
    QUEUE = "audio"
    CAPABILITY = "plays"
    SUMMARY = "Plays, or fails as told."
    Spec = PlaySpec

    def run(self, spec: PlaySpec, ctx: Context) -> None:
        """Do it."""
        engine: Engine = ctx.engine(spec.engine, self.CAPABILITY)
        engine.act(spec.acts[min(ctx.job.attempt, len(spec.acts)) - 1])
        ctx.save(str(os.getpid()).encode(), name="pid.txt", media_type="text/plain")
        ctx.conclude(seed=None, report={}, recipe={})


class Engine:
    """Does as it is told, holding a buffer meanwhile."""

    def __init__(self) -> None:
        self._held = bytearray()

    def act(self, act: str) -> None:
        """Play or fail."""
        self._held = bytearray(64 * 2**20)
        match act:
            case "lose":
                raise errors.DeviceLost("an illegal address was met")
            case "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "overfill":
                raise errors.OutOfMemory(NEEDED)

    def rest(self) -> None:
        """Let go of the buffer."""
        self._held = bytearray()


def open_engine(settings: Settings, *, on_step: OnStep = tell_nobody) -> Engine:
    """Return an engine, unless its weights are damaged."""
    on_step(0, 2)
    weights = settings.data_dir / "weights"
    if weights.exists() and weights.read_text() == "damaged":
        raise errors.EngineUnavailable(DAMAGED)
    while (settings.data_dir / "slow").exists():
        threading.Event().wait(0.02)
        on_step(1, 2)
    on_step(2, 2)
    return Engine()


def availability(settings: Settings) -> Availability:
    """Say that it works while there is a card."""
    has_card = settings.device != "cpu" and (settings.data_dir / "card").exists()
    return Availability(available=has_card, reason="" if has_card else "There is no card.")


def devices(settings: Settings) -> list[Device]:
    """Return the card, while there is one."""
    if not (settings.data_dir / "card").exists():
        return []
    return [Device(id="GPU-1", name="A card", total_mb=8192.0, used_mb=512.0)]


def files(settings: Settings) -> list[Path]:
    """Return what the engine is made of."""
    return [settings.data_dir / "weights"]


def _card(name: str, module: str) -> EngineCard:
    return EngineCard(
        name=name, module=module, offers=frozenset({"plays"}), summary="", licence="MIT"
    )


KINDS: Kinds = {Play.NAME: Play()}

ENGINES: Mapping[str, EngineCard] = {
    "frail": _card("frail", __name__),
    "steady": _card("steady", "tests.system.steady_engine"),
}


def main() -> int:
    """Work until told to stop."""
    settings = Settings.from_environment()
    url = str(settings.redis_url)
    bootstrap.ANNOUNCE_SECONDS = 0.2  # tests wait for what it says of itself
    return bootstrap.worker(settings, url, queues=["audio"], kinds=KINDS, engines=ENGINES).serve()


if __name__ == "__main__":
    sys.exit(main())
