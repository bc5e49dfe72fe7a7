"""What the parts of an arrangement are called, in orders, reports, stems and notes."""

from typing import Literal

from variations.schema import Arrangement

DRUMS = "drums"
HALO = "halo"

Hit = Literal["kick", "snare", "hat"]


def stroke_part(player: str, hit: Hit) -> str:
    """Return the name of the part that plays one kind of a drummer's hits on an instrument."""
    return f"{player}, {hit}"


def names(arrangement: Arrangement) -> tuple[str, ...]:
    """Return all parts an arrangement may have: players, their strokes or the kit, the halo."""
    found = [voice.name for voice in arrangement.voices]
    if arrangement.drums is None:
        found += [stroke_part(each.part, hit) for hit, each in arrangement.strokes.items()]
    else:
        found.append(DRUMS)
    return (*found, HALO) if arrangement.halo is not None else tuple(found)
