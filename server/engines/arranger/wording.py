"""Cuts a musician's sentence into the words that may say how to play.

Knows clauses, tempo and key marks, what is turned into what, and what something is for. Knows no
instrument: the lexicon does.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

COMMA = ","
STOP = "."

_TURNING = frozenset(
    {
        "change",
        "convert",
        "make",
        "morph",
        "play",
        "reimagine",
        "remix",
        "render",
        "rework",
        "swap",
        "switch",
        "transform",
        "turn",
    }
)
_INTO = frozenset({"into", "to", "like", "as"})
_TEMPO = re.compile(r"\b\d{2,3}(?:[.,]\d+)? ?bpm\b")
_KEY = re.compile(r"\b[a-g](?:#|b| sharp| flat)?[ -](?:major|minor|maj|min)\b")
_TOKEN = re.compile(r"[a-z0-9]+|[,;:()]|[.!?\n]")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A prompt in pieces.

    Attributes:
        words: what may say how to play, in order, with `COMMA` and `STOP` between clauses.
        aside: words about use or about the source.
        facts: tempo and key marks, which belong to the source and are not changed.
    """

    words: tuple[str, ...]
    aside: tuple[str, ...]
    facts: tuple[str, ...]


def sentence(text: str, purposes: Iterable[tuple[str, ...]]) -> Sentence:
    """Return a prompt in pieces; `purposes` begin clauses such as "perfect for a film"."""
    plain = _plain(text)
    facts = tuple(_TEMPO.findall(plain) + _KEY.findall(plain))
    words = _tokens(_KEY.sub(" , ", _TEMPO.sub(" , ", plain)))
    words, source = _after_turning(words)
    words, use = _without_purposes(words, list(purposes))
    return Sentence(tuple(words), (*source, *use), facts)


def _plain(text: str) -> str:
    """Return lower case without accents, apostrophes and hyphens."""
    decomposed = unicodedata.normalize("NFKD", text.lower())
    letters = "".join(sign for sign in decomposed if not unicodedata.combining(sign))
    return re.sub(r"[-_/&]", " ", re.sub(r"['’]", "", letters))


def _tokens(plain: str) -> list[str]:
    marks = {";": COMMA, ":": COMMA, "(": COMMA, ")": COMMA, "!": STOP, "?": STOP, "\n": STOP}
    return [marks.get(token, token) for token in _TOKEN.findall(plain)]


def _after_turning(words: list[str]) -> tuple[list[str], list[str]]:
    """Cut what is turned into something: "turn my guitar into strings" is about strings."""
    turn = next((at for at, word in enumerate(words) if word in _TURNING), None)
    if turn is None:
        return words, []
    for at in range(turn, len(words)):
        if words[at] == STOP:
            break
        if words[at] in _INTO:
            return [*words[:turn], *words[at + 1 :]], words[turn:at]
    return words, []


def _without_purposes(
    words: list[str], purposes: list[tuple[str, ...]]
) -> tuple[list[str], list[str]]:
    """Cut clauses about use, each up to the end of its sentence."""
    kept: list[str] = []
    cut: list[str] = []
    target = kept
    for at, word in enumerate(words):
        if any(tuple(words[at : at + len(phrase)]) == phrase for phrase in purposes):
            target = cut
        if word == STOP:
            target = kept
        target.append(word)
    return kept, cut
