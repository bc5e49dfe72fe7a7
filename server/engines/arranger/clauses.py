"""What a sentence asks for: each known phrase, and whether it is wanted, unwanted, kept or less.

Reads words from left to right. The longest phrase wins; a small word before it ("no", "keep",
"less", "instead of") says what is meant, for it and for what is joined to it by "or" or "and".
Knows phrases and their order; what becomes of an arrangement is the business of `casting`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from server.engines.arranger import spelt
from server.engines.arranger.lexicon import (
    LONGEST_PHRASE,
    Kept,
    Lexicon,
    Marker,
    Meaning,
    Percussion,
    Phrase,
)
from server.engines.arranger.wishes import Wish, Wishes
from server.engines.arranger.wording import COMMA, MARKS, STOP
from variations.schema import Voice

Value = TypeVar("Value")

_ARTICLES = frozenset({"the", "any", "a", "an", "more", "of", "my", "our", "your", "so", "too"})
_VERBS = frozenset(
    {"add", "be", "feel", "have", "include", "it", "like", "make", "need", "play", "put", "sound"}
    | {"sounding", "sounds", "this", "to", "too", "use", "using", "want"}
)
"""What may stand between "not" and what is not wanted: "it should not sound like a piano"."""

_OR = frozenset({"or", "nor"})
_AND = frozenset({"and"})
_CONNECTORS = frozenset({"with", "by", "for", "to", "into"})
_OUT = frozenset({"out", "away", "off"})
_DIVIDING = frozenset({"with", "but", "featuring", "from", "in", "over", "plus"})
"""Words after which the rest of a clause only adds to its head: "techno with a jazzy piano"."""

_ALONE = frozenset({"only", "alone"})
_PLAIN_NOT = frozenset({"not", "never"})
"""These say something of the next word alone: "not bright piano"."""

_FREE = "free"
_MOST_ADJECTIVES = 2
_FARTHEST = 6
"""How many words after a small word what it is about may begin."""

_LONGEST_MARKER = 4


def read(words: Sequence[str], known: Lexicon) -> Wishes:
    """Return what the words of a sentence ask for; `COMMA` and `STOP` stand between clauses."""
    words_spelt = [each for word in words for each in spelt.read(word, known)]
    reader = _Reader(
        [each.typed for each in words_spelt], [each.meant for each in words_spelt], known
    )
    while reader.at < len(words_spelt):
        reader.step()
    reader.end()
    return Wishes(tuple(reader.wishes), tuple(reader.ignored), reader.is_only)


@dataclass(slots=True)
class _Reader:
    """A place in a sentence and what was read before it."""

    typed: Sequence[str]
    meant: Sequence[str]
    known: Lexicon
    at: int = 0
    clause: int = 0
    degree: float = 1.0
    degree_words: tuple[str, ...] = ()
    stance: Marker | None = None
    is_only: bool = False
    wishes: list[Wish] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    seen: dict[int, tuple[int, tuple[Meaning, ...]]] = field(default_factory=dict)

    def step(self) -> None:
        """Read the next phrase, small word or mark."""
        word = self.meant[self.at]
        if word in MARKS:
            self._end_clause(word)
            return
        size, meanings = self._phrase()
        marked, marker = _phrase_at(self.meant, self.at, self.known.markers)
        degreed, degree = _phrase_at(self.meant, self.at, self.known.degrees)
        if marker is not None and marked >= size:
            self._follow(marker, marked)
        elif degree is not None and degreed >= size:
            self._take_degree(degree, degreed)
        elif size:
            self._take(size, meanings)
        else:
            self._pass()

    def end(self) -> None:
        """Read what the end of the sentence says."""
        self._drop_degree()

    def _phrase(self, ahead: int = 0) -> tuple[int, tuple[Meaning, ...]]:
        """Return the phrase that begins `ahead` words on, within its clause."""
        begin = self.at + ahead
        if begin not in self.seen:
            last = min(len(self.meant), begin + LONGEST_PHRASE)
            marks = (at for at in range(begin, last) if self.meant[at] in MARKS)
            self.seen[begin] = self.known.longest(self.meant[begin : next(marks, last)])
        return self.seen[begin]

    def _text(self, begin: int, end: int, before: tuple[str, ...] = ()) -> str:
        """Return words as they were typed, and as they were meant where that differs."""
        typed, meant = self.typed[begin:end], self.meant[begin:end]
        text = " ".join(word for word in (*before, *self.degree_words, *typed) if word)
        is_plain = "" in typed or typed == meant
        return text if is_plain else f"{text} ({' '.join(meant)})"

    def _end_clause(self, mark: str) -> None:
        self._drop_degree()
        self.clause += 1
        if mark == STOP:
            self.stance = None
        self.at += 1

    def _drop_degree(self) -> None:
        """Give a degree that nothing followed to the player before it: "the strings louder"."""
        words = " ".join(self.degree_words)
        if not set(self.degree_words) <= self.known.filler:
            last = self.wishes[-1] if self.wishes else None
            if last is not None and last.clause == self.clause and last.is_plain_player:
                phrase = f"{last.phrase} {words}"
                self.wishes[-1] = replace(last, phrase=phrase, degree=self.degree)
            else:
                self.ignored.append(words)
        self.degree, self.degree_words = 1.0, ()

    def _pass(self) -> None:
        """Go past a word that stands for nothing."""
        word = self.typed[self.at]
        if self.meant[self.at] not in self.known.filler and word not in self.known.filler:
            self._drop_degree()
            self.ignored.append(word)
        self.clause += word in _DIVIDING
        self.at += 1

    def _take_degree(self, degree: float, size: int) -> None:
        self.degree *= degree
        self.degree_words += tuple(self.typed[self.at : self.at + size])
        self.at += size

    def _take(self, size: int, meanings: tuple[Meaning, ...]) -> None:
        """Take a phrase that is wanted, unless "free" follows or it "alone" shall play."""
        end = self.at + size
        follows = self.meant[end] if end < len(self.meant) else STOP
        stance = self.stance
        is_player = any(isinstance(meaning, Voice | Percussion) for meaning in meanings)
        is_out = follows in _OUT and _ends_clause(self.meant, end + 1)
        if is_player and (follows == _FREE or is_out):
            stance, end = Marker.UNWANTED, end + 1
        elif is_player and follows in _ALONE and _ends_clause(self.meant, end + 1):
            self.is_only = True
            end += 1
        self._wish(self.at, meanings, stance, end=end)

    def _wish(
        self,
        begin: int,
        meanings: tuple[Meaning, ...],
        stance: Marker | None,
        *,
        end: int,
        said_before: tuple[str, ...] = (),
    ) -> None:
        """Add the phrase that begins there and go on at `end`."""
        size, _ = self._phrase(begin - self.at)
        is_free = stance is Marker.UNWANTED and not said_before
        self.wishes.append(
            Wish(
                phrase=self._text(begin, end if is_free else begin + size, said_before),
                meanings=meanings,
                stance=stance,
                degree=self.degree,
                clause=self.clause,
                family=self.known.family(self.meant[begin : begin + size]),
            )
        )
        self.degree, self.degree_words = 1.0, ()
        self.at = end

    # After small words

    def _follow(self, marker: Marker, size: int) -> None:
        """Do what a small word says."""
        begin = self.at
        self.at += size
        if marker is Marker.UNWANTED:
            self._pass_verbs()
        if marker is Marker.ADDED:
            self.stance = Marker.ADDED
        elif marker is Marker.ONLY:
            self.is_only = self.is_only or self._player_follows()
        elif marker is Marker.OWN:
            self._pass_own()
        elif marker in (Marker.ALONE, Marker.GONE):
            self._turn_back(marker, begin)
        else:
            self._take_list(marker, begin)

    def _turn_back(self, marker: Marker, begin: int) -> None:
        """Read what a small word says of the player before it."""
        last = self.wishes[-1] if self.wishes else None
        if last is None or not last.is_plain_player:
            self.ignored += self._told(begin, self.at)
        elif marker is Marker.ALONE:
            self.is_only = True
        else:
            self.wishes[-1] = replace(last, stance=Marker.REPLACED)

    def _told(self, begin: int, end: int) -> list[str]:
        """Return the words that are no filler."""
        return [word for word in self.typed[begin:end] if word not in self.known.filler]

    def _pass_verbs(self) -> None:
        """Go past "sound like", if something known or at least something follows."""
        ahead = 0
        last = min(len(self.meant), self.at + _FARTHEST)
        while self.at + ahead < last and self.meant[self.at + ahead] in _VERBS:
            ahead += 1
        if self.at + ahead < len(self.meant) and self.meant[self.at + ahead] not in MARKS:
            self.at += ahead

    def _player_follows(self) -> bool:
        """Return whether an instrument comes next: "only a plain old piano"."""
        return self._adjectives_before(Voice | Percussion) is not None

    def _adjectives_before(self, kinds: type | object) -> int | None:
        """Return how many words stand before a phrase of these kinds, None where none is near."""
        adjectives = ahead = 0
        last = min(len(self.meant), self.at + _FARTHEST)
        while self.at + ahead < last and adjectives <= _MOST_ADJECTIVES:
            word = self.meant[self.at + ahead]
            size, meanings = self._phrase(ahead)
            if any(isinstance(meaning, kinds) for meaning in meanings):  # type: ignore[arg-type]
                return ahead
            is_article = word in _ARTICLES
            if word in MARKS or (is_article and adjectives):
                return None
            if word in self.known.filler and not is_article:
                return None
            adjectives += not is_article
            ahead += max(size, 1)
        return None

    def _pass_own(self) -> None:
        """Go past the musician's own sound: "my guitar" is the source; "my vocals" stay."""
        ahead = self._adjectives_before(Voice | Percussion)
        if ahead is None or ahead > _MOST_ADJECTIVES:
            return
        size, meanings = self._phrase(ahead)
        end = self.at + ahead + size
        if Kept.VOCALS in meanings:
            self.at += ahead
            self._wish(self.at, meanings, Marker.KEPT, end=end)
            return
        self.ignored.append(self._text(self.at, end))
        self.at = end

    def _take_list(self, marker: Marker, begin: int) -> None:
        """Read what a small word is about: "no drums, guitars or bass"."""
        first, first_wish, small = True, len(self.wishes), tuple(self.typed[begin : self.at])
        while self.at < len(self.meant):
            ahead = self._next_item(marker, begin, is_first=first)
            if ahead is None:
                break
            start = self.at
            self.at += ahead
            size, meanings = self._phrase()
            between = () if not first else tuple(self.typed[start : self.at])
            self._wish(
                self.at, meanings, marker, end=self.at + size, said_before=(*small, *between)
            )
            first = False
        if first:
            self._take_unknown(marker, begin)
        elif marker is Marker.KEPT:
            self._turn_out(first_wish)
        elif marker is Marker.REPLACED and self._here() in _CONNECTORS:
            self.at += 1

    def _here(self) -> str:
        return self.meant[self.at] if self.at < len(self.meant) else STOP

    def _next_item(self, marker: Marker, begin: int, *, is_first: bool) -> int | None:
        """Return how many words on the next thing of a list begins, None where the list ends."""
        joined = 0
        if not is_first:
            joined = self._joined()
            if not joined:
                return None
        self.at += joined
        ahead = None
        if is_first and marker is not Marker.LESS and self.meant[begin] not in _PLAIN_NOT:
            ahead = self._adjectives_before(Voice | Percussion | Kept)
        if ahead is None:
            ahead = self._articles()
        size, meanings = self._phrase(ahead)
        self.at -= joined
        if not size:
            return None
        is_thing = any(isinstance(meaning, Voice | Percussion | Kept) for meaning in meanings)
        is_and = joined > 0 and self.meant[self.at] in _AND
        if is_and and not (is_thing and (ahead == 0 or marker is Marker.KEPT)):
            return None
        if marker is Marker.KEPT and not is_thing:
            return None
        return joined + ahead

    def _articles(self) -> int:
        count = 0
        last = min(len(self.meant), self.at + _FARTHEST)
        while self.at + count < last and self.meant[self.at + count] in _ARTICLES:
            count += 1
        return count

    def _joined(self) -> int:
        """Return how many words join another thing to a list, 0 where it ends."""
        if self._here() in _OR | _AND:
            return 1
        if self._here() != COMMA:
            return 0
        if self.at + 1 < len(self.meant) and self.meant[self.at + 1] in _OR | _AND:
            return 2 if self.meant[self.at + 1] in _OR else 0
        return 1 if self._or_ends_list() else 0

    def _or_ends_list(self) -> bool:
        """Return whether after a comma one thing and "or" follow: "no drums, bass or keys"."""
        self.at += 1
        ahead = self._articles()
        size, _ = self._phrase(ahead)
        self.at -= 1
        after = self.at + 1 + ahead + size
        return size > 0 and after < len(self.meant) and self.meant[after] in _OR

    def _take_unknown(self, marker: Marker, begin: int) -> None:
        """Own up to a small word about something unknown: "not cheesy"."""
        if marker is Marker.KEPT:
            return
        self.at += self._articles()
        word = self._here()
        if word in MARKS or word in self.known.filler:
            return
        if _phrase_at(self.meant, self.at, self.known.markers)[1] is not None:
            return
        self.ignored.append(" ".join(self.typed[begin : self.at + 1]))
        self.at += 1

    def _turn_out(self, first_wish: int) -> None:
        """Read "leave the drums out" as what it means."""
        if self._here() not in _OUT:
            return
        self.at += 1
        for number in range(first_wish, len(self.wishes)):
            wish = self.wishes[number]
            phrase = f"{wish.phrase} {self.typed[self.at - 1]}"
            self.wishes[number] = replace(wish, phrase=phrase, stance=Marker.UNWANTED)


def _ends_clause(words: Sequence[str], at: int) -> bool:
    return at >= len(words) or words[at] in MARKS


def _phrase_at(
    words: Sequence[str], at: int, table: Mapping[Phrase, Value]
) -> tuple[int, Value | None]:
    """Return the length of the longest phrase of a table that stands here, and its value."""
    for size in range(min(_LONGEST_MARKER, len(words) - at), 0, -1):
        phrase = tuple(words[at : at + size])
        if phrase in table:
            return size, table[phrase]
    return 0, None
