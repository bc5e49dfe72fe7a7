"""Opens engines in a worker and keeps them: loading is slow, so the last ones used stay.

Knows the table of engines and nothing of jobs. What a module or an engine may have beyond its duty
is asked for by name: `devices` and `files` of a module, `close` and `rest` of an engine.
"""

import gc
import importlib
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from server import errors
from server.config import Settings
from server.engines.catalog import ENGINES, Availability, Device, EngineCard
from server.engines.checkpoints import ondisk
from server.engines.checkpoints.ondisk import OnProgress
from server.engines.protocols import OnStep, tell_nobody

log = logging.getLogger(__name__)

REMEMBERED_SECONDS = 60.0
"""How long an engine that could not be loaded is not tried again, unless its files change."""

_NO_ROOM = "There is not enough memory to load it."
_UNREADABLE = "Its files could not be read."


class EngineModule(Protocol):
    """What the module named on an engine's card has.

    It may also have `devices(settings) -> Iterable[Device]`, the cards it sees, and
    `files(settings) -> Iterable[Path]`: when one of them changes, a load that failed is tried anew.
    """

    def open_engine(self, settings: Settings, *, on_step: OnStep = tell_nobody) -> Any:
        """Return the engine, ready to work.

        It may have `close()`, called when it is unloaded, and `rest()`, called after every job to
        give back what only that job needed. `on_step` may raise to stop the load.

        Raises:
            errors.EngineUnavailable: what it needs is missing, damaged or taken; says what.
            errors.OutOfMemory: there is no room for it.
            errors.DeviceLost: the device does not answer.
        """
        ...

    def availability(self, settings: Settings) -> Availability:
        """Say whether it would work here, without loading it."""
        ...


_Stamp = Sequence[tuple[str, int, int] | None]


@dataclass(frozen=True, slots=True)
class _Failure:
    """A load that failed: why, when, and how the files looked that it was made from."""

    reason: str
    at: float
    files: _Stamp


class Residency:
    """The engines of one worker process.

    One thread opens and unloads; others may ask what there is.
    """

    def __init__(self, settings: Settings, *, engines: Mapping[str, EngineCard] = ENGINES) -> None:
        """Take the settings engines are opened with, and the table of them, best first."""
        self._settings = settings
        self._engines = engines
        self._open: dict[str, Any] = {}
        self._used_at: dict[str, float] = {}
        self._failures: dict[str, _Failure] = {}

    def offers(self) -> dict[str, Availability]:
        """Return what each engine of the table says of this machine."""
        return {name: self._offer(card) for name, card in self._engines.items()}

    def available(self) -> list[str]:
        """Return the names of the engines that work here."""
        return [name for name, offer in self.offers().items() if offer.available]

    def devices(self) -> list[Device]:
        """Return the cards that the engines see, each once."""
        found: dict[str, Device] = {}
        for card in self._engines.values():
            found |= {device.id: device for device in _devices(card, self._settings)}
        return list(found.values())

    def open(self, name: str, capability: str, *, on_step: OnStep = tell_nobody) -> tuple[str, Any]:
        """Return the name and the engine; `auto` takes the first that can and that loads.

        `on_step` hears of a load only: once before it begins, then of the loader's own steps.

        Raises:
            errors.EngineUnavailable: none can do it here, with the reasons.
            errors.EngineFailed: the named one could not be loaded.
        """
        reasons = []
        for card in self._engines.values() if name == "auto" else [self._engines[name]]:
            if capability not in card.offers:
                reasons.append(f"{card.name} does not offer that")
                continue
            try:
                engine = self._opened(card, on_step)
            except (errors.EngineUnavailable, errors.EngineFailed) as error:
                if name != "auto" and isinstance(error, errors.EngineFailed):
                    raise
                reasons.append(f"{card.name}: {error.message}")
            else:
                return card.name, engine
        raise errors.EngineUnavailable("; ".join(reasons) or None)

    def pull(self, name: str, *, on_progress: OnProgress) -> Mapping[str, Any]:
        """Fetch weights to where the engines look for them, and return facts about them.

        Raises:
            errors.InvalidInput: they may not be had here; names `name`.
            errors.Unavailable: the hub cannot be reached, or a library is missing.
            errors.StorageFailed: there is no room, or what came is damaged.
        """
        return ondisk.pull(self._settings, name, on_progress=on_progress)

    def loaded(self) -> list[str]:
        """Return the names of the engines in memory."""
        return list(self._open)

    def rest(self) -> None:
        """Have every open engine give back what only the last job needed."""
        for engine in self._open.values():
            _ask(engine, "rest")

    def unload(self) -> list[str]:
        """Forget every open engine and return their names."""
        return self._forget(self.loaded())

    def unload_idle(self) -> list[str]:
        """Forget engines unused for longer than the setting allows and return their names."""
        allowed = self._settings.engine_idle_seconds
        since = time.monotonic() - allowed
        return self._forget([name for name, at in self._used_at.items() if allowed and at < since])

    def _opened(self, card: EngineCard, on_step: OnStep) -> Any:
        offer = self._offer(card)
        if not offer.available:
            raise errors.EngineUnavailable(offer.reason or None)
        if card.name not in self._open:
            self._open[card.name] = self._load(card, on_step)
        self._used_at[card.name] = time.monotonic()
        return self._open[card.name]

    def _load(self, card: EngineCard, on_step: OnStep) -> Any:
        log.info("loading engine %s", card.name)
        on_step(0, 1)
        files = _stamp(card, self._settings)
        try:
            engine = self._load_with_room(card, on_step)
        except (errors.EngineUnavailable, errors.EngineFailed) as error:
            log.warning("engine %s could not be loaded: %s", card.name, error.message)
            self._failures[card.name] = _Failure(error.message, time.monotonic(), files)
            raise
        self._failures.pop(card.name, None)
        return engine

    def _load_with_room(self, card: EngineCard, on_step: OnStep) -> Any:
        """Load an engine; others leave for it, the one unused longest first."""
        while True:
            try:
                return _module(card).open_engine(self._settings, on_step=on_step)
            except OSError as error:
                raise errors.EngineUnavailable(_UNREADABLE) from error
            except MemoryError:
                if not self._open:
                    raise errors.OutOfMemory(_NO_ROOM) from None
            except errors.OutOfMemory:
                if not self._open:
                    raise
            # only now: an error that is being handled keeps what its loader had made so far
            oldest = min(self._used_at, key=lambda name: self._used_at[name])
            log.info("engine %s leaves to make room for %s", oldest, card.name)
            self._forget([oldest])

    def _forget(self, names: Sequence[str]) -> list[str]:
        for name in names:
            del self._used_at[name]
            _ask(self._open.pop(name), "close")
        if names:
            gc.collect()  # networks refer to themselves: without this their memory stays
        return list(names)

    def _offer(self, card: EngineCard) -> Availability:
        failure = self._failures.get(card.name)
        if failure is not None and self._still_holds(failure, card):
            return Availability(available=False, reason=failure.reason)
        try:
            return _module(card).availability(self._settings)
        except (errors.EngineUnavailable, errors.DeviceLost) as error:
            return Availability(available=False, reason=str(error) or str(error.__doc__))

    def _still_holds(self, failure: _Failure, card: EngineCard) -> bool:
        is_recent = time.monotonic() - failure.at < REMEMBERED_SECONDS
        return is_recent and failure.files == _stamp(card, self._settings)


def _ask(engine: Any, wish: str) -> None:
    """Do what an engine may have a method for."""
    method = getattr(engine, wish, None)
    if method is None:
        return
    try:
        method()
    except errors.MelodyflowError as error:
        log.warning("an engine would not %s: %s", wish, error.message)


def _devices(card: EngineCard, settings: Settings) -> Iterable[Device]:
    try:
        look = getattr(_module(card), "devices", None)
        return look(settings) if look is not None else ()
    except (errors.EngineUnavailable, errors.DeviceLost):
        return ()


def _stamp(card: EngineCard, settings: Settings) -> _Stamp:
    """Return how the files that an engine is made of look from outside."""
    files = getattr(_module(card), "files", None)
    return [] if files is None else [_look(path) for path in files(settings)]


def _look(path: Path) -> tuple[str, int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return str(path), facts.st_mtime_ns, facts.st_size


def _module(card: EngineCard) -> EngineModule:
    """Return the module of an engine.

    Raises:
        errors.EngineUnavailable: it cannot be imported here, for want of a library.
    """
    try:
        return cast("EngineModule", importlib.import_module(card.module))
    except (ImportError, OSError) as error:
        name = getattr(error, "name", None) or "a library"
        raise errors.EngineUnavailable(f"It needs {name}, which does not load here.") from error
