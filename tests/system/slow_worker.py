"""A worker with one more kind: `slow` marks each start and goes on when it is let go.

Run as `python slow_worker.py`; settings come from the environment, as for any worker.
"""

import ctypes
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from server import bootstrap
from server.config import Settings
from server.jobs.context import Context
from server.jobs.kind import JobSpec, Kinds


class SlowSpec(JobSpec):
    """Where to leave marks, which file lets it go on, and how it waits for that.

    In steps, or never to return from native code: asleep, which lets other threads have their
    turns, or holding them up.
    """

    marks: str
    go: str
    way: Literal["steps", "asleep", "holding"] = "steps"


class Slow:
    """Steps until its file appears, then stores its attempt."""

    NAME = "slow"
    QUEUE = "audio"
    SUMMARY = "Takes as long as a test wants."
    Spec = SlowSpec

    def run(self, spec: SlowSpec, ctx: Context) -> None:
        """Do it."""
        Path(spec.marks, f"{ctx.job.attempt}-{os.getpid()}").touch()
        _BLOCKS[spec.way]()
        step = 0
        while not Path(spec.go).exists():
            ctx.report(1 - 1 / (2 + step), stage="waiting")
            threading.Event().wait(0.02)
            step += 1
        data = str(ctx.job.attempt).encode()
        ctx.save(data, name="attempt.txt", media_type="text/plain")
        ctx.conclude(seed=None, report={}, recipe={})


def _hold() -> None:
    """Keep the interpreter's lock through a call that takes minutes."""
    ctypes.PyDLL(None).sleep(600)


def _sleep() -> None:
    """Wait for nothing in native code that lets others have their turns."""
    threading.Event().wait()


_BLOCKS: Mapping[str, Callable[[], None]] = {
    "steps": lambda: None,
    "asleep": _sleep,
    "holding": _hold,
}

KINDS: Kinds = {Slow.NAME: Slow()}


def main() -> None:
    """Work until told to stop."""
    settings = Settings.from_environment()
    url = str(settings.redis_url)
    bootstrap.worker(settings, url, queues=["audio"], kinds=KINDS, engines={}).serve()


if __name__ == "__main__":
    main()
