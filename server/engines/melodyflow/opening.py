"""What the table of engines needs of `melodyflow`: would it work here, and how is it opened.

Imports nothing heavy: every worker asks `availability`, and only one that opens it needs torch.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from server import errors
from server.config import Settings
from server.engines.catalog import Availability, Device
from server.engines.checkpoints import store
from server.engines.checkpoints.cards import Family
from server.engines.checkpoints.store import Missing, Weights
from server.engines.hardware import device
from server.engines.hardware.device import CardsUnseen, Held, NoPlace
from server.engines.hardware.faults import is_fatal, shortage_of
from server.engines.protocols import OnStep, tell_nobody

if TYPE_CHECKING:
    from audiocraft.models import MelodyFlow

    from server.engines.melodyflow.engine import MelodyFlowEngine

LIBRARIES = ("torch", "transformers", "safetensors", "yaml")

STEPS = 5
"""Of a load: the files are proven, the codec, the flow model, the texts, the first use."""


def availability(settings: Settings) -> Availability:
    """Say whether it would work here, by what is installed, on disk and in the machine."""
    lacking = [name for name in LIBRARIES if find_spec(name) is None]
    if lacking:
        return Availability(
            available=False,
            reason=f"It needs {lacking[0]}, which is not installed.",
            advice="Install the extra: pip install 'melodyflow[gpu]'.",
        )
    for obstacle in (_find(settings), device.choose(settings)):
        if isinstance(obstacle, Missing | NoPlace):
            return Availability(available=False, reason=obstacle.reason, advice=obstacle.advice)
    return Availability(available=True)


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
        with _told():
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
        identity=_identity(found, held, precision),
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


def _identity(found: Weights, held: Held, precision: str) -> Mapping[str, str]:
    return {
        "name": found.name,
        "revision": found.revision,
        "checksum": found.checksum,
        "device": held.place.title,
        "precision": precision,
    }


@contextmanager
def _told() -> Iterator[None]:
    """Turn what a load can meet into what the product knows."""
    from audiocraft.models.checkpoints import InvalidCheckpoint  # noqa: PLC0415

    try:
        yield
    except (InvalidCheckpoint, ValueError) as error:
        raise errors.EngineUnavailable(f"Its weights cannot be used: {error}") from error
    except RuntimeError as error:
        if (shortage := shortage_of(error)) is not None:
            raise errors.OutOfMemory(f"There is no room for its weights: {shortage}.") from error
        if is_fatal(error):
            raise errors.DeviceLost(device.LOST) from error
        raise
