"""What words say of tempo, key and groove, and what each kind of arrangement has where they do not.

Read once from `styles.toml` and checked strictly. Knows words and numerals; nothing of instruments
(`lexicon`) and nothing of sound.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from server.engines.arranger import lexicon, wording
from server.engines.arranger.prompt import Reading
from server.media.key import Key, Mode
from variations.schema import Row

Value = TypeVar("Value")

SLOWEST_BPM, FASTEST_BPM = 50.0, 200.0

_SCALES: Mapping[Mode, tuple[int, ...]] = MappingProxyType(
    {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
)
_NUMERALS = ("i", "ii", "iii", "iv", "v", "vi", "vii")
_NUMERAL = re.compile(r"(b?)([ivIV]+)(°|maj7|7)?")
_FACT_KEY = re.compile(r"([a-g])(#|b| sharp| flat)?[ -](major|minor|maj|min)")
_LETTERS = MappingProxyType({"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11})
_ACCIDENTALS = MappingProxyType({"#": 1, " sharp": 1, "b": -1, " flat": -1})


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Style(_Strict):
    """How a kind of music usually goes.

    Attributes:
        name: what to call it.
        bases: the arrangements it is the style of.
        bpm: slowest and fastest usual tempo.
        mode: the usual one.
        loops: of each mode, chords by numerals, one a bar.
        bass: where in a bar a bass note begins.
        upper: where in a bar an accompaniment begins one.
    """

    name: str
    bases: list[str]
    bpm: tuple[int, int]
    mode: Mode
    loops: dict[Mode, list[str]]
    bass: Row
    upper: Row


class _Pace(_Strict):
    words: list[str]
    factor: float


class _Feeling(_Strict):
    words: list[str]
    mode: Mode


class _Table(_Strict):
    styles: list[Style]
    paces: list[_Pace]
    modes: list[_Feeling]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What words say of tempo and key; None where they say nothing.

    Attributes:
        bpm: the tempo.
        pace: a factor on the style's tempo.
        key: tonic and mode.
        mode: the mode alone.
        phrases: the words that said so, in order.
    """

    bpm: float | None = None
    pace: float | None = None
    key: Key | None = None
    mode: Mode | None = None
    phrases: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def _table() -> _Table:
    path = Path(__file__).with_name("styles.toml")
    return _Table.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))


def every() -> tuple[Style, ...]:
    """Return all styles, the plain one first."""
    return tuple(_table().styles)


def style_of(base: str | None) -> Style:
    """Return the style of an arrangement by its name; the plain one for all others."""
    found = every()
    return next((style for style in found if base in style.bases), found[0])


def base_of(reading: Reading) -> str | None:
    """Return which arrangement words were read as; None for named players alone."""
    return reading.base or reading.guessed


def asked(text: str) -> Asked:
    """Return what words say of tempo and key: "90 bpm", "in A minor", "slow", "sad"."""
    sentence = wording.sentence(text, lexicon.load().purposes)
    words = [*sentence.words, wording.STOP, *sentence.aside]
    pace = _first({word: pace.factor for pace in _table().paces for word in pace.words}, words)
    feeling = _first({word: each.mode for each in _table().modes for word in each.words}, words)
    bpm = next((fact for fact in sentence.facts if fact.endswith("bpm")), None)
    key = next((fact for fact in sentence.facts if not fact.endswith("bpm")), None)
    phrases = (bpm, key, *(found[0] for found in (pace, feeling) if found is not None))
    return Asked(
        bpm=None if bpm is None else _tempo(bpm),
        pace=None if pace is None else pace[1],
        key=None if key is None else key_of(key),
        mode=None if feeling is None else feeling[1],
        phrases=tuple(phrase for phrase in phrases if phrase is not None),
    )


def _first(table: Mapping[str, Value], words: list[str]) -> tuple[str, Value] | None:
    """Return the first phrase of a table among words, the longest at its place, and its value."""
    for at in range(len(words)):
        for size in (2, 1):
            phrase = " ".join(words[at : at + size])
            if phrase in table:
                return phrase, table[phrase]
    return None


def _tempo(fact: str) -> float:
    bpm = float(fact.removesuffix("bpm").strip().replace(",", "."))
    return min(max(bpm, SLOWEST_BPM), FASTEST_BPM)


def key_of(text: str) -> Key:
    """Return the key that words such as "f# minor" or "b flat major" name.

    Raises:
        ValueError: they name none.
    """
    found = _FACT_KEY.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} names no key")
    letter, accidental, mode = found.groups()
    tonic = (_LETTERS[letter] + _ACCIDENTALS.get(accidental or "", 0)) % 12
    return Key(tonic, "minor" if mode.startswith("min") else "major")


def chord_of(numeral: str, key: Key) -> tuple[int, str]:
    """Return the root (0–11) and the quality of a chord by its numeral in a key.

    Raises:
        ValueError: it is no numeral.
    """
    found = _NUMERAL.fullmatch(numeral)
    if found is None or found[2].lower() not in _NUMERALS:
        raise ValueError(f"{numeral!r} is no numeral of a chord")
    flat, degree, extra = found.groups()
    step = _SCALES[key.mode][_NUMERALS.index(degree.lower())] - bool(flat)
    if extra == "°":
        quality = "dim"
    elif extra == "maj7":
        quality = "maj7"
    else:
        quality = ("" if degree.isupper() else "m") + (extra or "")
    return (key.tonic + step) % 12, quality
