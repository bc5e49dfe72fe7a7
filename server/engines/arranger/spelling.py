"""Misspelt words and the known word each of them must be.

Knows letters only. It is careful: a word of fewer than five letters, an ordinary word that happens
to be near a known one ("snake" and "snare") and another first letter are never corrected. Known
words are found by the letters they can lose (a deletion neighbourhood; Garbe, "SymSpell", 2012), so
that a long prompt costs no more than looking its words up.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from types import MappingProxyType

SHORTEST = 5
_LONG = 7
"""From this length on a wrong letter counts as a slip; before, most such pairs are two words."""

_VERY_LONG = 9
"""From this length on two slips are forgiven."""

_INFLECTED = ("ing", "ed")
"""Words that end so share their end with many others: one slip is all that is forgiven."""

_VOWELS = frozenset("aeiouy")
_LONGEST = 24


@dataclass(frozen=True, slots=True)
class Speller:
    """Known words by what is left of them without one or two letters.

    Attributes:
        words: the known words.
        ordinary: words that mean themselves, however near they are to a known one.
        index: known words by what is left of them.
    """

    words: frozenset[str]
    ordinary: frozenset[str]
    index: Mapping[str, tuple[str, ...]]

    def corrected(self, word: str) -> str | None:
        """Return the known word this one must be, itself if it is known; None if it is neither."""
        if word in self.words:
            return word
        if not SHORTEST <= len(word) <= _LONGEST or word in self.ordinary or not word.isalpha():
            return None
        near = {known for left in _lessened(word) for known in self.index.get(left, ())}
        ranked = sorted((slips(word, known), known) for known in near if known[0] == word[0])
        return next((known for count, known in ranked if _is_slip(word, known, count)), None)


def speller(words: Iterable[str], ordinary: Iterable[str]) -> Speller:
    """Return the speller of these words; only those of five letters and more are ever meant."""
    known = frozenset(words)
    index: dict[str, list[str]] = {}
    for word in sorted(known):
        if SHORTEST <= len(word) <= _LONGEST and word.isalpha():
            for left in _lessened(word):
                index.setdefault(left, []).append(word)
    frozen = {left: tuple(found) for left, found in index.items()}
    return Speller(known, frozenset(ordinary), MappingProxyType(frozen))


def _lessened(word: str) -> set[str]:
    """Return a word without one letter, and a very long one without two."""
    most = 2 if len(word) >= _VERY_LONG - 2 else 1
    return {
        "".join(letters)
        for count in range(most + 1)
        for letters in combinations(word, len(word) - count)
    }


def _is_slip(word: str, known: str, count: int) -> bool:
    """Return whether so many slips are few enough for a known word of that length."""
    if count != 1 or len(known) >= _LONG:
        is_long = len(known) >= _VERY_LONG and not word.endswith(_INFLECTED)
        return count <= (2 if is_long else 1)
    wrong = [(one, other) for one, other in zip(word, known, strict=False) if one != other]
    is_other_letter = len(word) == len(known) and len(wrong) == 1
    if not is_other_letter:
        return True
    return len(known) > SHORTEST and set(wrong[0]) <= _VOWELS


@lru_cache(maxsize=4096)
def slips(one: str, other: str) -> int:
    """Return how many letters were missed, added, mistaken or swapped with a neighbour.

    Damerau, "A technique for computer detection and correction of spelling errors" (1964).
    """
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        earlier, before, row = before, row, [i]
        for j, wanted in enumerate(other, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
    return row[-1]
