"""What the table of engines needs of `musicgen`: would it work here, and how is it opened.

Imports nothing heavy: every worker asks `availability`, and only one that opens it needs torch.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from server import errors
from server.config import Settings
from server.engines.catalog import Availability
from server.engines.checkpoints import loading, store
from server.engines.checkpoints.cards import Family
from server.engines.checkpoints.store import Missing, Weights
from server.engines.hardware import device
from server.engines.protocols import OnStep, tell_nobody

if TYPE_CHECKING:
    from server.engines.musicgen.engine import MusicGenEngine


def availability(settings: Settings) -> Availability:
    """Say whether it would work here, by what is installed, on disk and in the machine."""
    return loading.availability(settings, usual(settings))


def files(settings: Settings) -> Sequence[Path]:
    """Return what it is made of: when one of them changes, a load that failed is tried again."""
    return [
        settings.weights_dir,
        *store.files(settings, settings.musicgen_model, Family.LANGUAGE),
    ]


def usual(settings: Settings) -> Weights | Missing:
    """Return the weights for jobs that name none: those of the settings, else the first here."""
    chosen = store.find(settings, settings.musicgen_model, Family.LANGUAGE)
    if isinstance(chosen, Weights) or chosen.is_damaged:
        return chosen
    others = (
        store.find_stored(settings, each.name, each.family)
        for each in store.kept(settings)
        if each.family is Family.LANGUAGE
    )
    return next((found for found in others if isinstance(found, Weights)), chosen)


def open_engine(settings: Settings, *, on_step: OnStep = tell_nobody) -> "MusicGenEngine":
    """Return the engine with the usual weights where they will run, and the place for it.

    Raises:
        errors.EngineUnavailable: weights or a place are missing, damaged or taken.
        errors.OutOfMemory: there is no room for it.
        errors.DeviceLost: the card does not answer.
    """
    found = usual(settings)
    if isinstance(found, Missing):
        raise errors.EngineUnavailable(found.reason)
    held = device.take(settings)
    try:
        from server.engines.hardware.memory import WorkingMemory  # noqa: PLC0415
        from server.engines.musicgen import shelf  # noqa: PLC0415 - torch
        from server.engines.musicgen.engine import MusicGenEngine  # noqa: PLC0415

        found = store.proven(found, settings)
        on_step(1, shelf.STEPS)
        network = shelf.opened(found, held, on_step)
        memory = WorkingMemory(held)
        return MusicGenEngine(
            shelf.Shelf(settings, held, memory, usual=found, network=network), memory=memory
        )
    except BaseException:
        held.give_up()
        raise
