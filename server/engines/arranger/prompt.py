"""Free words into an arrangement, honestly: what was understood, ignored and guessed.

A genre gives the base; named instruments take the place of the base's players of the same role;
moods change effects; words for drums bring a drummer. Longest phrases win, "no drums" takes away.
A preset given along with the words is the base only where the words name neither a genre nor an
instrument: plugins send some preset with every free prompt, and the words are what the musician
wrote.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from server.engines.arranger import casting, clauses, lexicon, wording
from server.engines.arranger.casting import Casting
from server.engines.arranger.lexicon import Genre, Kept, Marker, Name, Percussion
from server.engines.arranger.wishes import Wish, Wishes
from server.engines.protocols import Layer
from variations import Variation, load
from variations.schema import Arrangement, Voice

_PLAIN = "piano_classical"
"""The guess for words that resemble nothing."""

_ALONGSIDE = 0.5
"""Strength of a layer that stays beneath what is added to it: both sound, at equal power."""

_NO_LAYERS: Mapping[Layer, float] = MappingProxyType({})
_AWAY = frozenset({Marker.UNWANTED, Marker.REPLACED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the arranger makes of a prompt.

    Attributes:
        arrangement: who plays.
        understood: phrases that had an effect, in order; a misspelt one says what it was taken for:
            "chello (cello)".
        ignored: words that had none, in order; filler is left out.
        guessed: the preset taken where the words name nobody to play, else None.
        base: the preset or the lexicon's own base the arrangement began with; None for named
            players alone.
        keep_drums: what the words say of the source's drums, None where nothing.
        layers: strengths of the source's layers that the words ask for ("add strings" leaves the
            source in place).
    """

    arrangement: Arrangement
    understood: tuple[str, ...]
    ignored: tuple[str, ...]
    guessed: str | None = None
    base: str | None = None
    keep_drums: bool | None = None
    layers: Mapping[Layer, float] = field(default_factory=lambda: _NO_LAYERS)

    @property
    def is_drumless(self) -> bool:
        """Whether the words send every drummer away."""
        sends_away = self.keep_drums is False or self.layers.get("drums") == 1.0
        return sends_away and self.arrangement.drums is None


def read(text: str, *, preset: Variation | None = None) -> Reading:
    """Return how to play what these words ask for.

    Where the words name nobody to play, the preset that came with them is taken, or the one whose
    own prompt shares most words with them; `guessed` names it unless it was chosen along with words
    that could be followed. A preset's own prompt, letter for letter, is that preset.
    """
    own = next((each for each in load().values() if each.prompt == text.strip()), None)
    reading = _read(text, preset=preset)
    if own is None:
        return reading
    return Reading(
        arrangement=own.arrangement,
        understood=reading.understood,
        ignored=reading.ignored,
        base=own.name,
    )


def _read(text: str, *, preset: Variation | None) -> Reading:
    known = lexicon.load()
    sentence = wording.sentence(text, known.purposes)
    wishes = clauses.read(sentence.words, known)
    aside = [word for word in sentence.aside if word not in wording.MARKS | known.filler]
    if not any(_may_matter(wish) for wish in wishes.wishes):
        wishes = clauses.read((*sentence.words, wording.STOP, *sentence.aside), known)
        aside = []
    unknown = _unknown(wishes, [*aside, *sentence.facts])
    came_along = None if preset is None else (preset.name, preset.arrangement)
    cast = casting.cast(wishes, known, came_along, lambda: _nearest(unknown))
    keep_drums, layers = _of_the_source(wishes, cast)
    sung = [word for word in sentence.source if Kept.VOCALS in known.longest([word])[1]]
    if sung:
        layers = MappingProxyType({**layers, "vocals": 1.0})
    understood, ignored = _told(wishes, cast, sung, [*aside, *sentence.facts])
    return Reading(
        arrangement=cast.arrangement,
        understood=understood,
        ignored=ignored,
        guessed=cast.guessed,
        base=cast.base,
        keep_drums=keep_drums,
        layers=layers,
    )


def _may_matter(wish: Wish) -> bool:
    """Return whether a phrase may have an effect: all but a name and an unwanted genre."""
    if wish.is_wanted:
        return not all(isinstance(meaning, Name) for meaning in wish.meanings)
    return not all(isinstance(meaning, Genre | Name) for meaning in wish.meanings)


def _unknown(wishes: Wishes, others: Sequence[str]) -> tuple[str, ...]:
    """Return the words a guess is drawn from."""
    idle = [wish.phrase for wish in wishes.wishes if not _may_matter(wish)]
    return _distinct([*idle, *wishes.ignored, *others])


def _nearest(words: Sequence[str]) -> str:
    """Return the preset whose prompt and name, which counts twice, share most words with these."""
    asked = set(words)

    def shared(preset: Variation) -> int:
        name, own = (set(wording.plain_words(text)) for text in (preset.name, preset.prompt))
        return len(asked & name) + len(asked & (name | own))

    best = max(load().values(), key=shared)
    return best.name if shared(best) else _PLAIN


def _told(
    wishes: Wishes, cast: Casting, sung: Sequence[str], others: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the phrases that had an effect, a voice that is played among them, and the rest."""
    used = [*sung]
    used += [wish.phrase for number, wish in enumerate(wishes.wishes) if number in cast.used]
    idle = [wish.phrase for number, wish in enumerate(wishes.wishes) if number not in cast.used]
    words = {word for phrase in used for word in phrase.split()}
    ignored = [phrase for phrase in (*idle, *wishes.ignored, *others) if phrase not in words]
    return _distinct(used), tuple(each for each in _distinct(ignored) if each not in used)


def _distinct(items: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))


# What of the source stays


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which kinds of things the wishes are about."""

    wishes: Sequence[Wish]

    def about(self, *stances: Marker | None, kind: type | Kept) -> set[int]:
        """Return the numbers of the wishes of these stances about a kind of thing."""
        return {
            number
            for number, wish in enumerate(self.wishes)
            if wish.stance in stances
            and any(
                meaning is kind if isinstance(kind, Kept) else isinstance(meaning, kind)
                for meaning in wish.meanings
            )
        }


def _of_the_source(wishes: Wishes, cast: Casting) -> tuple[bool | None, Mapping[Layer, float]]:
    """Return whether the source's drums stay, and strengths of its layers; note what was used."""
    asked = _Asked(wishes.wishes)
    kept = asked.about(Marker.KEPT, kind=Percussion)
    gone = asked.about(*_AWAY, kind=Percussion)
    strokes = asked.about(None, Marker.ADDED, kind=Percussion)
    keep_drums = True if kept else (False if gone else None)
    layers: dict[Layer, float] = {}
    if wishes.is_only and not strokes:
        layers["drums"] = 1.0
    layers |= _pitched(asked, cast, strokes)
    if asked.about(Marker.KEPT, kind=Kept.VOCALS):
        layers["vocals"] = 0.0
    elif asked.about(*_AWAY, kind=Kept.VOCALS):
        layers["vocals"] = 1.0
    cast.used |= kept | asked.about(Marker.KEPT, *_AWAY, kind=Kept.VOCALS)
    cast.used |= asked.about(Marker.KEPT, kind=Kept.ALWAYS)
    return keep_drums, MappingProxyType(layers)


def _pitched(asked: _Asked, cast: Casting, strokes: set[int]) -> dict[Layer, float]:
    """Return how much of the source's own instruments goes, where words say so.

    "Add strings" leaves them beside the strings, "replace the drums with a kit" leaves them alone.
    """
    players = asked.about(None, Marker.ADDED, kind=Voice) & cast.used
    added = asked.about(Marker.ADDED, kind=Voice) & players
    replaced = asked.about(Marker.REPLACED, kind=Percussion)
    stay = asked.about(Marker.KEPT, kind=Voice) - asked.about(Marker.KEPT, kind=Kept.VOCALS)
    rest = asked.about(Marker.KEPT, kind=Kept.REST)
    names_genre = bool(asked.about(None, Marker.ADDED, kind=Genre) & cast.used)
    layers: dict[Layer, float] = {}
    if strokes and not players and not names_genre:
        added_strokes = strokes & asked.about(Marker.ADDED, kind=Percussion)
        if replaced or rest or stay or added_strokes:
            layers = {"pitched": 0.0, "drums": _ALONGSIDE if added_strokes else 1.0}
    elif players and (stay or (added == players and not names_genre)):
        layers = {"pitched": _ALONGSIDE, "drums": _ALONGSIDE if strokes else 0.0}
    elif players and rest and not strokes:
        layers = {"drums": 0.0, "vocals": 0.0}
    if players or strokes or names_genre:
        cast.used |= asked.about(*_AWAY, kind=Kept.REST)
    if players or strokes:
        cast.used |= stay | rest
    return layers
