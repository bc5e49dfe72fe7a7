"""Whatever is typed, the answer can be played and owns up to what was not understood."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import variations
from server.engines.arranger import lexicon, wording
from server.engines.arranger.prompt import Reading, read
from server.engines.arranger.spelling import slips, speller
from variations.schema import Arrangement, Voice

KNOWN = lexicon.load()
SMALL = {
    word for table in (KNOWN.markers, KNOWN.degrees) for phrase in table for word in phrase
} | KNOWN.filler
PHRASES = sorted(
    {word for entry in KNOWN.meanings.values() for m in entry for word in getattr(m, "words", [])}
)

TYPED = st.lists(
    st.sampled_from([*PHRASES, *(" ".join(phrase) for phrase in KNOWN.markers), ",", ".", "qwxz"])
    | st.sampled_from(["and", "or", "the", "into", "with", "for", "my", "it", "drumless", "piano"])
    | st.text(max_size=8),
    max_size=16,
).map(" ".join)
"""Sentences of known phrases, small words and anything else."""

TABLE = tomllib.loads(Path(__file__).with_name("prompts.toml").read_text(encoding="utf-8"))
CONTROLS: list[str] = [*TABLE["ordinary"].split(), *TABLE["artists"].split()]


@given(TYPED)
def test_any_text_gives_an_arrangement_that_can_be_played(text: str) -> None:
    arrangement = read(text).arrangement

    assert arrangement == Arrangement.model_validate(arrangement.model_dump())
    assert arrangement.voices or arrangement.drums is not None


def words_of(reading: Reading) -> set[str]:
    """Return every word a reading tells of."""
    told = " ".join((*reading.understood, *reading.ignored))
    return set(wording.plain_words(told.replace("(", " ").replace(")", " ")))


@given(TYPED)
def test_every_word_that_says_something_is_told_of(text: str) -> None:
    assert set(wording.plain_words(text)) - SMALL <= words_of(read(text)) | {"bpm", "n"}


@given(TYPED)
def test_nothing_is_understood_and_ignored_at_once(text: str) -> None:
    reading = read(text)

    assert set(reading.understood).isdisjoint(reading.ignored)
    assert len(set(reading.understood)) == len(reading.understood)
    assert len(set(reading.ignored)) == len(reading.ignored)


@given(TYPED, st.sampled_from(sorted(variations.load())))
def test_a_guess_is_named_where_nobody_to_play_is(text: str, name: str) -> None:
    """With a preset that came along, it is the base or its name is the guess."""
    reading = read(text, preset=variations.load()[name])

    assert reading.guessed in (None, name)
    assert reading.guessed is None or reading.base == name


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("chello", "cello"),
        ("violn", "violin"),
        ("voilin", "violin"),
        ("gutiar", "guitar"),
        ("guiter", "guitar"),
        ("saxaphone", "saxophone"),
        ("acordian", "accordion"),
        ("harpsicord", "harpsichord"),
        ("trumpt", "trumpet"),
        ("clarinett", "clarinet"),
        ("xylaphone", "xylophone"),
        ("mandolyn", "mandolin"),
        ("synthisizer", "synthesizer"),
        ("orchestrial", "orchestral"),
        ("syntwave", "synthwave"),
        ("cinimatic", "cinematic"),
        ("distored", "distorted"),
        ("vibrophone", "vibraphone"),
        ("ukelele", "ukulele"),
        ("tromboen", "trombone"),
        ("pianno", "piano"),
        ("marima", "marimba"),
        ("refverb", "reverb"),
    ],
)
def test_a_slip_of_spelling_is_forgiven_and_shown(typed: str, meant: str) -> None:
    assert (f"{typed} ({meant})",) == read(typed).understood


def test_most_slips_are_forgiven_and_few_are_mistaken() -> None:
    """One letter missed, doubled or swapped in each instrument of six letters and more."""
    voices = [m for found in KNOWN.meanings.values() for m in found if isinstance(m, Voice)]
    long = sorted({v.name for v in voices if v.name.isalpha() and len(v.name) >= 6})
    slipped = [(f"{name[:3]}{name[4:]}", name) for name in long]
    slipped += [(f"{name[:3]}{name[3]}{name[3:]}", name) for name in long]
    slipped += [(f"{name[:3]}{name[4]}{name[3]}{name[5:]}", name) for name in long]
    right = sum(f"{typed} ({name})" in read(typed).understood for typed, name in slipped)

    assert right >= 0.8 * len(slipped)


@pytest.mark.parametrize("word", CONTROLS)
def test_ordinary_words_and_names_are_no_misspellings(word: str) -> None:
    reading = read(word)

    assert all("(" not in phrase for phrase in reading.understood)


def test_words_without_a_sound_are_ignored_and_said() -> None:
    reading = read("beautiful, expensive, professional piano with emotion")

    assert ("piano",) == reading.understood
    assert {"beautiful", "expensive", "professional", "emotion"} == set(reading.ignored)


def test_names_that_hold_words_of_sound_do_not_mean_them() -> None:
    reading = read("strings like Beach House or the Black Keys")

    assert {"string section"} == {voice.name for voice in reading.arrangement.voices}
    assert {"beach house", "black keys"} <= set(reading.ignored)


def test_words_of_other_scripts_are_owned_up_to() -> None:
    assert {"ピアノ", "скрипка"} <= set(read("harp ピアノ скрипка").ignored)


@given(st.text("abcde", min_size=1, max_size=8), st.text("abcde", min_size=1, max_size=8))
def test_slips_are_a_distance(one: str, other: str) -> None:
    assert slips(one, other) == slips(other, one)
    assert (slips(one, other) == 0) == (one == other)
    assert slips(one, other) <= max(len(one), len(other))


def test_a_known_word_is_itself_and_a_far_one_nothing() -> None:
    known = speller(["marimba", "harp"], ["marimbo"])

    assert known.corrected("harp") == "harp"
    assert known.corrected("marmba") == "marimba"
    assert known.corrected("marimbo") is None
    assert known.corrected("carpet") is None
    assert known.corrected("hapr") is None
