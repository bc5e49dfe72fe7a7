"""The grid and what is played on it."""

from dataclasses import replace

import pytest

from server.engines.arranger import rhythm
from server.engines.arranger.score import DrumHit
from server.engines.arranger.spans import Span
from tests.unit.arranger.arranging.pieces import heard, note
from variations.schema import Drums

BAR = heard([note(0, 2, 57)], seconds=4.0)
FOUR = Drums(kit="808", pattern={"kick": "x...x...x...x..."})


def onsets(hits: tuple[DrumHit, ...] | list[DrumHit]) -> list[float]:
    """Return when the strokes fall."""
    return [round(hit.start_seconds, 6) for hit in hits]


def test_a_clip_of_two_bars_has_thirty_two_sixteenths() -> None:
    steps = rhythm.grid(BAR)

    assert [number % 16 for number in range(32)] == [step.index for step in steps]
    assert [0.125 * number for number in range(32)] == [step.start_seconds for step in steps]


def test_a_pickup_belongs_to_the_bar_before() -> None:
    steps = rhythm.grid(replace(BAR, downbeat=1))

    assert (-1, 12) == (steps[0].bar, steps[0].index)
    assert (0, 0) == (steps[4].bar, steps[4].index)


def test_a_row_is_played_with_its_velocities() -> None:
    found = rhythm.strokes(rhythm.grid(BAR)[:16], "x..o..-.........")

    assert [(0.0, 1.0), (0.375, 0.6), (0.75, 0.35)] == [
        (stroke.start_seconds, stroke.velocity) for stroke in found
    ]


@pytest.mark.parametrize(("sign", "count"), [("r", 2), ("t", 3)])
def test_a_roll_divides_its_step_evenly(sign: str, count: int) -> None:
    found = rhythm.strokes(rhythm.grid(BAR)[:16], sign + "." * 15)

    assert [pytest.approx(0.125 * n / count) for n in range(count)] == [
        stroke.start_seconds for stroke in found
    ]


def test_several_rows_take_turns() -> None:
    found = rhythm.strokes(rhythm.grid(BAR), ["x" + "." * 15, "." * 8 + "x" + "." * 7])

    assert [0.0, 3.0] == [stroke.start_seconds for stroke in found]


def test_swing_delays_every_second_sixteenth() -> None:
    drums = Drums(kit="808", pattern={"hat": "xx" + "." * 14}, swing=0.4)

    assert [0.0, 0.175, 2.0, 2.175] == onsets(rhythm.pattern_hits(rhythm.grid(BAR), drums))


def drummed(count: int) -> tuple[DrumHit, ...]:
    """Return so many strokes, none of them on the grid."""
    return tuple(DrumHit(0.013 + 0.31 * n, "snare", 0.7) for n in range(count))


def test_a_kit_that_follows_plays_the_heard_strokes_at_their_own_times() -> None:
    source = replace(BAR, drums=drummed(12))

    assert source.drums == rhythm.kit_hits(source, FOUR, [Span(0, 4)], invents=True)


def test_a_few_clicks_are_no_drummer() -> None:
    source = replace(BAR, drums=drummed(3))
    hits = rhythm.kit_hits(source, FOUR, [Span(0, 4)], invents=True)

    assert [0.5 * number for number in range(8)] == onsets(hits)


def test_a_kit_with_its_own_pattern_plays_it_whatever_was_heard() -> None:
    drums = FOUR.model_copy(update={"source": "pattern"})
    source = replace(BAR, drums=drummed(12))

    assert [0.0, 0.5, 1.0] == onsets(rhythm.kit_hits(source, drums, [Span(0, 1.2)], invents=True))


def test_without_invention_only_heard_strokes_are_played() -> None:
    drums = FOUR.model_copy(update={"source": "pattern"})
    source = replace(BAR, drums=drummed(12))

    assert source.drums == rhythm.kit_hits(source, drums, [Span(0, 4)], invents=False)
    assert rhythm.kit_hits(BAR, drums, [Span(0, 4)], invents=False) == ()


def test_no_pattern_is_played_into_silence() -> None:
    hits = rhythm.kit_hits(BAR, FOUR, [Span(0.0, 1.0), Span(3.0, 4.0)], invents=True)

    assert [0.0, 0.5, 3.0, 3.5] == onsets(hits)


def test_a_chopped_note_keeps_its_onset_and_its_end() -> None:
    long, short = note(0.03, 0.25, 60), note(1.0, 0.1, 60)
    chopped = rhythm.stuttered([long, short], [True, True], 0.125)

    assert [0.03, 0.0925, 0.155, 0.2175, 1.0] == [round(n.start_seconds, 4) for n in chopped]
    assert all(n.end_seconds <= long.end_seconds for n in chopped[:4])


def test_what_is_not_chosen_is_not_chopped() -> None:
    assert rhythm.stuttered([note(0, 1, 60)], [False], 0.125) == (note(0, 1, 60),)
