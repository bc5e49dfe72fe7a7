"""The grid and what is played on it."""

from dataclasses import replace

import pytest

from server.engines.arranger import rhythm
from server.engines.arranger.score import DrumHit, Heard, Meter
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


# Other meters and feels

WALTZ = replace(BAR, meter=Meter(3))
SIX_EIGHT = replace(BAR, meter=Meter(2, 3))
TWELVE_EIGHT = replace(BAR, meter=Meter(4, 3))
BACKBEAT = Drums(kit="808", pattern={"kick": "x.......x.......", "snare": "....x.......x..."})


def struck(source: Heard, drums: Drums, kind: str) -> list[float]:
    """Return on which beats of the clip the kit's pattern strikes one of its drums."""
    hits = rhythm.kit_hits(source, drums, [Span(0, 4)], invents=True)
    return [round(hit.start_seconds / 0.5, 3) for hit in hits if hit.kind == kind]


def test_a_backbeat_in_three_is_a_waltz() -> None:
    assert [0, 3, 6] == struck(WALTZ, BACKBEAT, "kick")
    assert [1, 2, 4, 5, 7] == struck(WALTZ, BACKBEAT, "snare")


def test_a_snare_on_the_third_beat_alone_stays_there() -> None:
    half_time = Drums(kit="808", pattern={"snare": "........x......."})

    assert [2, 5] == struck(WALTZ, half_time, "snare")


def test_two_bars_of_six_quavers_share_a_row() -> None:
    assert [0, 2, 4, 6] == struck(SIX_EIGHT, BACKBEAT, "kick")
    assert [1, 3, 5, 7] == struck(SIX_EIGHT, BACKBEAT, "snare")


def test_rows_take_turns_every_second_bar_of_six_quavers() -> None:
    turns = Drums(kit="808", pattern={"kick": ["x" + "." * 15, "....x" + "." * 11]})

    assert [0, 5] == struck(SIX_EIGHT, turns, "kick")


@pytest.mark.parametrize("source", [SIX_EIGHT, TWELVE_EIGHT])
def test_steady_quavers_are_three_a_beat_where_beats_are_of_three(source: Heard) -> None:
    quavers = Drums(kit="808", pattern={"hat": "x.x." * 4})

    found = struck(source, quavers, "hat")

    assert [pytest.approx(number / 3, abs=1e-3) for number in range(24)] == found


def test_what_is_between_beats_of_three_falls_on_their_thirds() -> None:
    off_beat = Drums(kit="808", pattern={"hat": "..x." * 4})

    assert [round(beat + 2 / 3, 3) for beat in range(8)] == struck(TWELVE_EIGHT, off_beat, "hat")


def test_added_quavers_swing_as_the_source_does() -> None:
    quavers = Drums(kit="808", pattern={"hat": "x.x." * 4}, swing=0.4)
    swung = replace(BAR, swing=1 / 3)

    assert [0, 0.667, 1, 1.667] == struck(swung, quavers, "hat")[:4]


def test_added_semiquavers_are_as_late_as_the_source_s() -> None:
    semiquavers = Drums(kit="808", pattern={"hat": "xxxx" * 4}, swing=0.5)
    late = replace(BAR, fine_swing=0.2)

    assert [0, 0.3, 0.5, 0.8] == struck(late, semiquavers, "hat")[:4]


def test_a_straight_source_leaves_a_preset_its_swing() -> None:
    semiquavers = Drums(kit="808", pattern={"hat": "xx.." * 4}, swing=0.4)

    assert [0, 0.35, 1, 1.35] == struck(BAR, semiquavers, "hat")[:4]


def test_where_no_tempo_was_heard_nothing_lies_on_a_grid() -> None:
    free = replace(BAR, tempo_confidence=1.2)

    assert rhythm.grid(free) == ()
    assert rhythm.kit_hits(free, BACKBEAT, [Span(0, 4)], invents=True) == ()


def test_a_tempo_that_was_told_is_one() -> None:
    told = replace(BAR, tempo_confidence=1.2, hinted_bpm=120.0)

    assert rhythm.grid(told) == rhythm.grid(BAR)


def test_heard_strokes_are_played_without_a_tempo_too() -> None:
    free = replace(BAR, tempo_confidence=1.2, drums=drummed(12))

    assert free.drums == rhythm.kit_hits(free, FOUR, [Span(0, 4)], invents=True)
