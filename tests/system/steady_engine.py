"""The module of an engine that needs no card, for `engine_worker`."""

from server.config import Settings
from server.engines.catalog import Availability
from server.engines.protocols import OnStep, tell_nobody
from tests.system.engine_worker import Engine


def open_engine(settings: Settings, *, on_step: OnStep = tell_nobody) -> Engine:
    """Return an engine."""
    del settings, on_step
    return Engine()


def availability(settings: Settings) -> Availability:
    """Say that it works."""
    del settings
    return Availability(available=True)
