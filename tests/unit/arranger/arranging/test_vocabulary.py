"""Presets and players agree on names: what a preset may use can be played, and the reverse."""

import pytest

import variations
from server.engines.arranger import drumkits, effects, lexicon, synths
from variations import sounds
from variations.schema import Arrangement

ARRANGEMENTS = {
    **{name: preset.arrangement for name, preset in variations.load().items()},
    **{f"lexicon: {name}": base for name, base in lexicon.load().bases.items()},
}
MOODS = [
    meaning
    for meanings in lexicon.load().meanings.values()
    for meaning in meanings
    if isinstance(meaning, lexicon.Mood)
]


def test_every_name_can_be_played_and_every_sound_has_a_name() -> None:
    assert set(synths.SYNTHS) == sounds.SYNTHS
    assert set(drumkits.KITS) == sounds.KITS
    assert set(effects.EFFECTS) == sounds.EFFECTS


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_every_effect_of_an_arrangement_knows_its_parameters(name: str) -> None:
    arrangement: Arrangement = ARRANGEMENTS[name]

    for effect in arrangement.effects:
        effects.check(effect.kind, effect.parameters)


def test_every_effect_of_a_mood_knows_its_parameters() -> None:
    for mood in MOODS:
        for effect in mood.effects:
            effects.check(effect.kind, effect.parameters)


def test_every_preset_with_a_kit_has_a_pattern_for_sources_without_drums() -> None:
    kits = [each.drums for each in ARRANGEMENTS.values() if each.drums is not None]

    assert all(kit.pattern for kit in kits)
