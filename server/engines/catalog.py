"""The table of engines: all that the web process knows about them.

`module` is a string on purpose: only a worker imports it, so nothing heavy is ever reached from the
web process. `server.engines.residency.EngineModule` says what the module has.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCard:
    """What is true of an engine everywhere.

    Attributes:
        name: what clients call it.
        module: import string of its module.
        offers: capabilities (names of protocols in `server.engines.protocols`, in lower case).
        summary: one sentence for people.
        licence: of code and of what it plays with.
        heeds: parameters of a transform that not every engine has a use for.
    """

    name: str
    module: str
    offers: frozenset[str]
    summary: str
    licence: str
    heeds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """Whether an engine works on this machine, why not or not fully, and the command that helps."""

    available: bool
    reason: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A card that networks can run on, as it is now. `id` names it among all machines' cards."""

    id: str
    name: str
    total_mb: float
    used_mb: float


_CARDS = (
    EngineCard(
        name="melodyflow",
        module="server.engines.melodyflow.opening",
        offers=frozenset({"transforms", "inpaints"}),
        summary=(
            "Meta's MelodyFlow: inverts a clip to a flow step and plays it again under other "
            "words, on a graphics card."
        ),
        licence="code MIT; weights CC-BY-NC-4.0 (Meta), no commercial use; text encoder Apache-2.0",
    ),
    EngineCard(
        name="musicgen",
        module="server.engines.musicgen.opening",
        offers=frozenset({"continues", "generates"}),
        summary=(
            "Meta's MusicGen: goes on with a clip or begins from words, token by token, on a"
            " graphics card."
        ),
        licence="code MIT; weights CC-BY-NC-4.0 (Meta), no commercial use; text encoder Apache-2.0",
    ),
    EngineCard(
        name="arranger",
        module="server.engines.arranger.engine",
        offers=frozenset({"transforms", "inpaints", "continues", "generates"}),
        summary=(
            "Hears the notes, chords and drums of a clip and plays them with other instruments, "
            "on the CPU."
        ),
        licence="MIT; transcription network Apache-2.0; sound bank FluidR3Mono MIT",
        heeds=frozenset({"bpm", "key", "keep_drums", "layers", "parts", "stems", "midi"}),
    ),
)

ENGINES: Mapping[str, EngineCard] = {card.name: card for card in _CARDS}
"""By name, best first: `auto` takes the first that is available."""
