"""Opens engines in a worker and keeps them: loading is slow, so the last ones used stay.

Knows the table of engines and nothing of jobs.
"""

import importlib
import logging
import time
from collections.abc import Mapping
from typing import Any, Protocol, cast

from server import errors
from server.config import Settings
from server.engines.catalog import ENGINES, Availability, EngineCard

log = logging.getLogger(__name__)


class EngineModule(Protocol):
    """What the module named on an engine's card has."""

    def open_engine(self, settings: Settings) -> Any:
        """Return the engine, ready to work."""
        ...

    def availability(self, settings: Settings) -> Availability:
        """Say whether it would work here, without loading it."""
        ...


class Residency:
    """The engines of one worker process."""

    def __init__(self, settings: Settings, *, engines: Mapping[str, EngineCard] = ENGINES) -> None:
        """Take the settings engines are opened with, and the table of them, best first."""
        self._settings = settings
        self._engines = engines
        self._open: dict[str, Any] = {}
        self._used_at: dict[str, float] = {}

    def offers(self) -> dict[str, Availability]:
        """Return what each engine of the table says of this machine."""
        return {name: self._availability(card) for name, card in self._engines.items()}

    def open(self, name: str, capability: str) -> tuple[str, Any]:
        """Return the name and the engine; `auto` takes the first available that can.

        Raises:
            errors.EngineUnavailable: none can do it here.
        """
        card = self._choose(name, capability)
        if card.name not in self._open:
            log.info("loading engine %s", card.name)
            self._open[card.name] = _module(card).open_engine(self._settings)
        self._used_at[card.name] = time.monotonic()
        return card.name, self._open[card.name]

    def loaded(self) -> list[str]:
        """Return the names of the engines in memory."""
        return list(self._open)

    def unload(self) -> list[str]:
        """Forget every open engine and return their names."""
        names = list(self._open)
        self._open.clear()
        self._used_at.clear()
        return names

    def unload_idle(self) -> list[str]:
        """Forget engines unused for longer than the setting allows and return their names."""
        allowed = self._settings.engine_idle_seconds
        since = time.monotonic() - allowed
        idle = [name for name, at in self._used_at.items() if allowed and at < since]
        for name in idle:
            del self._open[name], self._used_at[name]
        return idle

    def _choose(self, name: str, capability: str) -> EngineCard:
        cards = self._engines.values() if name == "auto" else [self._engines[name]]
        reasons = []
        for card in cards:
            if capability not in card.offers:
                reasons.append(f"{card.name} does not offer that")
                continue
            availability = self._availability(card)
            if availability.available:
                return card
            reasons.append(f"{card.name}: {availability.reason}")
        raise errors.EngineUnavailable("; ".join(reasons) or None)

    def _availability(self, card: EngineCard) -> Availability:
        return _module(card).availability(self._settings)


def _module(card: EngineCard) -> EngineModule:
    return cast("EngineModule", importlib.import_module(card.module))
