"""Sentences in pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.engines.arranger.wording import COMMA, STOP, sentence

PURPOSES = [("perfect", "for"), ("ideal", "for")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Café-style Piano!", ("cafe", "style", "piano", STOP)),
        ("don't (really) stop", ("dont", COMMA, "really", COMMA, "stop")),
        ("turn this into a harp", ("a", "harp")),
        ("make it louder. like a harp", ("make", "it", "louder", STOP, "like", "a", "harp")),
        ("play harp", ("play", "harp")),
        ("just turn my banjo into a harp", ("just", COMMA, "a", "harp")),
        ("guitar -> harp", ("harp",)),
        ("from banjo to harp", ("harp",)),
        ("from here on harp", ("from", "here", "on", "harp")),
        ("my riff into harps. flute", ("harps", STOP, "flute")),
        ("hello. riff into harps", ("hello", STOP, "harps")),
        ("make it dark like a cave", ("make", "it", "dark", "like", "a", "cave")),
        ("play the banjo like a harp", ("a", "harp")),
        (
            "make it brighter, add harp to it",
            ("make", "it", "brighter", COMMA, "add", "harp", "to", "it"),
        ),
        ("harp w/o flute + drums", ("harp", "without", "flute", "and", "drums")),
        ("harp, ideal for films, but no drums", ("harp", COMMA, COMMA, "but", "no", "drums")),
        ("harp, ideal for films. flute", ("harp", COMMA, STOP, "flute")),
    ],
)
def test_what_may_say_how_to_play_is_kept(text: str, words: tuple[str, ...]) -> None:
    assert words == sentence(text, PURPOSES).words


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("at 120 bpm", ("120 bpm",)),
        ("92.5BPM in A minor", ("92.5bpm", "a minor")),
        ("in Bb-major", ("bb major",)),
        ("c sharp minor", ("c sharp minor",)),
        ("a minor mistake", ("a minor",)),
        ("in major trouble", ()),
    ],
)
def test_tempo_and_key_are_facts(text: str, facts: tuple[str, ...]) -> None:
    assert facts == sentence(text, PURPOSES).facts


def test_what_is_cut_is_told() -> None:
    cut = sentence("turn my banjo into a harp, perfect for films", PURPOSES)

    assert ("turn", "my", "banjo", "perfect", "for", "films") == cut.aside


@given(st.text(max_size=200))
def test_any_text_can_be_cut(text: str) -> None:
    pieces = sentence(text, PURPOSES)

    assert all(word in (COMMA, STOP) or word.isalnum() for word in pieces.words)
