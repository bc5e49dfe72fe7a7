"""Moods do something that can be heard, and more of them does more."""

from functools import lru_cache

import numpy as np
import pytest

from server.engines.arranger import effects, lexicon, moods
from server.engines.arranger.lexicon import Mood
from server.media.clip import Samples
from tests.music import band
from variations.schema import Arrangement, Effect, Voice

KNOWN = lexicon.load()
MOODS: dict[str, Mood] = {
    meaning.words[0]: meaning
    for meanings in KNOWN.meanings.values()
    for meaning in meanings
    if isinstance(meaning, Mood)
}
SETTING = effects.Setting(beat_seconds=0.5, kicks=(0.0, 0.5, 1.0, 1.5), seed=3)
PIANO = Arrangement(
    voices=[
        Voice(name="hands", role="riff", program=0, range=(36, 96)),
        Voice(name="pad", role="chords", synth="pad_saw", range=(50, 78)),
    ]
)
IN_A_ROOM = PIANO.model_copy(
    update={"effects": [Effect(kind="reverb", parameters={"seconds": 1.3, "mix": 0.16})]}
)
AUDIBLE = 0.02
"""Share of the energy that must differ, as it is or with treble raised by 6 dB an octave."""


@lru_cache(maxsize=1)
def mix() -> Samples:
    """Return two seconds of a band, `[2, N]`."""
    return band(120.0, seconds=2.0).clip.samples


def through(chain: list[Effect]) -> Samples:
    """Return the band through a chain of effects."""
    sound = mix()
    for effect in chain:
        sound = effects.apply(effect.kind, effect.parameters, sound, SETTING)
    return sound


def difference(one: Samples, other: Samples) -> float:
    """Return the energy of the difference at the best common gain, as a share."""
    gain = float((one * other).sum() / max(float(np.square(one).sum()), 1e-12))
    return float(np.square(other - gain * one).sum() / max(float(np.square(other).sum()), 1e-12))


def heard(one: Samples, other: Samples) -> float:
    """Return the greatest difference of bass, treble and the level of what is at the sides."""
    treble = difference(np.diff(one, axis=1), np.diff(other, axis=1))
    levels = [float(np.square(sound[0] - sound[1]).sum()) for sound in (one, other)]
    sides = abs(levels[0] - levels[1]) / max(*levels, 1e-12)
    return max(difference(one, other), treble, sides)


@pytest.mark.parametrize("name", MOODS)
def test_a_mood_is_heard(name: str) -> None:
    """Against players in an ordinary room."""
    arrangement = moods.coloured(IN_A_ROOM, MOODS[name], KNOWN)

    assert (
        arrangement.voices != IN_A_ROOM.voices
        or heard(through(IN_A_ROOM.effects), through(arrangement.effects)) > AUDIBLE
    )


def test_no_effect_at_all_is_not_heard() -> None:
    """The control: what the measure says of the untouched sound, and of a mere change of gain."""
    assert heard(mix(), through([])) < 1e-6
    assert difference(mix(), np.float32(0.5) * mix()) < 1e-6


@pytest.mark.parametrize("name", [name for name in MOODS if MOODS[name].effects])
def test_a_bit_of_a_mood_is_no_more_than_all_of_it(name: str) -> None:
    half, whole = (
        heard(mix(), through(moods.coloured(PIANO, MOODS[name], KNOWN, degree=degree).effects))
        for degree in (0.5, 1.0)
    )

    assert half <= whole + 0.02


@pytest.mark.parametrize("degree", [0.25, 0.5, 1.0, 1.5, 2.25])
def test_every_degree_of_every_mood_is_an_effect_that_is_known(degree: float) -> None:
    for mood in MOODS.values():
        for effect in (*mood.effects, *mood.less):
            dosed = moods.dosed(effect, degree)
            effects.check(dosed.kind, dosed.parameters)


def test_every_effect_has_its_place_in_the_chain() -> None:
    chain = [Effect(kind=kind, parameters=_needed(kind)) for kind in sorted(effects.EFFECTS)]
    mood = Mood(words=["all"], effects=chain)
    kinds = [effect.kind for effect in moods.coloured(PIANO, mood, KNOWN).effects]

    assert sorted(kinds) == sorted(effects.EFFECTS)
    assert kinds.index("saturate") < kinds.index("reverb") < kinds.index("lowpass")


def _needed(kind: str) -> dict[str, float | str]:
    needed: dict[str, dict[str, float | str]] = {
        "shelf": {"hertz": 1000.0, "gain_db": 1.0, "side": "high"},
        "lowpass": {"hertz": 1000.0},
        "highpass": {"hertz": 1000.0},
    }
    return needed.get(kind, {})


def test_bass_and_treble_are_two_shelves() -> None:
    both = moods.coloured(moods.coloured(PIANO, MOODS["warm"], KNOWN), MOODS["fat"], KNOWN)

    assert ["shelf", "shelf"] == [effect.kind for effect in both.effects]


def test_one_player_always_stays() -> None:
    pads = PIANO.model_copy(update={"voices": PIANO.voices[1:]})

    assert pads.voices == moods.coloured(pads, Mood(words=["x"], drops=["chords"]), KNOWN).voices


def test_without_a_mood_its_effects_are_gone_and_with_less_of_it_weaker() -> None:
    lush = moods.coloured(PIANO, MOODS["lush"], KNOWN)
    weaker = moods.uncoloured(lush, MOODS["lush"], is_less=True)

    assert [] == moods.uncoloured(lush, MOODS["lush"], is_less=False).effects
    assert weaker.effects[0].parameters["mix"] == 0.5 * float(lush.effects[0].parameters["mix"])


def test_without_legato_nothing_rings() -> None:
    ringing = moods.coloured(PIANO, MOODS["legato"], KNOWN)
    dry = moods.uncoloured(ringing, MOODS["legato"], is_less=False)

    assert all(voice.pedal for voice in ringing.voices)
    assert not any(voice.pedal for voice in dry.voices)


def test_a_narrow_voice_at_the_edge_of_hearing_does_not_move_further() -> None:
    high = Voice(name="bells", role="riff", program=9, range=(96, 108))
    bells = Arrangement(voices=[high])

    assert [high] == moods.coloured(bells, Mood(words=["up"], octave=1), KNOWN).voices


def test_whoever_is_there_already_does_not_join_again() -> None:
    mood = Mood(words=["grand"], adds=["piano", "timpani"])

    assert ["hands", "pad", "timpani"] == [
        voice.name for voice in moods.coloured(PIANO, mood, KNOWN).voices
    ]
