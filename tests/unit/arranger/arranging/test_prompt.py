"""Free prompts: what people type, and what the arranger makes of it."""

import tomllib
from pathlib import Path

import pytest

import variations
from server.engines.arranger import lexicon
from server.engines.arranger.prompt import Reading, read

LEGEND = {
    "string quartet in a small wooden hall": ("violin 1", "cello"),
    "turn my guitar into a music box": ("comb",),
    "80s synthwave with a big lead": ("keys", "lead"),
    "lo-fi hip hop, dusty vinyl, no drums": ("keys", "chords"),
    "solo piano, sad and slow": ("hands",),
    "trap beat with dark 808s at 140 bpm in F# minor": ("808", "bells"),
    "acordion and violn in a paris street": ("accordion", "violin"),
    "heavy metal with distorted guitars": ("guitar", "second guitar"),
    "church organ": ("church organ",),
    "jazz trio with upright bass, perfect for a dinner scene": ("piano", "upright bass"),
    "epic orchestral trailer music with choir and taiko drums": ("celli", "choir"),
    "celtic harp and flute without percussion": ("harp", "flute"),
    "warm ambient pads drifting": ("pad", "glass"),
    "bluegrass banjo": ("banjo", "guitar"),
    "funky slap bass and brass stabs": ("clavinet", "slap bass"),
    "reggae skank": ("organ", "skank"),
    "marimba and kalimba, gentle": ("marimba", "kalimba"),
    "saxophone solo over smooth jazz": ("piano", "saxophone"),
    "Balinese gamelan at dawn": ("gangsa", "jegog"),
    "steel drums on a beach": ("tenor pan",),
    "glitchy bit-crushed beats": ("chops",),
}
"""What people type, and players that must be there."""

MEANINGLESS = (
    "rain on a tin roof",
    "make it sound expensive",
    "purple elephants tiptoeing quietly",
    "asdf qwer zxcv",
    "something my grandmother would enjoy",
    "",
)


def players(reading: Reading) -> set[str]:
    """Return who plays."""
    return {voice.name for voice in reading.arrangement.voices}


def effects(reading: Reading) -> set[str]:
    """Return the effects on the bus."""
    return {effect.kind for effect in reading.arrangement.effects}


@pytest.mark.parametrize("prompt", LEGEND)
def test_what_people_type_brings_the_players_they_mean(prompt: str) -> None:
    reading = read(prompt)

    assert set(LEGEND[prompt]) <= players(reading)
    assert reading.understood
    assert reading.guessed is None


@pytest.mark.parametrize("prompt", MEANINGLESS)
def test_what_is_not_understood_is_called_a_guess(prompt: str) -> None:
    reading = read(prompt)

    assert reading.understood == ()
    assert reading.guessed in variations.load()
    assert variations.load()[str(reading.guessed)].arrangement == reading.arrangement


def test_a_guess_is_the_preset_that_shares_most_words() -> None:
    assert read("a hushed clockwork for the windowsill").guessed == "music_box"


def test_a_guess_is_the_preset_that_came_along() -> None:
    preset = variations.load()["steel_drums"]

    assert read("make it sound expensive", preset=preset).guessed == "steel_drums"


def test_words_win_over_the_preset_that_came_along() -> None:
    """Plugins send some preset with every free prompt."""
    preset = variations.load()["accordion_folk"]

    assert {"piano"} == players(read("a plain piano", preset=preset))
    assert read("chiptune", preset=preset).arrangement.drums is not None


def test_moods_alone_colour_the_preset_that_came_along() -> None:
    preset = variations.load()["music_box"]
    reading = read("dark and dusty", preset=preset)

    assert {"comb", "celesta", "low teeth"} == players(reading)
    assert {"lowpass", "vinyl", "reverb"} <= effects(reading)
    assert reading.guessed is None


def test_moods_alone_without_a_preset_are_played_by_a_named_guess() -> None:
    reading = read("dusty old gramophone")

    assert ("dusty", "gramophone") == reading.understood
    assert reading.guessed == "piano_classical"


def test_tempo_and_key_are_the_sources_and_are_reported() -> None:
    reading = read("piano at 140 bpm in F# minor, or 92.5 BPM")

    assert ("140 bpm", "92.5 bpm", "f# minor") == reading.ignored


def test_ignored_words_are_reported_once_and_without_filler() -> None:
    assert ("shiny", "spoons") == read("a shiny shiny piano with the spoons").ignored


def test_what_is_turned_into_something_is_not_played() -> None:
    reading = read("Please turn my distorted guitar into a soft harp")

    assert {"harp"} == players(reading)
    assert ("distorted", "guitar") == reading.ignored


def test_what_it_is_for_is_not_played() -> None:
    reading = read("Gentle kalimba. Perfect for rock festivals, jazz cellars. With cello.")

    assert {"kalimba", "cello"} == players(reading)
    assert {"rock", "festivals", "jazz"} <= set(reading.ignored)


def test_a_prompt_that_is_only_a_purpose_is_read_after_all() -> None:
    assert {"harpsichord", "continuo"} <= players(read("Perfect for a baroque harpsichord evening"))


@pytest.mark.parametrize("prompt", ["boom bap without drums", "boom bap, no beats or percussion"])
def test_no_drums_means_no_drums(prompt: str) -> None:
    assert read("boom bap").arrangement.drums is not None
    assert read(prompt).arrangement.drums is None


def test_no_bass_sends_every_bass_away() -> None:
    assert "bass" not in {voice.role for voice in read("jazz, no bass").arrangement.voices}


def test_a_negation_ends_where_the_next_thing_begins() -> None:
    reading = read("jazz with no piano and a flute")

    assert "piano" not in players(reading)
    assert "flute" in players(reading)


def test_somebody_always_plays() -> None:
    assert {"piano"} == players(read("piano without piano"))


def test_an_unwanted_genre_has_no_effect_and_is_reported() -> None:
    reading = read("harp, not jazz")

    assert ("harp",) == reading.understood
    assert "not jazz" in reading.ignored


def test_no_reverb_means_no_reverb() -> None:
    assert "reverb" not in effects(read("synthwave without reverb"))


def test_drum_words_bring_a_drummer_to_players_who_have_none() -> None:
    assert read("harp").arrangement.drums is None
    assert read("harp with drums").arrangement.drums is not None


def test_drums_alone_are_a_drum_preset() -> None:
    reading = read("a breakbeat")

    assert reading.base == "lo_fi_drums"
    assert reading.arrangement.drums is not None
    assert reading.arrangement.drums.kit == "breaks"
    assert reading.guessed is None


def test_the_last_genre_of_a_clause_is_its_head() -> None:
    """The others have no effect, and say so; a decade still has a sound."""
    reading = read("80s synthwave, a bit of jazz and country")

    assert ("80s", "synthwave") == reading.understood
    assert ("a bit of jazz", "country") == reading.ignored
    assert reading.base == "synthwave_retro"


def test_a_named_instrument_takes_the_place_of_its_role() -> None:
    bass = [
        voice
        for voice in read("boom bap with slap bass").arrangement.voices
        if voice.role == "bass"
    ]

    assert [36] == [voice.program for voice in bass]


def test_an_instrument_of_no_seat_joins_a_little_softer() -> None:
    reading = read("string quartet with piano")
    piano = next(voice for voice in reading.arrangement.voices if voice.name == "piano")

    assert piano.gain_db == -3.0
    assert len(reading.arrangement.voices) == 5


def test_a_melody_instrument_alone_plays_everything() -> None:
    assert ["riff"] == [voice.role for voice in read("saxophone").arrangement.voices]


def test_an_instrument_named_twice_plays_once() -> None:
    assert ["piano"] == [voice.name for voice in read("piano and more piano").arrangement.voices]


def test_two_instruments_of_one_name_are_told_apart() -> None:
    names = [voice.name for voice in read("celtic with nylon guitar").arrangement.voices]

    assert {"guitar", "guitar again"} <= set(names)


def test_flowing_means_a_pedal() -> None:
    assert all(voice.pedal for voice in read("flowing harp").arrangement.voices)


def test_sparse_means_no_pads() -> None:
    roles = {voice.role for voice in read("sparse synthwave").arrangement.voices}

    assert roles.isdisjoint({"chords", "arpeggio"})


def test_strokes_of_players_who_left_are_dropped() -> None:
    assert "kick" not in read("bluegrass with tuba").arrangement.strokes


@pytest.mark.parametrize("word", ["celestial", "house", "string"])
def test_a_likeness_is_not_a_misspelling(word: str) -> None:
    """`celestial` is not `celesta`; `house` and `string` mean themselves."""
    assert word in read(f"{word} harp").ignored or read(word).understood == (word,)


@pytest.mark.parametrize("name", variations.load())
def test_a_presets_name_is_understood_as_that_preset(name: str) -> None:
    base = read(name).arrangement

    assert variations.load()[name].arrangement.voices[0].name == base.voices[0].name


def test_the_lexicon_is_complete() -> None:
    """Every base it names exists and every arrangement in it is valid, or loading would fail."""
    words = lexicon.load()

    assert 350 < len(words.meanings)
    assert set(variations.load()) < set(words.bases)


def test_a_genre_without_a_base_is_a_mistake_that_is_named() -> None:
    path = Path(lexicon.__file__).with_name("lexicon.toml")
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    presets = {name: preset.arrangement for name, preset in variations.load().items()}
    table["genres"].append({"words": ["zydeco"], "base": "zydeco"})

    with pytest.raises(ValueError, match="no such base: zydeco"):
        lexicon.of_table(table, presets)


def test_no_words_mean_nothing() -> None:
    assert lexicon.load().longest([]) == (0, ())
