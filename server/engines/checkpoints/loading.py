"""What opening any network has in common: whether it would work here, and what a load can meet.

Imports nothing heavy: every worker asks, and only one that opens an engine needs torch.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec

from server import errors
from server.config import Settings
from server.engines.catalog import Availability
from server.engines.checkpoints.store import Missing, Weights
from server.engines.hardware import device
from server.engines.hardware.device import Held, NoPlace
from server.engines.hardware.faults import is_fatal, shortage_of

LIBRARIES = ("torch", "transformers", "safetensors", "yaml")


def availability(settings: Settings, found: Weights | Missing) -> Availability:
    """Say whether weights would play here, by what is installed, on disk and in the machine."""
    lacking = [name for name in LIBRARIES if find_spec(name) is None]
    if lacking:
        return Availability(
            available=False,
            reason=f"It needs {lacking[0]}, which is not installed.",
            advice="Install the extra: pip install 'melodyflow[gpu]'.",
        )
    for obstacle in (found, device.choose(settings)):
        if isinstance(obstacle, Missing | NoPlace):
            return Availability(available=False, reason=obstacle.reason, advice=obstacle.advice)
    return Availability(available=True)


def identity(found: Weights, held: Held, precision: str) -> Mapping[str, str]:
    """Return who plays, for recipes."""
    return {
        "name": found.name,
        "revision": found.revision,
        "checksum": found.checksum,
        "device": held.place.title,
        "precision": precision,
    }


@contextmanager
def told() -> Iterator[None]:
    """Turn what a load can meet into what the product knows.

    Raises:
        errors.EngineUnavailable: the weights cannot be used.
        errors.OutOfMemory: there is no room for them.
        errors.DeviceLost: the card does not answer.
    """
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
