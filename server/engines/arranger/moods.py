"""What a mood does to an arrangement: effects on the bus, and how its players play.

Knows arrangements and effects; which words name a mood is the lexicon's business. A mood that would
change nothing says so, so that nobody claims it was followed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from server.engines.arranger.lexicon import Lexicon, Mood
from variations.schema import Arrangement, Effect, Voice

WEAKER = 0.5
"""By how much "less" makes an effect weaker."""

_SOFTLY_DB = -9.0
_LOWEST, _HIGHEST = 12, 115
_HARMONIC_ROLES = frozenset({"riff", "line"})

_ORDER = (
    "stutter",
    "gate",
    "crush",
    "saturate",
    "compress",
    "tremolo",
    "chorus",
    "delay",
    "reverb",
    "shelf",
    "highpass",
    "lowpass",
    "wow",
    "width",
    "vinyl",
    "duck",
)
"""Where an effect enters the chain: distortion before the room, filters behind it."""


@dataclass(frozen=True, slots=True)
class _Dose:
    """The parameter that says how much of an effect there is.

    Attributes:
        name: as presets write it.
        none: its value where nothing is changed.
        usual: its value where a preset names none.
        most: how far it may go.
    """

    name: str
    none: float
    usual: float
    most: float


_DOSES: Mapping[str, _Dose] = MappingProxyType(
    {
        "chorus": _Dose("mix", 0.0, 0.4, 0.8),
        "compress": _Dose("ratio", 1.0, 3.0, 8.0),
        "delay": _Dose("mix", 0.0, 0.15, 0.5),
        "duck": _Dose("depth", 0.0, 0.5, 0.9),
        "gate": _Dose("depth", 0.0, 1.0, 1.0),
        "reverb": _Dose("mix", 0.0, 0.2, 0.6),
        "saturate": _Dose("drive", 1.0, 1.5, 12.0),
        "stutter": _Dose("share", 0.0, 0.25, 0.8),
        "vinyl": _Dose("level", 0.0, 0.015, 0.05),
        "width": _Dose("amount", 1.0, 1.3, 2.5),
        "wow": _Dose("depth_ms", 0.0, 0.7, 0.95),
    }
)
_EDGES: Mapping[str, float] = MappingProxyType({"lowpass": -1.0, "highpass": 1.0})
"""Filters: their frequency falls or rises with how much they are meant."""

_MOST_SHELF_DB = 12.0


def coloured(base: Arrangement, mood: Mood, known: Lexicon, *, degree: float = 1.0) -> Arrangement:
    """Return an arrangement in a mood; one player always stays."""
    effects = [dosed(effect, degree) for effect in mood.effects]
    voices = [voice for voice in base.voices if voice.role not in mood.drops] or base.voices
    voices = [_played(voice, mood) for voice in voices]
    return seated(base, _joined(voices, mood, known), _chain(base.effects, effects))


def uncoloured(base: Arrangement, mood: Mood, *, is_less: bool) -> Arrangement:
    """Return an arrangement without a mood, or with less of it."""
    if mood.less:
        return seated(base, base.voices, _chain(base.effects, mood.less))
    keys = {_key(effect) for effect in mood.effects}
    effects = [
        dosed(effect, WEAKER) if _key(effect) in keys else effect
        for effect in base.effects
        if is_less or _key(effect) not in keys
    ]
    voices = list(base.voices)
    if mood.pedal:
        voices = [voice.model_copy(update={"pedal": False}) for voice in voices]
    return seated(base, voices, effects)


def can_be_less(mood: Mood) -> bool:
    """Return whether "not …" means anything for a mood."""
    return bool(mood.less or mood.effects or mood.pedal)


def dosed(effect: Effect, degree: float) -> Effect:
    """Return an effect with so much more or less of it; 1 is as it is."""
    parameters = dict(effect.parameters)
    if effect.kind in _EDGES:
        parameters["hertz"] = float(parameters["hertz"]) * degree ** _EDGES[effect.kind]
    elif effect.kind == "shelf":
        gain = float(parameters["gain_db"]) * degree
        parameters["gain_db"] = min(max(gain, -_MOST_SHELF_DB), _MOST_SHELF_DB)
    elif effect.kind in _DOSES:
        dose = _DOSES[effect.kind]
        amount = float(parameters.get(dose.name, dose.usual))
        moved = dose.none + (amount - dose.none) * degree
        parameters[dose.name] = min(max(moved, 0.0), dose.most)
    return effect if degree == 1.0 else effect.model_copy(update={"parameters": parameters})


def _key(effect: Effect) -> tuple[str, float | str]:
    """Return what makes two effects the same: bass and treble shelves are two."""
    return effect.kind, effect.parameters.get("side", "high") if effect.kind == "shelf" else ""


def _chain(before: Sequence[Effect], added: Sequence[Effect]) -> list[Effect]:
    """Return the chain with effects put in place of the same ones, each where it belongs."""
    keys = {_key(effect) for effect in added}
    chain = [effect for effect in before if _key(effect) not in keys]
    for effect in added:
        place = _ORDER.index(effect.kind)
        later = (at for at, each in enumerate(chain) if _ORDER.index(each.kind) > place)
        chain.insert(next(later, len(chain)), effect)
    return chain


def _played(voice: Voice, mood: Mood) -> Voice:
    """Return a player in a mood."""
    changes: dict[str, object] = {}
    if mood.pedal:
        changes["pedal"] = True
    if mood.articulation is not None and voice.program is not None:
        changes["articulation"] = mood.articulation
    if mood.doubles and voice.role == "riff":
        changes["octave_double"] = True
    if mood.polyphony is not None and voice.role == "riff":
        changes["polyphony"] = mood.polyphony
    if mood.octave:
        moved = tuple(_within(pitch + 12 * mood.octave) for pitch in voice.range)
        if moved[1] - moved[0] >= voice.range[1] - voice.range[0]:
            octave = min(max(voice.octave + mood.octave, -3), 3)
            changes |= {"range": moved, "octave": octave}
    return voice.model_copy(update=changes)


def _within(pitch: int) -> int:
    return min(max(pitch, _LOWEST), _HIGHEST)


def _joined(voices: Sequence[Voice], mood: Mood, known: Lexicon) -> list[Voice]:
    """Return the players with those a mood adds, softly and where they do not play yet."""
    playing = {(voice.program, voice.synth) for voice in voices}
    names = {voice.name for voice in voices}
    joined = list(voices)
    for words in mood.adds:
        voice = next(m for m in known.longest(words.split())[1] if isinstance(m, Voice))
        if (voice.program, voice.synth) not in playing and voice.name not in names:
            joined.append(voice.model_copy(update={"gain_db": _SOFTLY_DB}))
    return joined


def seated(base: Arrangement, voices: Sequence[Voice], effects: Sequence[Effect]) -> Arrangement:
    """Return the base with other players and effects; strokes of players who left are dropped."""
    names = {voice.name for voice in voices}
    strokes = {kind: stroke for kind, stroke in base.strokes.items() if stroke.part in names}
    return base.model_copy(
        update={"voices": list(voices), "effects": list(effects), "strokes": strokes}
    )
