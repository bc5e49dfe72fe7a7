"""A worker with one more kind: `slow` marks each start and goes on when it is let go.

Run as `python slow_worker.py`; settings come from the environment, as for any worker.
"""

import os
import threading
from pathlib import Path

from server import bootstrap
from server.config import Settings
from server.jobs.context import Context
from server.jobs.kind import JobSpec, Kinds


class SlowSpec(JobSpec):
    """Where to leave marks, and which file lets it go on."""

    marks: str
    go: str


class Slow:
    """Steps until its file appears, then stores its attempt."""

    NAME = "slow"
    QUEUE = "audio"
    SUMMARY = "Takes as long as a test wants."
    Spec = SlowSpec

    def run(self, spec: SlowSpec, ctx: Context) -> None:
        """Do it."""
        Path(spec.marks, f"{ctx.job.attempt}-{os.getpid()}").touch()
        step = 0
        while not Path(spec.go).exists():
            ctx.report(1 - 1 / (2 + step), stage="waiting")
            threading.Event().wait(0.02)
            step += 1
        data = str(ctx.job.attempt).encode()
        ctx.save(data, name="attempt.txt", media_type="text/plain")
        ctx.conclude(seed=None, report={}, recipe={})


KINDS: Kinds = {Slow.NAME: Slow()}


def main() -> None:
    """Work until told to stop."""
    settings = Settings.from_environment()
    url = str(settings.redis_url)
    bootstrap.worker(settings, url, queues=["audio"], kinds=KINDS, engines={}).serve()


if __name__ == "__main__":
    main()
