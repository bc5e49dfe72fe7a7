"""The words the arranger understands, read once from `lexicon.toml` and checked strictly.

Knows phrases and what each stands for; how a sentence is read is the business of `prompt`.
"""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

import variations
from variations.schema import Arrangement, Drums, Effect, Voice

Phrase = tuple[str, ...]

_LONGEST_PHRASE = 4
_SHORTEST_FUZZY = 5
_ALIKE = 0.88
"""Ratio of Ratcliff & Obershelp: `acordion` is like `accordion`, `celestial` not like `celesta`."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    words: list[str]


class Genre(_Entry):
    """A whole arrangement: a preset's name or one of the lexicon's own bases."""

    base: str


class Mood(_Entry):
    """A change to whatever plays."""

    effects: list[Effect] = Field(default_factory=list)
    pedal: bool = False
    drops: list[str] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Percussion:
    """A word that asks for a drummer."""


Meaning = Voice | Genre | Mood | Percussion


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """All phrases and what they stand for.

    Attributes:
        meanings: by phrase; a phrase may have several.
        bases: arrangement by the name a `Genre` has.
        kit: what a drummer plays who is asked for by no genre.
        negations: phrases after which a named thing is unwanted.
        purposes: phrases that begin a clause about use, not about sound.
        filler: words that say nothing about sound.
    """

    meanings: Mapping[Phrase, tuple[Meaning, ...]]
    bases: Mapping[str, Arrangement]
    kit: Drums
    negations: frozenset[Phrase]
    purposes: frozenset[Phrase]
    filler: frozenset[str]

    def longest(self, words: Sequence[str]) -> tuple[int, tuple[Meaning, ...]]:
        """Return how many of the first words make the longest known phrase, and what it stands for.

        Plurals count as their singular, and a single word may be misspelt a little. `(0, ())` where
        there is none.
        """
        for size in range(min(_LONGEST_PHRASE, len(words)), 0, -1):
            found = self._exact(tuple(words[:size]))
            if found:
                return size, found
        like = self._alike(words[0]) if words else ()
        return (1, like) if like else (0, ())

    def _exact(self, phrase: Phrase) -> tuple[Meaning, ...]:
        singular = (*phrase[:-1], phrase[-1].removesuffix("s"))
        return self.meanings.get(phrase) or self.meanings.get(singular) or ()

    def _alike(self, word: str) -> tuple[Meaning, ...]:
        if len(word) < _SHORTEST_FUZZY or word in self.filler:
            return ()
        singles = [
            phrase[0]
            for phrase in self.meanings
            if len(phrase) == 1 and len(phrase[0]) >= _SHORTEST_FUZZY and phrase[0][0] == word[0]
        ]
        near = difflib.get_close_matches(word, singles, n=1, cutoff=_ALIKE)
        return self.meanings[(near[0],)] if near else ()


@lru_cache(maxsize=1)
def load() -> Lexicon:
    """Return the arranger's own lexicon."""
    path = Path(__file__).with_name("lexicon.toml")
    return of_table(tomllib.loads(path.read_text(encoding="utf-8")))


def of_table(table: Mapping[str, Any]) -> Lexicon:
    """Return the lexicon of a table; every preset's name is a genre of its own.

    Raises:
        ValueError: the table is wrong: an unknown key, or a genre whose base does not exist.
    """
    presets = {name: preset.arrangement for name, preset in variations.load().items()}
    own = {name: Arrangement.model_validate(base) for name, base in table["bases"].items()}
    genres = [Genre.model_validate(entry) for entry in table["genres"]]
    genres += [Genre(words=[name.replace("_", " ")], base=name) for name in presets]
    bases = {**presets, **own}
    unknown = sorted({genre.base for genre in genres} - set(bases))
    if unknown:
        raise ValueError(f"lexicon.toml: no such base: {', '.join(unknown)}")
    moods = [Mood.model_validate(entry) for entry in table["moods"]]
    meanings = _instruments(table["instruments"])
    meanings += [(word, genre) for genre in genres for word in genre.words]
    meanings += [(word, mood) for mood in moods for word in mood.words]
    meanings += [(word, Percussion()) for word in table["drums"]]
    return Lexicon(
        meanings=MappingProxyType(_by_phrase(meanings)),
        bases=MappingProxyType(bases),
        kit=Drums.model_validate(table["kit"]),
        negations=_phrases(table["negations"]),
        purposes=_phrases(table["purposes"]),
        filler=frozenset(table["filler"]),
    )


def _instruments(entries: Sequence[Mapping[str, object]]) -> list[tuple[str, Meaning]]:
    """Return each word of each instrument with its voice, which is named by the first word."""
    found: list[tuple[str, Meaning]] = []
    for entry in entries:
        words = _Entry.model_validate({"words": entry["words"]}).words
        fields = {key: value for key, value in entry.items() if key != "words"}
        voice = Voice.model_validate({**fields, "name": words[0]})
        found += [(word, voice) for word in words]
    return found


def _by_phrase(pairs: Sequence[tuple[str, Meaning]]) -> dict[Phrase, tuple[Meaning, ...]]:
    meanings: dict[Phrase, tuple[Meaning, ...]] = {}
    for word, meaning in pairs:
        phrase = tuple(word.split())
        meanings[phrase] = (*meanings.get(phrase, ()), meaning)
    return meanings


def _phrases(texts: Sequence[str]) -> frozenset[Phrase]:
    return frozenset(tuple(text.split()) for text in texts)
