"""Cuts a musician's sentence into the words that may say how to play.

Knows clauses, tempo and key marks, what is turned into what, and what something is for. Knows no
instrument: the lexicon does.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

COMMA = ","
STOP = "."
MARKS = frozenset({COMMA, STOP})

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
        "transform",
        "turn",
    }
)
_TAKES_TO = frozenset({"change", "convert", "morph", "transform", "turn"})
"""Verbs with which "to" says what becomes of something; one does not make something to a harp."""

_INTO = frozenset({"into", "becomes", "become"})
_LIKE = frozenset({"like", "as"})
_PRONOUNS = frozenset({"it", "this", "that", "everything", "them", "all"})
_RESUMING = frozenset(
    {
        "add",
        "but",
        "instead",
        "just",
        "keep",
        "make",
        "no",
        "not",
        "only",
        "plus",
        "please",
        "replace",
        "use",
        "with",
        "without",
    }
)
"""After a comma these end a clause about use: "for a film, but without drums"."""

_FROM_TO_WORDS = 6
_TEMPO = re.compile(r"\b\d{2,3}(?:[.,]\d+)? ?bpm\b")
_KEY = re.compile(r"\b[a-g](?:#|b| sharp| flat)?[ -](?:major|minor|maj|min)\b")
_TOKEN = re.compile(r"[^\W_]+|[,;:()]|[.!?\n]")
_ARROW = re.compile(r"\s*[-=]+>\s*|→")
_AND = re.compile(r"[&+]| n ")
_WITHOUT = re.compile(r"\bw/o(?:ut)?\b")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A prompt in pieces.

    Attributes:
        words: what may say how to play, in order, with `COMMA` and `STOP` between clauses.
        aside: words about use or about the source.
        source: those of them that say what is turned into something.
        facts: tempo and key marks, which belong to the source and are not changed.
    """

    words: tuple[str, ...]
    aside: tuple[str, ...]
    facts: tuple[str, ...]
    source: tuple[str, ...] = ()


def sentence(text: str, purposes: Iterable[tuple[str, ...]]) -> Sentence:
    """Return a prompt in pieces; `purposes` begin clauses such as "perfect for a film"."""
    plain = _plain(text)
    facts = tuple(_TEMPO.findall(plain) + _KEY.findall(plain))
    words = _tokens(_KEY.sub(" , ", _TEMPO.sub(" , ", plain)))
    words, source = _after_turning(words)
    words, use = _without_purposes(words, list(purposes))
    return Sentence(tuple(words), (*source, *use), facts, tuple(source))


def plain_words(text: str) -> tuple[str, ...]:
    """Return the words of a text as a sentence holds them, without marks."""
    return tuple(word for word in _tokens(_plain(text)) if word not in MARKS)


def _plain(text: str) -> str:
    """Return lower case without accents, apostrophes and hyphens."""
    decomposed = unicodedata.normalize("NFKD", text.lower())
    latin = re.sub(r"([a-z])[\u0300-\u036f]+", r"\1", decomposed)
    letters = unicodedata.normalize("NFKC", latin)
    spelt = _WITHOUT.sub("without", _ARROW.sub(" into ", letters))
    joined = _AND.sub(" and ", spelt)
    return re.sub(r"[-_/]", " ", re.sub(r"['’]", "", joined))


def _tokens(plain: str) -> list[str]:
    marks = {";": COMMA, ":": COMMA, "(": COMMA, ")": COMMA, "!": STOP, "?": STOP, "\n": STOP}
    return [marks.get(token, token) for token in _TOKEN.findall(plain)]


def _after_turning(words: list[str]) -> tuple[list[str], list[str]]:
    """Cut what is turned into something: "turn my guitar into strings" is about strings."""
    turn = next((at for at, word in enumerate(words) if word in _TURNING), None)
    target = None if turn is None else _target_of(words, turn)
    if turn is not None and target is not None:
        before = [*words[:turn], COMMA] if turn else []
        return [*before, *words[target + 1 :]], words[turn:target]
    return _after_plain_into(words)


def _target_of(words: Sequence[str], turn: int) -> int | None:
    """Return where it is said what becomes of the thing that a verb turns, or None."""
    crossed_comma = False
    for at in range(turn + 1, len(words)):
        word = words[at]
        if word == STOP:
            return None
        crossed_comma = crossed_comma or word == COMMA
        if word in _INTO:
            return at
        if crossed_comma:
            continue
        if word == "to" and words[turn] in _TAKES_TO:
            return at
        if word in _LIKE and not _says_how(words[turn + 1 : at]):
            return at
    return None


def _says_how(middle: Sequence[str]) -> bool:
    """Return whether words between verb and "like" say how to play: "make it dark like"."""
    return len(middle) > 1 and middle[0] in _PRONOUNS


def _after_plain_into(words: list[str]) -> tuple[list[str], list[str]]:
    """Cut what comes before "into" without a verb, and between "from" and "to"."""
    if "into" in words:
        target = words.index("into")
        stops = [at for at, word in enumerate(words[:target]) if word == STOP]
        begin = stops[-1] + 1 if stops else 0
        return [*words[:begin], *words[target + 1 :]], words[begin:target]
    if "from" in words:
        begin = words.index("from")
        near = words[begin : begin + _FROM_TO_WORDS]
        if "to" in near and not MARKS & set(near[: near.index("to")]):
            target = begin + near.index("to")
            return [*words[:begin], *words[target + 1 :]], words[begin:target]
    return words, []


def _without_purposes(
    words: list[str], purposes: list[tuple[str, ...]]
) -> tuple[list[str], list[str]]:
    """Cut clauses about use, each up to the end of its sentence or to "…, but with …"."""
    kept: list[str] = []
    cut: list[str] = []
    target = kept
    for at, word in enumerate(words):
        if any(tuple(words[at : at + len(phrase)]) == phrase for phrase in purposes):
            target = cut
        resumes = word == COMMA and at + 1 < len(words) and words[at + 1] in _RESUMING
        if word == STOP or resumes:
            target = kept
        target.append(word)
    return kept, cut
