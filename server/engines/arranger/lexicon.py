"""The words the arranger understands, read once from `lexicon.toml` and checked strictly.

Knows phrases and what each stands for; how a sentence is read is the business of `clauses`.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

import variations
from server.engines.arranger import spelling
from server.engines.arranger.spelling import Speller
from variations.schema import Arrangement, Drums, Effect, Kit, Voice

Phrase = tuple[str, ...]
Sound = int | str
"""A General MIDI program, or a synthesized voice by name."""

RoleName = Literal["line", "riff", "melody", "bass", "chords", "arpeggio"]

LONGEST_PHRASE = 4
"""Words."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    words: list[str]


class Genre(_Entry):
    """A whole arrangement: a preset's name or one of the lexicon's own bases.

    A `weak` one gives the base only where no other genre and no instrument is named.
    """

    base: str
    weak: bool = False


class Mood(_Entry):
    """A change to whatever plays.

    Attributes:
        effects: what is put on the bus, in place of the same kind.
        less: what is put there instead where the mood is not wanted ("not too bright"); without it
            its effects are taken away or made weaker.
        pedal: tones ring on.
        articulation: how every player of the sound bank touches the notes.
        drops: roles that fall silent.
        adds: instruments that join softly, by their words.
        doubles: the music also sounds an octave lower.
        octave: octaves everybody moves by.
        polyphony: most notes at once of whoever plays the music itself.
    """

    effects: list[Effect] = Field(default_factory=list)
    less: list[Effect] = Field(default_factory=list)
    pedal: bool = False
    articulation: Literal["natural", "bowed", "plucked"] | None = None
    drops: list[RoleName] = Field(default_factory=list)
    adds: list[str] = Field(default_factory=list)
    doubles: bool = False
    octave: Annotated[int, Field(ge=-2, le=2)] = 0
    polyphony: Annotated[int, Field(ge=1, le=12)] | None = None


class Percussion(_Entry):
    """A word that asks for a drummer, of a certain kit or of any."""

    kit: Kit | None = None


class Part(_Entry):
    """A word for whoever has a role: "the melody"."""

    role: RoleName


class Kept(StrEnum):
    """What of the source a musician may want to keep."""

    VOCALS = "vocals"
    REST = "rest"
    ALWAYS = "always"
    """Notes, harmony and time: the arranger never changes them."""


@dataclass(frozen=True, slots=True)
class Name:
    """A name that holds words of sound without meaning them: "beach house"."""


Meaning = Name | Voice | Genre | Mood | Percussion | Part | Kept


class Marker(StrEnum):
    """What a small word does with what follows it."""

    UNWANTED = "unwanted"
    REPLACED = "replaced"
    LESS = "less"
    KEPT = "kept"
    ADDED = "added"
    ONLY = "only"
    ALONE = "alone"
    """After a player: "piano, nothing else"."""

    GONE = "gone"
    """After a player who is replaced: "the guitar should be replaced by"."""

    OWN = "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """All phrases and what they stand for.

    Attributes:
        meanings: by phrase, its words joined: "synth wave" is "synthwave".
        bases: arrangement by the name a `Genre` has.
        families: which sounds "no guitars" sends away, by joined phrase.
        kit: what a drummer plays who is asked for by no genre.
        markers: by phrase.
        degrees: by phrase, by how much what follows is meant.
        purposes: phrases that begin a clause about use, not about sound.
        filler: words that say nothing about sound.
        speller: of all words above.
    """

    meanings: Mapping[str, tuple[Meaning, ...]]
    bases: Mapping[str, Arrangement]
    families: Mapping[str, frozenset[Sound]]
    kit: Drums
    markers: Mapping[Phrase, Marker]
    degrees: Mapping[Phrase, float]
    purposes: frozenset[Phrase]
    filler: frozenset[str]
    speller: Speller

    def longest(self, words: Sequence[str]) -> tuple[int, tuple[Meaning, ...]]:
        """Return how many of the first words make the longest known phrase, and what it stands for.

        Plurals count as their singular, and degrees of a mood ("darker") as the mood. `(0, ())`
        where there is none.
        """
        for size in range(min(LONGEST_PHRASE, len(words)), 0, -1):
            found = self._exact(words[:size])
            if found:
                return size, found
        return 0, ()

    def family(self, words: Sequence[str]) -> frozenset[Sound]:
        """Return the sounds a phrase names as a family ("guitars"); empty where it is none."""
        joined = "".join(words)
        return self.families.get(joined) or self.families.get(joined.removesuffix("s"), frozenset())

    def _exact(self, phrase: Sequence[str]) -> tuple[Meaning, ...]:
        before = "".join(phrase[:-1])
        for form in _plural_forms(phrase[-1]):
            if before + form in self.meanings:
                return self.meanings[before + form]
        for form in _compared_forms(phrase[-1]):
            kinds = Mood | Genre if form.endswith("y") else Mood
            found = self.meanings.get(before + form, ())
            if any(isinstance(meaning, kinds) for meaning in found):
                return tuple(meaning for meaning in found if isinstance(meaning, kinds))
        return ()


def _plural_forms(word: str) -> Iterator[str]:
    """Yield a word and what it may be the plural of."""
    yield word
    if word.endswith("s"):
        yield word[:-1]
    if word.endswith("es"):
        yield word[:-2]


def _compared_forms(word: str) -> Iterator[str]:
    """Yield what an adjective may be a degree of: "darker", "wetter", "moodier", "softly"."""
    for ending in ("er", "est", "ish", "ly", "ened", "en"):
        if word.endswith(ending):
            stem = word.removesuffix(ending)
            yield stem
            yield stem + "e"
            if stem.endswith("i"):
                yield stem[:-1] + "y"
            if stem[-2:-1] == stem[-1:]:
                yield stem[:-1]


class _Presets(tuple[tuple[str, Arrangement], ...]):
    """Names and arrangements, the same key while they are the same objects: they have no hash."""

    __slots__ = ()

    def __hash__(self) -> int:
        return hash(tuple((name, id(arrangement)) for name, arrangement in self))


def load() -> Lexicon:
    """Return the arranger's own lexicon, in which every preset there is has its name."""
    presets = variations.load()
    return _loaded(_Presets((name, preset.arrangement) for name, preset in presets.items()))


@lru_cache(maxsize=2)
def _loaded(presets: _Presets) -> Lexicon:
    path = Path(__file__).with_name("lexicon.toml")
    return of_table(tomllib.loads(path.read_text(encoding="utf-8")), dict(presets))


def of_table(table: Mapping[str, Any], presets: Mapping[str, Arrangement]) -> Lexicon:
    """Return the lexicon of a table; every preset's name is a genre of its own.

    Raises:
        ValueError: the table is wrong: an unknown key, or a genre whose base does not exist.
    """
    own = {name: Arrangement.model_validate(base) for name, base in table["bases"].items()}
    bases = {**presets, **own}
    entries = [*_entries(table), *_names(presets)]
    unknown = {each.base for _, each in entries if isinstance(each, Genre)} - set(bases)
    if unknown:
        raise ValueError(f"lexicon.toml: no such base: {', '.join(sorted(unknown))}")
    markers = {name: _phrases(texts) for name, texts in table["markers"].items()}
    degrees = {each["factor"]: _phrases(each["words"]) for each in table["degrees"]}
    return Lexicon(
        meanings=MappingProxyType(_by_phrase(entries)),
        bases=MappingProxyType(bases),
        families=MappingProxyType(_families(table["families"])),
        kit=Drums.model_validate(table["kit"]),
        markers=MappingProxyType({p: Marker(name) for name, some in markers.items() for p in some}),
        degrees=MappingProxyType({p: factor for factor, some in degrees.items() for p in some}),
        purposes=_phrases(table["purposes"]),
        filler=frozenset(table["filler"]),
        speller=spelling.speller(
            [*_likely_meant(entries), *table["misspelt_markers"]],
            [*table["ordinary"], *table["filler"], *_words_of(markers), *_words_of(degrees)],
        ),
    )


def _words_of(phrases: Mapping[Any, frozenset[Phrase]]) -> set[str]:
    return {word for some in phrases.values() for phrase in some for word in phrase}


def _entries(table: Mapping[str, Any]) -> list[tuple[str, Meaning]]:
    """Return every phrase of the table with one meaning; a phrase may come several times."""
    kinds: Mapping[str, type[Genre | Mood | Percussion | Part]] = {
        "genres": Genre,
        "moods": Mood,
        "drums": Percussion,
        "parts": Part,
    }
    found = _instruments(table["instruments"])
    for name, kind in kinds.items():
        meant = [kind.model_validate(entry) for entry in table[name]]
        found += [(word, meaning) for meaning in meant for word in meaning.words]
    found += [(text, Name()) for text in table["names"]]
    found += [(word, Kept(name)) for name, words in table["kept"].items() for word in words]
    return found


def _likely_meant(entries: Sequence[tuple[str, Meaning]]) -> set[str]:
    """Return the words that stand for something alone, and those that instruments' names hold."""
    alone = {text for text, _ in entries if " " not in text}
    named = [text for text, meaning in entries if isinstance(meaning, Voice)]
    return alone | {word for text in named for word in text.split()}


def _names(presets: Mapping[str, Arrangement]) -> list[tuple[str, Meaning]]:
    """Return the presets' names as words: "jazz trio"."""
    words = [(name, name.replace("_", " ")) for name in presets]
    return [(text, Genre(words=[text], base=name)) for name, text in words]


def _instruments(entries: Sequence[Mapping[str, object]]) -> list[tuple[str, Meaning]]:
    """Return each word of each instrument with its voice, which is named by the first word."""
    found: list[tuple[str, Meaning]] = []
    for entry in entries:
        words = _Entry.model_validate({"words": entry["words"]}).words
        fields = {key: value for key, value in entry.items() if key != "words"}
        voice = Voice.model_validate({**fields, "name": words[0]})
        found += [(word, voice) for word in words]
    return found


def _by_phrase(pairs: Sequence[tuple[str, Meaning]]) -> dict[str, tuple[Meaning, ...]]:
    """Return meanings by joined phrase.

    A preset that is called as an instrument is a weak genre: "jazz with choir" is jazz.
    """
    meanings: dict[str, tuple[Meaning, ...]] = {}
    for text, meaning in pairs:
        joined = text.replace(" ", "")
        before = meanings.get(joined, ())
        if isinstance(meaning, Genre) and any(isinstance(each, Genre) for each in before):
            continue
        is_player = any(isinstance(each, Voice) for each in before)
        if isinstance(meaning, Genre) and is_player:
            meanings[joined] = (*before, meaning.model_copy(update={"weak": True}))
        else:
            meanings[joined] = (*before, meaning)
    return meanings


def _families(entries: Sequence[Mapping[str, Any]]) -> dict[str, frozenset[Sound]]:
    return {
        word.replace(" ", ""): frozenset(entry["sounds"])
        for entry in entries
        for word in entry["words"]
    }


def _phrases(texts: Sequence[str]) -> frozenset[Phrase]:
    return frozenset(tuple(text.split()) for text in texts)
