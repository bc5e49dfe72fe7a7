"""Free words into an arrangement, honestly: what was understood, ignored and guessed.

A genre gives the base; named instruments take the place of the base's players of the same role;
moods change effects; words for drums bring a drummer. Longest phrases win, "no drums" takes away.
Of several genres the last one of the first clause that names any is the head ("80s synthwave").
A preset given along with the words is the base only where the words name neither a genre nor an
instrument: plugins send some preset with every free prompt, and the words are what the musician
wrote.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from server.engines.arranger import lexicon, wording
from server.engines.arranger.lexicon import Genre, Lexicon, Meaning, Mood, Percussion
from variations import Variation, load
from variations.schema import Arrangement, Effect, Voice

_ARTICLES = frozenset({"the", "any", "a", "an", "more"})
_OR = frozenset({"or", "nor"})
_HARMONIC_ROLES = frozenset({"riff", "line"})
_EXTRA_DB = -3.0
_DRUMS_ALONE = "lo_fi_drums"
_PLAIN = "piano_classical"
"""The guess for words that resemble nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the arranger makes of a prompt.

    Attributes:
        arrangement: who plays.
        understood: phrases that had an effect, in order.
        ignored: words that had none, in order; filler is left out.
        guessed: the preset taken where the words name nobody to play, else None.
    """

    arrangement: Arrangement
    understood: tuple[str, ...]
    ignored: tuple[str, ...]
    guessed: str | None = None


@dataclass(slots=True)
class _Found:
    """The meanings of a sentence, each with the phrase it was read from."""

    wanted: list[tuple[str, Meaning]] = field(default_factory=list)
    unwanted: list[tuple[str, Meaning]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    genre: Genre | None = None
    genre_is_settled: bool = False

    def add(self, phrase: str, meanings: Sequence[Meaning]) -> None:
        """Take what a phrase stands for."""
        self.wanted += [(phrase, meaning) for meaning in meanings]
        genre = next((meaning for meaning in meanings if isinstance(meaning, Genre)), None)
        if genre is not None and not self.genre_is_settled:
            self.genre = genre

    def end_clause(self) -> None:
        """Keep the genre of the first clause that named one."""
        self.genre_is_settled = self.genre is not None

    @property
    def used(self) -> list[tuple[str, Meaning]]:
        """What has an effect: all but the genres that are not the base, and unwanted genres."""
        wanted = [
            (phrase, meaning)
            for phrase, meaning in self.wanted
            if not isinstance(meaning, Genre) or self.is_base(meaning)
        ]
        return wanted + [pair for pair in self.unwanted if not isinstance(pair[1], Genre)]

    def is_base(self, genre: Genre) -> bool:
        """Whether a genre is the one that gives the base."""
        return self.genre is not None and genre.base == self.genre.base


def read(text: str, *, preset: Variation | None = None) -> Reading:
    """Return how to play what these words ask for.

    Where the words name nobody to play, the preset that came with them is taken, or the one whose
    own prompt shares most words with them; `guessed` names it unless it was chosen along with words
    that could be followed.
    """
    words = lexicon.load()
    sentence = wording.sentence(text, words.purposes)
    found = _gathered(sentence.words, words)
    if found.used:
        found.ignored += _content(sentence.aside, words)
    else:
        found = _gathered((*sentence.words, wording.STOP, *sentence.aside), words)
    understood = _distinct([phrase for phrase, _ in found.used])
    idle = [phrase for phrase, _ in (*found.wanted, *found.unwanted) if phrase not in understood]
    ignored = _distinct([*idle, *found.ignored, *sentence.facts])
    base, guess = _base(found, words, preset, ignored)
    return Reading(
        arrangement=_finished(base, found, words),
        understood=understood,
        ignored=ignored,
        guessed=guess,
    )


def _base(
    found: _Found, known: Lexicon, preset: Variation | None, ignored: Sequence[str]
) -> tuple[Arrangement, str | None]:
    """Return whose arrangement to start from, and the preset's name where that is a guess."""
    players = [meaning for _, meaning in found.wanted if isinstance(meaning, Voice)]
    if found.genre is not None:
        return _with_players(known.bases[found.genre.base], players), None
    if players:
        return _ensemble(players), None
    if preset is not None:
        return preset.arrangement, None if found.used else preset.name
    if any(isinstance(meaning, Percussion) for _, meaning in found.wanted):
        return known.bases[_DRUMS_ALONE], None
    guess = _nearest(ignored)
    return known.bases[guess], guess


def _distinct(items: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))


def _content(words: Sequence[str], known: Lexicon) -> list[str]:
    marks = {wording.COMMA, wording.STOP}
    return [word for word in words if word not in marks and word not in known.filler]


def _gathered(words: Sequence[str], known: Lexicon) -> _Found:
    """Match phrases from left to right, the longest at each place."""
    found, at = _Found(), 0
    while at < len(words):
        negation = _phrase_at(words, at, known.negations)
        if negation:
            at = _gather_unwanted(words, at, at + negation, known, found)
            continue
        size, meanings = known.longest(_clause(words, at))
        if size:
            found.add(" ".join(words[at : at + size]), meanings)
        elif words[at] in (wording.COMMA, wording.STOP):
            found.end_clause()
        else:
            found.ignored += _content(words[at : at + 1], known)
        at += max(size, 1)
    return found


def _clause(words: Sequence[str], at: int) -> Sequence[str]:
    """Return the words up to the end of the clause: no phrase reaches across a comma."""
    marks = (wording.COMMA, wording.STOP)
    end = next((i for i in range(at, len(words)) if words[i] in marks), len(words))
    return words[at:end]


def _phrase_at(words: Sequence[str], at: int, phrases: frozenset[tuple[str, ...]]) -> int:
    """Return the length of the longest of the phrases that stands here, 0 for none."""
    fits = (len(phrase) for phrase in phrases if tuple(words[at : at + len(phrase)]) == phrase)
    return max(fits, default=0)


def _gather_unwanted(
    words: Sequence[str], negation: int, at: int, known: Lexicon, found: _Found
) -> int:
    """Read what follows a negation ("no drums or bass") and return where it ends."""
    begin = at
    while at < len(words):
        if words[at] in _ARTICLES or (words[at] in _OR and at > begin):
            at += 1
            continue
        size, meanings = known.longest(_clause(words, at))
        if not size or (at > begin and words[at - 1] not in _ARTICLES | _OR):
            break
        phrase = " ".join((*words[negation:begin], *words[at : at + size]))
        found.unwanted += [(phrase, meaning) for meaning in meanings]
        at += size
    return at


def _nearest(words: Sequence[str]) -> str:
    """Return the preset whose name and prompt share most words with these, the first of equals."""
    asked = set(words)

    def shared(preset: Variation) -> int:
        own = f"{preset.name.replace('_', ' ')} {preset.prompt.lower()}"
        return len(asked & set(own.replace(",", " ").replace(".", " ").split()))

    best = max(load().values(), key=shared)
    return best.name if shared(best) else _PLAIN


def _finished(base: Arrangement, found: _Found, known: Lexicon) -> Arrangement:
    """Return the base with its drummer, without what is unwanted, in the moods asked for."""
    wanted = [meaning for _, meaning in found.wanted]
    drummed = any(isinstance(meaning, Percussion) for meaning in wanted)
    if drummed and base.drums is None:
        base = base.model_copy(update={"drums": known.kit, "strokes": {}})
    base = _reduced(base, [meaning for _, meaning in found.unwanted])
    for mood in wanted:
        if isinstance(mood, Mood):
            base = _in_mood(base, mood)
    return Arrangement.model_validate(base.model_dump())


def _ensemble(players: Sequence[Voice]) -> Arrangement:
    """Return the named players alone; the first takes the whole music if nobody else would."""
    voices = _named_apart(players)
    if not any(voice.role in _HARMONIC_ROLES for voice in voices):
        lead = voices[0].model_copy(update={"role": "riff", "polyphony": None, "rhythm": None})
        voices = [lead, *voices[1:]]
    reverb = Effect(kind="reverb", parameters={"seconds": 1.3, "mix": 0.16})
    return Arrangement(voices=voices, effects=[reverb])


def _with_players(base: Arrangement, players: Sequence[Voice]) -> Arrangement:
    """Return the base with players of the same role replaced, and others added a little softer."""
    voices, taken = list(base.voices), set[int]()
    for player in players:
        if any(_sounds_like(player, voice) for voice in voices):
            continue
        seat = next(
            (i for i, v in enumerate(voices) if v.role == player.role and i not in taken), None
        )
        if seat is None:
            voices.append(player.model_copy(update={"gain_db": _EXTRA_DB}))
            taken.add(len(voices) - 1)
        else:
            kept = {"gain_db": voices[seat].gain_db, "pan": voices[seat].pan}
            voices[seat] = player.model_copy(update=kept)
            taken.add(seat)
    return _seated(base, _named_apart(voices))


def _sounds_like(one: Voice, other: Voice) -> bool:
    return (one.program, one.synth) == (other.program, other.synth)


def _named_apart(voices: Sequence[Voice]) -> list[Voice]:
    """Return the voices without repeats, with names of their own."""
    kept: dict[str, Voice] = {}
    for voice in voices:
        name = voice.name
        if name in kept and _sounds_like(kept[name], voice) and kept[name].role == voice.role:
            continue
        while name in kept:
            name += " again"
        kept[name] = voice.model_copy(update={"name": name})
    return list(kept.values())


def _seated(base: Arrangement, voices: Sequence[Voice]) -> Arrangement:
    """Return the base with other voices; strokes of players who left are dropped."""
    names = {voice.name for voice in voices}
    strokes = {kind: stroke for kind, stroke in base.strokes.items() if stroke.part in names}
    return base.model_copy(update={"voices": list(voices), "strokes": strokes})


def _reduced(base: Arrangement, unwanted: Sequence[Meaning]) -> Arrangement:
    """Return the base without what is unwanted; one player always stays."""
    if any(isinstance(meaning, Percussion) for meaning in unwanted):
        base = base.model_copy(update={"drums": None, "strokes": {}})
    for player in (meaning for meaning in unwanted if isinstance(meaning, Voice)):
        kept = [voice for voice in base.voices if not _is_meant(player, voice)]
        base = _seated(base, kept) if kept else base
    kinds = {effect.kind for mood in unwanted if isinstance(mood, Mood) for effect in mood.effects}
    effects = [effect for effect in base.effects if effect.kind not in kinds]
    return base.model_copy(update={"effects": effects})


def _is_meant(player: Voice, voice: Voice) -> bool:
    """Return whether "no <player>" sends this voice away; "no bass" means any bass."""
    return _sounds_like(player, voice) or (player.role == "bass" == voice.role)


def _in_mood(base: Arrangement, mood: Mood) -> Arrangement:
    kinds = {effect.kind for effect in mood.effects}
    effects = [effect for effect in base.effects if effect.kind not in kinds]
    voices = [voice for voice in base.voices if voice.role not in mood.drops] or base.voices
    if mood.pedal:
        voices = [voice.model_copy(update={"pedal": True}) for voice in voices]
    changed = base.model_copy(update={"effects": [*effects, *mood.effects]})
    return _seated(changed, voices)
