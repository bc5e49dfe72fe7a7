"""Words as they were typed and the known words they stand for: slips of spelling, "drumless"."""

from dataclasses import dataclass

from server.engines.arranger.lexicon import Lexicon, Percussion
from server.engines.arranger.wording import MARKS
from variations.schema import Voice

_LESS, _NO = "less", "no"


@dataclass(frozen=True, slots=True)
class Spelt:
    """A word as it was typed, which may be nothing, and the one it stands for."""

    typed: str
    meant: str


def read(word: str, known: Lexicon) -> tuple[Spelt, ...]:
    """Return a word and what it stands for: "no" and "drum" for "drumless"."""
    stem = word.removesuffix(_LESS)
    if stem not in ("", word):
        _, meanings = known.longest([stem])
        if any(isinstance(meaning, Voice | Percussion) for meaning in meanings):
            return Spelt(word, _NO), Spelt("", stem)
    return (Spelt(word, _meant(word, known)),)


def _meant(word: str, known: Lexicon) -> str:
    """Return the word itself, or the known word it is misspelt for."""
    speller = known.speller
    if word in MARKS or word in known.filler or known.longest([word])[0]:
        return word
    singular = word.removesuffix("s")
    return speller.corrected(word) or speller.corrected(singular) or word
