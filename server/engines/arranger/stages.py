"""Progress of work that has stages: each has its share of the whole."""

from server.engines.protocols import OnStep

STEPS = 1000
"""Total of `on_step` of one piece of work."""


def share(on_step: OnStep, start: int, end: int, *, of: int = STEPS) -> OnStep:
    """Return an `on_step` for a stage that has the share from `start` to `end` of the whole."""

    def report(done: int, total: int) -> None:
        on_step(start + (end - start) * done // max(total, 1), of)

    return report
