"""What the table of engines needs of `melodyflow`: would it work here, and how is it opened.

Imports nothing heavy: every worker asks `availability`, and only one that opens it needs torch.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from server import errors
from server.config import Settings
from server.engines.catalog import Availability, Device
from server.engines.checkpoints import loading, store
from server.engines.checkpoints.cards import Family
from server.engines.checkpoints.store import Missing, Weights
from server.engines.hardware import device
from server.engines.hardware.device import CardsUnseen, Held
from server.engines.protocols import OnStep, tell_nobody

if TYPE_CHECKING:
    from audiocraft.models import MelodyFlow

    from server.engines.melodyflow.engine import MelodyFlowEngine

STEPS = 5
"""Of a load: the files are proven, the codec, the flow model, the texts, the first use."""


def availability(settings: Settings) -> Availability:
    """Say whether it would work here, by what is installed, on disk and in the machine."""
    return loading.availability(settings, _find(settings))


def devices(settings: Settings) -> Sequence[Device]:
    """Return the cards of this machine; none where they do not answer, or are not to be used."""
    if settings.device == device.CPU:
        return ()
    try:
        return device.see_cards()
    except (CardsUnseen, ImportError):
        return ()


def files(settings: Settings) -> Sequence[Path]:
    """Return what it is made of: when one of them changes, a load that failed is tried again."""
    return store.files(settings, settings.melodyflow_model, Family.FLOW)


def open_engine(settings: Settings, *, on_step: OnStep = tell_nobody) -> "MelodyFlowEngine":
    """Return the engine with its weights where they will run, and the place for it alone.

    Raises:
        errors.EngineUnavailable: weights or a place are missing, damaged or taken.
        errors.OutOfMemory: there is no room for it.
        errors.DeviceLost: the card does not answer.
    """
    found = _find(settings)
    if isinstance(found, Missing):
        raise errors.EngineUnavailable(found.reason)
    held = device.take(settings)
    try:
        with loading.told():
            return _opened(settings, found, held, on_step)
    except BaseException:
        held.give_up()
        raise


def _find(settings: Settings) -> Weights | Missing:
    return store.find(settings, settings.melodyflow_model, Family.FLOW)


def _opened(settings: Settings, found: Weights, held: Held, on_step: OnStep) -> "MelodyFlowEngine":
    from server.engines.melodyflow.engine import MelodyFlowEngine  # noqa: PLC0415 - torch
    from server.engines.melodyflow.inversions import Inversions  # noqa: PLC0415
    from server.engines.melodyflow.memory import Memory  # noqa: PLC0415

    found = store.proven(found, settings)
    on_step(1, STEPS)
    model, precision = _model(found, held.place.name, on_step)
    engine = MelodyFlowEngine(
        model,
        identity=loading.identity(found, held, precision),
        memory=Memory(held),
        inversions=Inversions(megabytes=settings.inversion_cache_megabytes),
    )
    engine.warm()
    on_step(STEPS, STEPS)
    return engine


def _model(found: Weights, place: str, on_step: OnStep) -> "tuple[MelodyFlow, str]":
    """Return the model and the precision of its products."""
    import torch  # noqa: PLC0415 - large; only a worker that opens the engine pays for it
    from audiocraft.models import MelodyFlow, loaders  # noqa: PLC0415
    from transformers.utils import logging  # noqa: PLC0415

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    codec = loaders.load_compression_model(found.codec, place)
    on_step(2, STEPS)
    lm = loaders.load_dit_model_melodyflow(found.model, place)
    on_step(3, STEPS)
    lm.condition_provider.description.use_encoder(found.text_encoder)
    on_step(4, STEPS)
    is_half = place != device.CPU and torch.cuda.is_bf16_supported()
    lm.fuse(precision=torch.bfloat16 if is_half else None, is_sole=is_half)
    model = MelodyFlow(found.name, codec, lm, loaders.window_seconds(found.model))
    return model, "bfloat16" if is_half else "float32"
