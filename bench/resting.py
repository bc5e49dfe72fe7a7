"""A worker whose only kind takes its time and nothing else: what a worker costs beside its work.

Run as `python -m bench.resting`; settings come from the environment, as for any worker.
"""

import sys
import threading

from server import bootstrap
from server.config import Settings
from server.jobs.context import Context
from server.jobs.kind import JobSpec, Kinds

STEPS = 10


class Rest(JobSpec):
    """How long."""

    seconds: float


class Resting:
    """Waits in steps."""

    NAME = "rest"
    QUEUE = "audio"
    SUMMARY = "Takes its time."
    Spec = Rest

    def run(self, spec: Rest, ctx: Context) -> None:
        """Wait."""
        on_step = ctx.stage("resting", 0.0, 1.0)
        for done in range(1, STEPS + 1):
            threading.Event().wait(spec.seconds / STEPS)
            on_step(done, STEPS)
        ctx.conclude(seed=None, report={}, recipe={})


KINDS: Kinds = {Resting.NAME: Resting()}


def main() -> int:
    """Work until told to stop."""
    settings = Settings.from_environment()
    url = str(settings.redis_url)
    return bootstrap.worker(settings, url, queues=["audio"], kinds=KINDS, engines={}).serve()


if __name__ == "__main__":
    sys.exit(main())
