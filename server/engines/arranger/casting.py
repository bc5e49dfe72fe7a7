"""From wishes to who plays: a genre's ensemble or a preset's, with players joined and sent away.

A genre gives the base; named instruments take the place of the base's players of the same role.
Of several genres the last one of the first clause that names any is the head ("80s synthwave").
Knows wishes and arrangements; nothing of how a sentence is read.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from server.engines.arranger import moods
from server.engines.arranger.lexicon import Genre, Lexicon, Marker, Mood, Name, Part, Percussion
from server.engines.arranger.wishes import Wish, Wishes
from variations.schema import Arrangement, Drums, Effect, Voice

MOST_PLAYERS = 10
"""Named players beyond these are ignored, and that is said."""

_HARMONIC_ROLES = frozenset({"riff", "line"})
_EXTRA_DB = -3.0
_FAINT_DB, _LOUD_DB = -6.0, 3.0
_DRUMS_ALONE = "lo_fi_drums"
_WITHOUT_PLAIN = "strings_quartet"
"""The guess where the first one would be left without players."""

_STAND_INS = ("piano", "electric guitar", "strings", "organ")
"""Who takes over where only a bass would be left; the first who is not unwanted."""

_ROOM = Effect(kind="reverb", parameters={"seconds": 1.3, "mix": 0.16})
_AWAY = frozenset({Marker.UNWANTED, Marker.REPLACED})


@dataclass(slots=True)
class Casting:
    """Who plays, and which wishes had an effect.

    Attributes:
        arrangement: everything but the moods' colours first, then with them.
        base: the preset or base it began with, None for an ensemble of named players alone.
        guessed: the same where that was a guess.
        used: numbers of the wishes that had an effect.
    """

    arrangement: Arrangement
    base: str | None
    guessed: str | None = None
    used: set[int] = field(default_factory=set)


def cast(
    wishes: Wishes,
    known: Lexicon,
    preset: tuple[str, Arrangement] | None,
    guess: Callable[[], str],
) -> Casting:
    """Return who plays what is wished for.

    `preset` came along with the words and is the base where they name nobody; `guess` is asked for
    a base where there is none.
    """
    head = _head(wishes.wishes)
    players = list(_players(wishes.wishes, head))
    players, void = _uncontradicted(players, wishes.wishes)
    casting = _begun(wishes, known, preset, guess, head, players)
    had_lead = not casting.arrangement.voices or _has_lead(casting.arrangement)
    if head is not None:
        casting.used |= _of_the_same_base(wishes.wishes, head[1])
    if wishes.is_only and (players or _percussion(wishes.wishes)):
        casting.arrangement = casting.arrangement.model_copy(
            update={"voices": [], "drums": None, "strokes": {}, "halo": None}
        )
    _drum(casting, wishes.wishes, known)
    _send_away(casting, wishes.wishes)
    casting.used -= void
    _seat(casting, players, is_ensemble=casting.base is None or wishes.is_only)
    if had_lead or wishes.is_only:
        _stand_in(casting, wishes.wishes, known, players)
        _lead(casting, players)
    _balance(casting, wishes.wishes)
    _colour(casting, wishes.wishes, known, head)
    _credit_parts(casting, wishes.wishes)
    casting.arrangement = Arrangement.model_validate(casting.arrangement.model_dump())
    return casting


# The base


def _head(wishes: Sequence[Wish]) -> tuple[int, Genre] | None:
    """Return the genre that gives the base, and its wish's number; None where no one does."""
    named = [
        (number, genre, wish.clause)
        for number, wish in enumerate(wishes)
        if wish.is_wanted
        for genre in wish.meanings
        if isinstance(genre, Genre)
    ]
    strong = [each for each in named if not each[1].weak]
    if strong:
        return next((n, g) for n, g, clause in reversed(strong) if clause == strong[0][2])
    named_players = {number for number, _ in _players(wishes, None)}
    if named and named_players <= {named[0][0]}:
        return named[0][0], named[0][1]
    return None


def _of_the_same_base(wishes: Sequence[Wish], head: Genre) -> set[int]:
    """Return the numbers of the genres that mean the head's ensemble: "a medieval tavern"."""
    return {
        number
        for number, wish in enumerate(wishes)
        if wish.is_wanted
        and any(isinstance(each, Genre) and each.base == head.base for each in wish.meanings)
    }


def _players(wishes: Sequence[Wish], head: tuple[int, Genre] | None) -> Iterator[tuple[int, Voice]]:
    """Yield the named players, but for a preset that is called as an instrument."""
    taken = None if head is None else head[0]
    count = 0
    for number, wish in enumerate(wishes):
        voice = next((meaning for meaning in wish.meanings if isinstance(meaning, Voice)), None)
        if voice is not None and wish.is_wanted and number != taken and count < MOST_PLAYERS:
            count += 1
            yield number, voice


def _uncontradicted(
    players: Sequence[tuple[int, Voice]], wishes: Sequence[Wish]
) -> tuple[list[tuple[int, Voice]], set[int]]:
    """Return the named players that are not sent away later, and wishes that would leave none."""
    away = {
        number: later
        for number, player in players
        for later, wish in enumerate(wishes)
        if later > number and wish.stance is Marker.UNWANTED and _is_named(wish, player)
    }
    kept = [(number, player) for number, player in players if number not in away]
    return (kept, set()) if kept else (list(players), set(away.values()))


def _is_named(wish: Wish, player: Voice) -> bool:
    """Return whether a phrase names this very sound or its family."""
    if wish.family & {player.program, player.synth}:
        return True
    return any(isinstance(m, Voice) and _sounds_like(m, player) for m in wish.meanings)


def _percussion(wishes: Sequence[Wish]) -> list[tuple[int, Percussion]]:
    """Return the drums that are wanted."""
    return [
        (number, meaning)
        for number, wish in enumerate(wishes)
        if wish.is_wanted
        for meaning in wish.meanings
        if isinstance(meaning, Percussion)
    ]


def _begun(
    wishes: Wishes,
    known: Lexicon,
    preset: tuple[str, Arrangement] | None,
    guess: Callable[[], str],
    head: tuple[int, Genre] | None,
    players: Sequence[tuple[int, Voice]],
) -> Casting:
    """Return the base: a genre's, nobody (for players alone), the preset's, or a guess."""
    if head is not None:
        return Casting(known.bases[head[1].base], head[1].base)
    if players:
        return Casting(Arrangement(voices=[], effects=[_ROOM]), None)
    if preset is not None:
        return Casting(preset[1], preset[0], None if _says_anything(wishes) else preset[0])
    if _percussion(wishes.wishes):
        return Casting(known.bases[_DRUMS_ALONE], _DRUMS_ALONE)
    names = (guess(), _WITHOUT_PLAIN)
    name = next((n for n in names if _left(known.bases[n], wishes.wishes)), names[0])
    return Casting(known.bases[name], name, name)


def _says_anything(wishes: Wishes) -> bool:
    """Return whether words can be followed by a preset that came along with them."""
    return any(
        not isinstance(meaning, Genre | Name | Part)
        for wish in wishes.wishes
        for meaning in wish.meanings
    )


# Drums


def _drum(casting: Casting, wishes: Sequence[Wish], known: Lexicon) -> None:
    """Bring the drummer who is wanted, send away the one who is not."""
    base = casting.arrangement
    for number, wanted in _percussion(wishes):
        drums = base.drums or known.kit
        if wanted.kit is not None:
            drums = drums.model_copy(update={"kit": wanted.kit})
        drums = _louder(drums, wishes[number].degree)
        base = base.model_copy(update={"drums": drums, "strokes": {}})
        casting.used.add(number)
    is_wanted = bool(_percussion(wishes))
    for number, wish in enumerate(wishes):
        if wish.stance in _AWAY and any(isinstance(m, Percussion) for m in wish.meanings):
            casting.used.add(number)
            if not is_wanted:
                base = base.model_copy(update={"drums": None, "strokes": {}})
    casting.arrangement = base


def _louder(drums: Drums, degree: float) -> Drums:
    return drums.model_copy(update={"gain_db": drums.gain_db + _gain_db(degree)})


def _gain_db(degree: float) -> float:
    """Return what "a bit of" or "lots of" does to a player."""
    if degree == 1.0:
        return 0.0
    return _FAINT_DB if degree < 1.0 else _LOUD_DB


# Players


def _send_away(casting: Casting, wishes: Sequence[Wish]) -> None:
    """Take away who is not wanted; one player always stays."""
    for number, wish in enumerate(wishes):
        if wish.stance not in _AWAY:
            continue
        things = [meaning for meaning in wish.meanings if isinstance(meaning, Voice | Part)]
        if not things:
            continue
        voices = casting.arrangement.voices
        kept = [voice for voice in voices if not _is_meant(wish, voice)]
        if kept or not voices:
            casting.used.add(number)
            casting.arrangement = _seated(casting.arrangement, kept)


def _left(base: Arrangement, wishes: Sequence[Wish]) -> list[Voice]:
    """Return who is left of a base once the unwanted are gone."""
    away = [wish for wish in wishes if wish.stance in _AWAY]
    return [voice for voice in base.voices if not any(_is_meant(wish, voice) for wish in away)]


def _is_meant(wish: Wish, voice: Voice) -> bool:
    """Return whether a phrase means this player; "no bass" means any bass, "no guitars" all."""
    if voice.program in wish.family or voice.synth in wish.family:
        return True
    for meaning in wish.meanings:
        if isinstance(meaning, Part) and meaning.role == voice.role:
            return True
        if isinstance(meaning, Voice) and not wish.family and _stands_for(meaning, voice):
            return True
    return False


def _stands_for(named: Voice, voice: Voice) -> bool:
    return _sounds_like(named, voice) or named.role == "bass" == voice.role


def _sounds_like(one: Voice, other: Voice) -> bool:
    return (one.program, one.synth) == (other.program, other.synth)


def _stand_in(
    casting: Casting, wishes: Sequence[Wish], known: Lexicon, players: Sequence[tuple[int, Voice]]
) -> None:
    """Bring somebody where those sent away leave a bass alone that nobody named."""
    voices = casting.arrangement.voices
    if players or not voices or any(voice.role != "bass" for voice in voices):
        return
    away = [wish for wish in wishes if wish.stance in _AWAY]
    for words in _STAND_INS:
        voice = next(m for m in known.longest(words.split())[1] if isinstance(m, Voice))
        if away and not any(_is_meant(wish, voice) for wish in away):
            casting.arrangement = _seated(casting.arrangement, [voice, *voices])
            return


def _leading(voice: Voice) -> Voice:
    return voice.model_copy(update={"role": "riff", "polyphony": None, "rhythm": None})


def _seat(casting: Casting, players: Sequence[tuple[int, Voice]], *, is_ensemble: bool) -> None:
    """Give the named players their seats."""
    voices, taken = list(casting.arrangement.voices), set[int]()
    for number, player in players:
        casting.used.add(number)
        if any(_sounds_like(player, voice) for voice in voices):
            continue
        seat = next(
            (i for i, v in enumerate(voices) if v.role == player.role and i not in taken), None
        )
        if is_ensemble:
            voices.append(player)
        elif seat is None:
            voices.append(player.model_copy(update={"gain_db": _EXTRA_DB}))
            taken.add(len(voices) - 1)
        else:
            kept = {"gain_db": voices[seat].gain_db, "pan": voices[seat].pan}
            voices[seat] = player.model_copy(update=kept)
            taken.add(seat)
    casting.arrangement = _seated(casting.arrangement, _named_apart(voices))


def _has_lead(base: Arrangement) -> bool:
    return any(voice.role in _HARMONIC_ROLES for voice in base.voices)


def _lead(casting: Casting, players: Sequence[tuple[int, Voice]]) -> None:
    """Give somebody the whole music if nobody has it: a named player first, a bass last."""
    voices = casting.arrangement.voices
    if not voices or _has_lead(casting.arrangement):
        return
    named = [voice for voice in voices if any(_sounds_like(voice, p) for _, p in players)]
    high = [voice for voice in (*named, *voices) if voice.role != "bass"]
    heir = high[0] if high else voices[0]
    led = [_leading(voice) if voice is heir else voice for voice in voices]
    casting.arrangement = _seated(casting.arrangement, led)


def _named_apart(voices: Sequence[Voice]) -> list[Voice]:
    """Return the voices with names of their own."""
    kept: dict[str, Voice] = {}
    for voice in voices:
        name = voice.name
        while name in kept:
            name += " again"
        kept[name] = voice.model_copy(update={"name": name})
    return list(kept.values())


def _seated(base: Arrangement, voices: Sequence[Voice]) -> Arrangement:
    return moods.seated(base, voices, base.effects)


def _balance(casting: Casting, wishes: Sequence[Wish]) -> None:
    """Make players softer of whom less is wanted, or only a bit, and louder the others."""
    for number, wish in enumerate(wishes):
        degree = moods.WEAKER if wish.stance is Marker.LESS else wish.degree
        if degree == 1.0 or not (wish.is_wanted or wish.stance is Marker.LESS):
            continue
        base = casting.arrangement
        voices = [
            _at_level(voice, degree) if _is_meant(wish, voice) else voice for voice in base.voices
        ]
        changed = any(one is not other for one, other in zip(voices, base.voices, strict=True))
        drums = base.drums
        is_drums = any(isinstance(meaning, Percussion) for meaning in wish.meanings)
        if is_drums and drums is not None and wish.stance is Marker.LESS:
            drums, changed = _louder(drums, degree), True
        if changed:
            casting.used.add(number)
            casting.arrangement = base.model_copy(update={"voices": voices, "drums": drums})


def _at_level(voice: Voice, degree: float) -> Voice:
    return voice.model_copy(update={"gain_db": voice.gain_db + _gain_db(degree)})


# Moods and roles


def _colour(
    casting: Casting, wishes: Sequence[Wish], known: Lexicon, head: tuple[int, Genre] | None
) -> None:
    """Play in the moods that are wanted, and without those that are not.

    A word that is genre and mood at once ("epic") is a mood where another genre is the head.
    """
    strong_head = None if head is None or head[1].weak else head[0]
    done = set[tuple[str, float]]()
    for number, wish in enumerate(wishes):
        if (wish.phrase, wish.degree) in done:
            continue
        done.add((wish.phrase, wish.degree))
        for mood in (meaning for meaning in wish.meanings if isinstance(meaning, Mood)):
            if wish.is_wanted and number != strong_head:
                casting.arrangement = moods.coloured(
                    casting.arrangement, mood, known, degree=wish.degree
                )
                casting.used.add(number)
            elif (wish.stance in _AWAY or wish.stance is Marker.LESS) and moods.can_be_less(mood):
                is_less = wish.stance is Marker.LESS
                casting.arrangement = moods.uncoloured(casting.arrangement, mood, is_less=is_less)
                casting.used.add(number)


def _credit_parts(casting: Casting, wishes: Sequence[Wish]) -> None:
    """Say of "a melody" that it was understood where somebody plays one."""
    roles = {voice.role for voice in casting.arrangement.voices}
    for number, wish in enumerate(wishes):
        wanted = {meaning.role for meaning in wish.meanings if isinstance(meaning, Part)}
        if wish.is_wanted and wanted & roles:
            casting.used.add(number)
