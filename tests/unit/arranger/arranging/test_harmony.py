"""Progressions and voicings."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from server.engines.arranger import harmony
from server.engines.arranger.score import Chord
from tests.unit.arranger.arranging.pieces import chord, heard, note

NAMES = ("Am", "F", "C", "G", "Dm7", "E7", "Bdim", "F#m", "A#maj7", "Gsus4")


def beats(*names: str) -> list[Chord]:
    """Return one chord a beat of half a second."""
    return [chord(0.5 * i, 0.5 * i + 0.5, name) for i, name in enumerate(names)]


def names(*beat_names: str) -> list[str]:
    """Return the names of the progression of these beats."""
    clip = heard([note(0, 2, 57)], beats(*beat_names))
    return [each.name for each in harmony.progression(clip)]


@given(pitch=st.integers(0, 127), low=st.integers(20, 90), span=st.integers(11, 40))
def test_fitting_keeps_the_pitch_class_and_meets_the_range(pitch: int, low: int, span: int) -> None:
    fitted = harmony.fit(pitch, low, low + span)

    assert pitch % 12 == fitted % 12
    assert low <= fitted <= low + span


def test_fitting_leaves_alone_what_already_fits() -> None:
    assert harmony.fit(60, 48, 72) == 60


def test_equal_beats_are_one_chord() -> None:
    clip = heard([note(0, 2, 57)], beats("Am", "Am", "F", "F"))

    assert [(0.0, 1.0), (1.0, 2.0)] == [
        (each.start_seconds, each.end_seconds) for each in harmony.progression(clip)
    ]


def test_a_single_beat_between_two_equal_ones_is_a_fluke() -> None:
    assert ["Am", "F"] == names("Am", "Am", "D", "Am", "F", "F")


def test_two_different_beats_are_not_a_fluke() -> None:
    assert ["Am", "D", "E"] == names("Am", "D", "E")


def test_beats_without_a_chord_take_the_last_one() -> None:
    assert ["Am", "G"] == names("Am", "Am", "N", "N", "G", "G")


def test_beats_before_the_first_chord_take_that_one() -> None:
    assert ["C"] == names("N", "N", "C", "C")


def test_without_any_chord_the_key_is_taken() -> None:
    assert ["Am"] == names("N", "N", "N")


def test_without_even_a_key_the_lowest_note_carries_a_fifth() -> None:
    clip = replace(heard([note(0, 2, 52), note(0, 2, 60)], beats("N", "N")), key=None)

    assert ["E5"] == [each.name for each in harmony.progression(clip)]


def test_no_chords_have_no_voicings() -> None:
    assert harmony.voicings([], 3, 48, 72, seed=0) == ()


def test_nothing_pitched_has_no_progression() -> None:
    assert harmony.progression(heard([], beats("Am"), pitchedness=0.0)) == ()


def test_a_chord_is_found_by_its_time_and_at_the_edges_by_nearness() -> None:
    chords = harmony.progression(heard([note(0, 2, 57)], beats("Am", "Am", "F", "F")))

    assert ["Am", "Am", "F", "F"] == [
        found.name if (found := harmony.chord_at(chords, at)) else ""
        for at in (-1.0, 0.99, 1.0, 99.0)
    ]


def test_no_chords_no_chord() -> None:
    assert harmony.chord_at((), 1.0) is None


def test_the_main_root_lasts_longest() -> None:
    assert harmony.main_root(beats("C", "F", "F", "C", "F")) == 5


def test_without_chords_there_is_no_main_root() -> None:
    assert harmony.main_root(beats("N")) is None


@given(
    picked=st.lists(st.sampled_from(NAMES), min_size=1, max_size=8),
    size=st.integers(3, 5),
    seed=st.integers(0, 99),
)
def test_every_voicing_is_the_chord_and_complete(picked: list[str], size: int, seed: int) -> None:
    """All tones belong to the chord, none of the triad is missing, all lie in the range."""
    chords = beats(*picked)

    for each, pitches in zip(
        chords, harmony.voicings(chords, size, 48, 76, seed=seed), strict=True
    ):
        assert set(each.pitch_classes[:3]) <= {pitch % 12 for pitch in pitches}
        assert {pitch % 12 for pitch in pitches} <= set(each.pitch_classes)
        assert all(48 <= pitch <= 76 for pitch in pitches)


def test_voices_move_little() -> None:
    voiced = np.array(harmony.voicings(beats("Am", "F", "C", "G"), 3, 48, 76, seed=0))

    assert np.abs(np.diff(voiced, axis=0)).mean() <= 3.0


def test_the_same_seed_gives_the_same_voicing_and_another_one_another() -> None:
    chords = beats("Am", "F", "C", "G", "Dm7", "E7")
    first = harmony.voicings(chords, 4, 48, 79, seed=1)

    assert first == harmony.voicings(chords, 4, 48, 79, seed=1)
    assert any(first != harmony.voicings(chords, 4, 48, 79, seed=seed) for seed in (2, 3, 4))


def test_a_bare_fifth_can_be_voiced_by_more_players_than_it_has_tones() -> None:
    (pitches,) = harmony.voicings(beats("C5"), 4, 60, 71, seed=0)

    assert {0, 7} == {pitch % 12 for pitch in pitches}


def test_the_fast_search_finds_what_trying_everything_finds() -> None:
    """Dynamic programming against all paths through all candidates."""
    chords = beats("Am", "F", "G")
    best = harmony.voicings(chords, 3, 55, 67, seed=5)
    options = [harmony._candidates(each, 3, 55, 67) for each in chords]
    random = np.random.default_rng(5)
    prices = [
        harmony._prices(each, option, 61.0) + harmony._WHIM * random.random(len(option))
        for each, option in zip(chords, options, strict=True)
    ]

    def price(path: tuple[int, ...]) -> float:
        rows = [options[number][at] for number, at in enumerate(path)]
        moved = sum(int(np.abs(a - b).sum()) for a, b in pairwise(rows))
        return moved + sum(float(prices[number][at]) for number, at in enumerate(path))

    slow = min(product(*(range(len(option)) for option in options)), key=price)
    assert [tuple(options[n][at].tolist()) for n, at in enumerate(slow)] == list(best)
