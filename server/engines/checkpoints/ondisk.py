"""The store of weights as jobs see it: they name weights, and it fetches those that may be had."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

from server import errors
from server.config import Settings
from server.engines.checkpoints import cards

LIBRARIES = ("torch", "safetensors", "huggingface_hub", "yaml")
"""What fetching needs; conversion sees that a model can be built of what came."""


OnProgress = Callable[[float, str], None]
"""Called with the share of bytes that is done and the name of the stage; may raise to stop."""


def pull(settings: Settings, name: str, *, on_progress: OnProgress) -> Mapping[str, Any]:
    """Fetch weights, unless they are here and intact, and return facts about them.

    Raises:
        errors.InvalidInput: they may not be had here; names `name`.
        errors.Unavailable: the hub cannot be reached, or a library is missing.
        errors.StorageFailed: there is no room, or what came is damaged.
    """
    card = cards.offered(settings.musicgen_finetunes).get(name)
    if card is None:
        raise errors.InvalidInput("There are no weights of that name to be had.", field="name")
    lacking = [each for each in LIBRARIES if find_spec(each) is None]
    if lacking:
        raise errors.Unavailable(f"Fetching weights needs {lacking[0]}, which is not here.")
    from server.engines.checkpoints import pull as pulling  # noqa: PLC0415 - large libraries

    manifest = pulling.pull(settings, card, on_progress=on_progress)
    model = manifest.origins.get("model")
    return {
        "name": manifest.name,
        "licence": manifest.licence,
        "meaning": card.meaning,
        "revision": model.revision if model else "",
        "precision": manifest.precision,
        "size_bytes": sum(each.size for each in manifest.files.values()),
    }
