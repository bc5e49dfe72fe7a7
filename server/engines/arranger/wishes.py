"""What a sentence comes to: single wishes, each a known phrase and what is wanted of it."""

from dataclasses import dataclass

from server.engines.arranger.lexicon import Marker, Meaning, Percussion, Sound
from variations.schema import Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One phrase and what is wanted of it.

    Attributes:
        phrase: as it was typed, with what stands around it ("no drums") and, where it was misspelt,
            what it was taken for ("chello (cello)").
        meanings: what it stands for.
        stance: None where it is simply wanted.
        degree: how much: 1 plainly, less than 1 for "a bit", more for "very".
        clause: number of the clause it is in.
        family: the sounds that are meant where it names a family of instruments.
    """

    phrase: str
    meanings: tuple[Meaning, ...]
    stance: Marker | None = None
    degree: float = 1.0
    clause: int = 0
    family: frozenset[Sound] = frozenset()

    @property
    def is_wanted(self) -> bool:
        """Whether it shall sound."""
        return self.stance is None or self.stance is Marker.ADDED

    @property
    def is_plain_player(self) -> bool:
        """Whether it is an instrument or drums, of which nothing else was said yet."""
        is_player = any(isinstance(meaning, Voice | Percussion) for meaning in self.meanings)
        return is_player and self.is_wanted and self.degree == 1.0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a sentence asks for.

    Attributes:
        wishes: in order.
        ignored: words that say nothing the arranger knows, in order; filler is left out.
        is_only: whether nobody but the named players shall play.
    """

    wishes: tuple[Wish, ...]
    ignored: tuple[str, ...]
    is_only: bool
