"""What is wanted of single parts of an arrangement: mute, another seed, another gain.

Knows names; nothing of notes or sound.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import get_args

from server import errors
from server.engines.protocols import PartChoice
from variations import parts
from variations.schema import Arrangement

_HITS = get_args(parts.Hit)
_AS_WRITTEN = PartChoice()
_NONE: Mapping[str, PartChoice] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Choices:
    """Choices by the name of a part; the kit is "drums", the sustain layer "halo".

    What is wanted of a player is wanted of the strokes it plays in place of a drummer too, unless
    they are named themselves ("cello, kick").

    Attributes:
        of_parts: by name.
        as_written: no player has a whim: for music that is written note by note already.
    """

    of_parts: Mapping[str, PartChoice] = field(default_factory=lambda: _NONE)
    as_written: bool = False

    def of(self, name: str) -> PartChoice:
        """Return what is wanted of a part."""
        own = self.of_parts.get(name)
        if own is None:
            player, _, hit = name.rpartition(", ")
            own = self.of_parts.get(player) if hit in _HITS else None
        return _AS_WRITTEN if own is None else own

    def seed_of(self, name: str, seed: int) -> int:
        """Return what a part's chances are drawn from: its own seed, or the one of all."""
        own = self.of(name).seed
        return seed if own is None else own

    def whim_of(self, name: str, seed: int) -> int:
        """Return what a player's whims are drawn from; 0 is none."""
        return 0 if self.as_written else self.seed_of(name, seed)

    def gain_of(self, name: str) -> float:
        """Return the factor a part is louder than the arrangement has it; 0 where it is mute."""
        choice = self.of(name)
        return 0.0 if choice.mute else float(10.0 ** (choice.gain_db / 20.0))


def chosen(wanted: Mapping[str, PartChoice], arrangement: Arrangement) -> Choices:
    """Return the choices for an arrangement.

    Raises:
        errors.InvalidInput: it has no part of such a name; names `parts` and those it has.
    """
    known = parts.names(arrangement)
    strange = [name for name in wanted if name not in known]
    if strange:
        raise errors.InvalidInput(
            f"There is no part {strange[0]!r} in this arrangement; it has {', '.join(known)}.",
            field="parts",
        )
    return Choices(wanted)
