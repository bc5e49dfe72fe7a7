"""What a sentence asks for, and what of the source it leaves in place."""

import pytest

import variations
from server.engines.arranger.prompt import Reading, read


def roles(reading: Reading) -> set[str]:
    """Return which roles are played."""
    return {voice.role for voice in reading.arrangement.voices}


def players(reading: Reading) -> set[str]:
    """Return who plays."""
    return {voice.name for voice in reading.arrangement.voices}


def gain_db(reading: Reading, name: str) -> float:
    """Return how loud somebody plays."""
    return next(voice.gain_db for voice in reading.arrangement.voices if voice.name == name)


def amount(reading: Reading, kind: str, parameter: str) -> float:
    """Return how much of an effect there is; 0 without it."""
    found = [effect for effect in reading.arrangement.effects if effect.kind == kind]
    return float(found[0].parameters[parameter]) if found else 0.0


@pytest.mark.parametrize(
    "prompt",
    [
        "boom bap, no drums",
        "drumless boom bap",
        "drum-free boom bap",
        "boom bap, leave the drums out",
        "boom bap, take the drums out",
        "boom bap minus drums",
        "boom bap but I hate drums",
        "boom bap w/o drums",
        "boom bap with neither bass nor drums",
        "boom bap without bass, piano or drums",
        "boom bap, no loud drums",
        "boom bap, don't use any drums",
        "boom bap, no bass and drums",
    ],
)
def test_drums_are_sent_away_however_it_is_said(prompt: str) -> None:
    reading = read(prompt)

    assert reading.arrangement.drums is None
    assert reading.keep_drums is False
    assert reading.is_drumless


@pytest.mark.parametrize(
    "prompt",
    [
        "boom bap",
        "boom bap, no piano, drums",
        "boom bap, not dark drums",
        "drums, boom bap. No, yes",
    ],
)
def test_drums_that_are_not_sent_away_play(prompt: str) -> None:
    reading = read(prompt)

    assert reading.arrangement.drums is not None
    assert reading.keep_drums is None
    assert not reading.is_drumless


@pytest.mark.parametrize(
    "prompt",
    [
        "strings, keep the drums",
        "strings and leave my drums alone",
        "strings with the original drums",
        "strings, don't touch the drums",
    ],
)
def test_kept_drums_are_the_sources(prompt: str) -> None:
    assert read(prompt).keep_drums is True


def test_every_guitar_goes_with_no_guitars() -> None:
    programs = {voice.program for voice in read("rock without any guitars").arrangement.voices}

    assert programs.isdisjoint(range(24, 32))
    assert len(programs) > 1, "somebody takes over, so that not a bass alone is left"


def test_a_single_kind_goes_alone() -> None:
    assert "viola" not in players(read("string quartet without viola"))
    assert "violin 1" in players(read("string quartet without viola"))


@pytest.mark.parametrize(
    "prompt",
    [
        "instead of piano use harp",
        "harp instead of the piano",
        "replace the piano with a harp",
        "swap piano for harp",
        "turn my piano into a harp",
        "piano -> harp",
        "the piano should be replaced by a harp",
        "harp rather than piano",
    ],
)
def test_what_is_replaced_does_not_play(prompt: str) -> None:
    assert {"harp"} == players(read(prompt))


@pytest.mark.parametrize(
    "prompt",
    [
        "jazz, only piano",
        "jazz, piano only",
        "jazz, nothing but a plain old piano",
        "jazz on piano, nothing else",
        "jazz, just a piano",
    ],
)
def test_only_means_nobody_else(prompt: str) -> None:
    reading = read(prompt)

    assert {"piano"} == players(reading)
    assert reading.arrangement.drums is None
    assert reading.is_drumless


def test_only_drums_leave_nobody_else() -> None:
    reading = read("only drums")

    assert players(reading) == set()
    assert reading.arrangement.drums is not None


def test_just_a_touch_is_not_only() -> None:
    assert len(players(read("jazz with just a touch of reverb"))) > 1


def test_what_is_added_leaves_the_source_beneath_it() -> None:
    assert {"pitched": 0.5, "drums": 0.0} == dict(read("add strings and a harp").layers)
    assert {"pitched": 0.0, "drums": 0.5} == dict(read("add some congas").layers)
    assert {} == dict(read("strings and a harp").layers)
    assert {} == dict(read("jazz, add a trumpet").layers)


def test_a_new_kit_alone_leaves_the_rest_as_it_is() -> None:
    reading = read("swap the drums for congas")

    assert {"pitched": 0.0, "drums": 1.0} == dict(reading.layers)
    assert reading.keep_drums is False
    assert reading.arrangement.drums is not None
    assert reading.arrangement.drums.kit == "hand"


def test_a_voice_stays_or_goes_as_it_is_said() -> None:
    assert read("orchestra, keep the vocals").layers["vocals"] == 0.0
    assert read("pads under my vocals").layers["vocals"] == 0.0
    assert read("orchestra without vocals").layers["vocals"] == 1.0
    assert "vocals" not in read("orchestra").layers


def test_a_voice_that_is_turned_into_something_is_played() -> None:
    reading = read("turn my humming into a violin")

    assert {"violin"} == players(reading)
    assert reading.layers["vocals"] == 1.0
    assert ("humming", "violin") == reading.understood


def test_whoever_is_sent_away_later_does_not_play() -> None:
    reading = read("piano and strings, but no piano")

    assert {"string section"} == players(reading)
    assert "no piano" in reading.understood


def test_what_would_leave_nobody_is_owned_up_to() -> None:
    reading = read("piano without piano")

    assert {"piano"} == players(reading)
    assert ("without piano",) == reading.ignored


def test_a_bass_that_is_named_stays_with_no_bass() -> None:
    """A tuba is no bass guitar."""
    assert {"tuba", "piano"} == players(read("tuba and piano, no bass"))


def test_what_the_engine_keeps_anyway_is_understood() -> None:
    reading = read("harp, keep the melody and the chords")

    assert ("harp", "keep the melody", "keep chords") == reading.understood
    assert reading.layers == {}


def test_what_cannot_be_kept_is_owned_up_to() -> None:
    assert "keep the bass" in read("keep the bass, darker").ignored


def test_a_musicians_own_instrument_is_no_player() -> None:
    reading = read("make my old banjo darker")

    assert "banjo" not in players(reading)
    assert "old banjo" in reading.ignored
    assert "lowpass" in {effect.kind for effect in reading.arrangement.effects}


def test_less_and_more_are_less_and_more() -> None:
    plain, less, more = (
        amount(read(f"harp with {how} reverb"), "reverb", "mix")
        for how in ("", "a bit of", "lots of")
    )
    of_hall = amount(read("string quartet, less reverb"), "reverb", "mix")

    assert less < plain < more
    assert of_hall == 0.5 * amount(read("string quartet"), "reverb", "mix")
    assert amount(read("string quartet, no reverb"), "reverb", "mix") == 0.0


def test_not_too_bright_is_darker_and_not_too_dark_is_brighter() -> None:
    assert amount(read("piano, not too bright"), "shelf", "gain_db") < 0
    assert amount(read("piano, not too dark"), "shelf", "gain_db") > 0
    assert amount(read("piano, slightly brighter"), "shelf", "gain_db") < amount(
        read("piano, very bright"), "shelf", "gain_db"
    )


def test_a_player_is_as_loud_as_it_is_said() -> None:
    faint, plain, loud = (
        gain_db(read(f"piano and {words}"), "string section")
        for words in ("a bit of strings", "strings", "the strings louder")
    )

    assert faint < plain < loud


def test_less_of_a_player_who_plays_is_softer() -> None:
    reading = read("jazz trio, less piano, fewer drums")
    before = read("jazz trio")

    assert gain_db(reading, "piano") < gain_db(before, "piano")
    assert reading.arrangement.drums is not None
    assert before.arrangement.drums is not None
    assert reading.arrangement.drums.gain_db < before.arrangement.drums.gain_db
    assert {"less piano", "fewer drums"} <= set(reading.understood)


def test_less_of_nobody_is_ignored() -> None:
    assert ("less banjo",) == read("harp, less banjo").ignored


def test_it_should_not_sound_like_what_is_named() -> None:
    reading = read("celtic, and it should not sound like a fiddle")

    assert "fiddle" not in players(reading)
    assert "flute" in players(reading)


def test_a_clause_about_use_ends_where_the_wish_resumes() -> None:
    reading = read("harp for my rock festival, but without drums")

    assert {"harp"} == players(reading)
    assert {"rock", "festival"} <= set(reading.ignored)
    assert reading.is_drumless


def test_more_players_than_can_be_heard_are_ignored() -> None:
    many = "piano harp banjo sitar koto kalimba marimba xylophone celesta dulcimer"
    reading = read(f"{many} accordion flute oboe")

    assert len(reading.arrangement.voices) == 10
    assert ("accordion", "flute", "oboe") == reading.ignored


def test_an_octave_and_staccato_and_epic_change_the_players() -> None:
    plain = read("harp").arrangement.voices[0]
    lower = read("harp, an octave lower").arrangement.voices[0]
    epic = read("epic harp")

    assert lower.octave == plain.octave - 1
    assert lower.range[0] == plain.range[0] - 12
    assert read("staccato piano").arrangement.voices[0].articulation == "plucked"
    assert {"harp", "french horn", "timpani"} <= players(epic)
    assert epic.arrangement.voices[0].octave_double


def test_sparse_and_busy_are_fewer_and_more_voices() -> None:
    sparse, plain, busy = (
        len(read(f"{how} synthwave").arrangement.voices) for how in ("sparse", "", "busy")
    )

    assert sparse < plain <= busy
    assert "arpeggio" in roles(read("busy piano"))


@pytest.mark.parametrize("name", variations.load())
def test_every_preset_can_be_asked_for_by_its_name_in_words(name: str) -> None:
    reading = read(f"{name.replace('_', ' ')}, please")

    assert reading.base == name
    assert reading.arrangement == variations.load()[name].arrangement
    assert reading.ignored == ()


@pytest.mark.parametrize(
    ("prompt", "ignored"),
    [
        ("louder. Nothing else", ("louder", "nothing")),
        ("harp, loud mornings", ("loud", "mornings")),
        ("make my mornings darker", ("mornings",)),
        ("strings, replace the rest", ()),
        ("play harp. like rain", ("rain",)),
    ],
)
def test_small_words_about_nothing_known_are_owned_up_to(
    prompt: str, ignored: tuple[str, ...]
) -> None:
    assert set(ignored) <= set(read(prompt).ignored)


def test_a_new_player_with_the_rest_kept_leaves_drums_and_voice() -> None:
    assert {"drums": 0.0, "vocals": 0.0} == dict(read("harp, keep everything else").layers)
