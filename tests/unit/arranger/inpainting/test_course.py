"""The chords that were not heard: a loop goes on in its phase, or the bars before lead on."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.engines.arranger.inpainting import course
from server.engines.arranger.inpainting.course import Beat
from server.engines.arranger.score import Chord, Note
from server.media.key import Key

A_MINOR = Key(9, "minor")
NAMES = {"Am": (9, "m"), "F": (5, ""), "C": (0, ""), "G": (7, ""), "Dm": (2, "m"), "E": (4, "")}
NAMES |= {"A": (9, ""), "Am7": (9, "m7"), "Asus4": (9, "sus4"), "B": (11, ""), "D": (2, "")}


def chord(name: str) -> Chord:
    """Return a chord by its name, at no particular time."""
    root, quality = NAMES[name]
    return Chord(0.0, 0.0, root, quality, root, 1.0)


def bars(*names: str) -> list[Chord]:
    """Return four beats of each chord."""
    return [chord(name) for name in names for _ in range(4)]


def with_gap(beats: Sequence[Chord], first: int, last: int) -> list[Beat]:
    """Return the beats with those from `first` up to `last` unheard."""
    return [None if first <= at < last else each for at, each in enumerate(beats)]


def filled(beats: Sequence[Beat], key: Key | None = A_MINOR) -> list[str]:
    """Return the names of the chords of all beats."""
    chords, _ = course.completed(beats, meter=4, downbeat=0, key=key)
    return [each.name for each in chords]


LOOP = bars(*("Am", "F", "C", "G") * 4)


@given(st.integers(1, 40), st.integers(1, 16))
@settings(max_examples=60)
def test_a_loop_goes_on_in_its_phase(first: int, length: int) -> None:
    gap = with_gap(LOOP, first, first + length)

    assert [each.name for each in LOOP] == filled(gap)


def test_a_rotated_loop_is_another_piece() -> None:
    """The judge sees a loop that goes on one bar too late."""
    gap = with_gap(LOOP, 20, 36)
    rotated = [each.name for each in (*LOOP[4:], *LOOP[:4])]
    agree = [a == b for a, b in zip(filled(gap)[20:36], rotated[20:36], strict=True)]

    assert sum(agree) == 0


@pytest.mark.parametrize(("first", "last"), [(0, 12), (52, 64)])
def test_the_loop_is_known_at_an_edge_from_one_side(first: int, last: int) -> None:
    assert [each.name for each in LOOP] == filled(with_gap(LOOP, first, last))


def test_eight_bars_that_neither_side_holds_twice_are_found_across_the_gap() -> None:
    piece = bars(
        "Am", "F", "C", "G", "Dm", "F", "E", "Am", "Am", "F", "C", "G", "Dm", "F", "E", "Am"
    )
    gap = with_gap(piece, 24, 40)
    _, loop = course.completed(gap, meter=4, downbeat=0, key=A_MINOR)

    assert loop is not None
    assert loop.beats == 32
    assert [each.name for each in piece] == filled(gap)


def test_one_wrong_beat_does_not_hide_the_shorter_loop() -> None:
    heard = list(LOOP)
    heard[9] = chord("Dm")
    loops = course.find_loops(with_gap(heard, 20, 36), 4)

    assert loops[0].beats == 16


def test_without_a_loop_the_bars_before_lead_into_what_follows() -> None:
    piece = bars("Am", "F", "Dm", "B", "C", "C", "C", "C", "Am", "E")
    chords = filled(with_gap(piece, 16, 32))

    assert chords[16:30] == [each.name for each in bars("Am", "F", "Dm", "B")][:14]
    assert chords[30:32] == ["E", "E"]


def test_a_dominant_outside_of_the_key_is_not_invented() -> None:
    piece = bars("Am", "F", "Dm", "G", "C", "C", "C", "C", "B", "E", "D")

    assert filled(with_gap(piece, 16, 32))[28:32] == ["G"] * 4


def test_before_the_first_heard_bar_come_the_bars_that_follow() -> None:
    piece = bars("C", "C", "Am", "F", "Dm", "E")

    assert filled(with_gap(piece, 0, 8))[:8] == [each.name for each in bars("Dm", "E")]


def test_nothing_heard_is_nothing_supposed() -> None:
    chords, loop = course.completed([None] * 8, meter=4, downbeat=0, key=None)

    assert loop is None
    assert all(each.root is None for each in chords)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("Am", "Am", 1.0),
        ("Am", "Am7", 1.0),
        ("Am", "Asus4", 1.0),
        ("Am", "A", 0.7),
        ("C", "Am", 0.25),
    ],
)
def test_chords_are_alike_by_root_and_third(one: str, other: str, alike: float) -> None:
    assert course.likeness(chord(one), chord(other)) == pytest.approx(alike)


def test_bars_begin_where_chords_change_and_basses_fall() -> None:
    beats: list[Beat] = [*LOOP[3:15]]
    times = [float(at) for at in range(12)]
    bass = [Note(float(at), 1.0, 40, 0.9) for at in (1, 5, 9)]

    assert course.find_downbeat(beats, times, bass) == 1
    assert course.find_downbeat([None] * 12, times, []) == 0
