"""What another seed changes, and what it never does."""

from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import variations
from server.engines.arranger import orchestrate, whims
from server.engines.arranger.choices import Choices
from server.engines.arranger.score import Note, Score
from server.engines.protocols import PartChoice
from tests.music import band
from tests.unit.arranger.arranging.pieces import note, of_piece
from variations.schema import STEPS_PER_BAR, Drums

HEARD = of_piece(band(seconds=16.0, drums=False))
PATTERN = {"kick": "x...x...x...x.x.", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."}


def arranged(preset: str, *, seed: int = 3, parts: Mapping[str, PartChoice] | None = None) -> Score:
    """Return the band in a preset, with choices for some parts."""
    arrangement = variations.load()[preset].arrangement
    return orchestrate.arrange(
        HEARD, arrangement, strength=1.0, seed=seed, choices=Choices(parts or {})
    )


def notes_of(score: Score) -> dict[str, tuple[Note, ...]]:
    """Return what every part plays."""
    return {part.voice.name: part.notes for part in score.parts}


def changed(score: Score, other: Score) -> set[str]:
    """Return which parts of two scores differ."""
    ours, theirs = notes_of(score), notes_of(other)
    differing = {name for name in ours if ours[name] != theirs[name]}
    return differing | ({"drums"} if score.hits != other.hits else set())


@pytest.mark.parametrize(
    ("preset", "part"),
    [
        ("synth_retro", "pad"),
        ("synth_retro", "lead"),
        ("synth_retro", "drums"),
        ("strings_quartet", "viola"),
        ("trap_808", "pluck"),
        ("trap_808", "drums"),
        ("lofi_chill", "chords"),
    ],
)
def test_a_part_is_rolled_again_alone(preset: str, part: str) -> None:
    plain = arranged(preset)
    again = arranged(preset, parts={part: PartChoice(seed=4)})

    assert {part} == changed(plain, again)


def test_the_seed_of_all_rolls_everything_again() -> None:
    assert {"pad", "drums", "lead"} <= changed(
        arranged("synth_retro"), arranged("synth_retro", seed=4)
    )


def test_equal_seeds_give_equal_scores() -> None:
    assert set() == changed(arranged("synth_retro"), arranged("synth_retro"))


def test_onsets_that_were_heard_never_move() -> None:
    ours, theirs = (
        notes_of(arranged("synth_retro", seed=0)),
        notes_of(arranged("synth_retro", seed=9)),
    )

    for name in ("pluck", "lead", "bass"):
        assert [(n.start_seconds, n.pitch) for n in ours[name] if n.origin == "heard"] == [
            (n.start_seconds, n.pitch) for n in theirs[name] if n.origin == "heard"
        ]


def test_chords_that_are_rolled_again_are_other_voicings_of_the_same_chords() -> None:
    """Three seeds in a row are three registers, and no tone is strange to the chord."""
    takes = [arranged("synth_retro", parts={"pad": PartChoice(seed=seed)}) for seed in (3, 4, 5)]
    pads = [notes_of(take)["pad"] for take in takes]

    middles = [sum(note.pitch for note in pad) / len(pad) for pad in pads]
    classes = [{(round(n.start_seconds, 3), n.pitch % 12) for n in pad} for pad in pads]
    assert min(abs(a - b) for a, b in pairwise(sorted(middles))) > 0.5
    assert classes[0] == classes[1] == classes[2]


# Orders


@given(pitches=st.lists(st.integers(40, 80), min_size=1, max_size=5, unique=True))
def test_every_order_has_the_whole_chord_and_nothing_else(pitches: list[int]) -> None:
    orders = [whims.broken(sorted(pitches), seed) for seed in range(4)]

    assert all(set(order) == set(pitches) for order in orders)


def test_four_seeds_in_a_row_are_four_orders() -> None:
    assert 4 == len({whims.broken((60, 64, 67), seed) for seed in range(7, 11)})
    assert (60, 64, 67, 64) == whims.broken((60, 64, 67), 0)


# Kits


@settings(max_examples=50)
@given(seed=st.integers(1, 2**31))
def test_a_kit_keeps_its_bass_drum_and_its_backbeat(seed: int) -> None:
    drums = whims.drummed(Drums(kit="linn", pattern=PATTERN), seed)
    snare = drums.pattern["snare"]

    assert PATTERN["kick"] == drums.pattern["kick"]
    assert PATTERN["hat"] == drums.pattern["hat"]
    assert 4 == len(snare)
    assert all(STEPS_PER_BAR == len(row) and row[4] == "x" for row in snare)
    assert all("x" == row[12] for row in snare)


def test_the_fourth_bar_ends_with_a_fill_and_the_others_have_ghosts() -> None:
    drums = whims.drummed(Drums(kit="linn", pattern=PATTERN), 5)
    bars = drums.pattern["snare"]

    assert bars[0] == bars[1] == bars[2]
    assert "-" in bars[0]
    assert bars[3][:12] == PATTERN["snare"][:12]
    assert bars[3][12:] not in (PATTERN["snare"][12:], bars[0][12:])


def test_seed_0_plays_as_it_is_written() -> None:
    drums = Drums(kit="linn", pattern=PATTERN)
    notes = [note(0.0, 1.0, 60), note(0.5, 1.0, 64)]

    assert drums == whims.drummed(drums, 0)
    assert notes == whims.accented(notes, 0)
    assert 0.0 == whims.lean(0)


def test_a_kit_without_a_pattern_has_nothing_to_vary() -> None:
    assert Drums(kit="linn") == whims.drummed(Drums(kit="linn"), 3)


# Accents


@given(seed=st.integers(1, 1000))
def test_accents_change_velocities_alone_and_a_chord_together(seed: int) -> None:
    notes = [note(0.0, 1.0, 60, velocity=0.5), note(0.0, 1.0, 64, velocity=0.5)]
    one, other = whims.accented(notes, seed)

    assert one.velocity == other.velocity
    assert 0.5 * 10 ** (-2.6 / 20) < one.velocity < 0.5 * 10 ** (2.6 / 20)
    assert [(n.start_seconds, n.seconds, n.pitch) for n in notes] == [
        (n.start_seconds, n.seconds, n.pitch) for n in (one, other)
    ]
