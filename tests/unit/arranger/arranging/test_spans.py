"""Stretches of time, and where a source sounds."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from server.engines.arranger import spans
from server.engines.arranger.score import FRAME_RATE, DrumHit
from server.engines.arranger.spans import Span
from tests.unit.arranger.arranging.pieces import heard, note

many = st.lists(
    st.tuples(st.integers(0, 50), st.integers(1, 9)).map(lambda at: Span(at[0], at[0] + at[1])),
    max_size=12,
)


@given(many, st.integers(0, 60))
def test_a_union_holds_what_any_of_its_spans_holds(each: list[Span], moment: int) -> None:
    expected = any(span.start <= moment < span.end for span in each)

    assert expected == spans.holds(spans.merged(each), moment)


@given(many)
def test_a_union_is_sorted_and_disjoint(each: list[Span]) -> None:
    union = spans.merged(each, gap=1.0)

    assert all(a.end + 1.0 < b.start for a, b in zip(union, union[1:], strict=False))  # noqa: RUF007


def test_a_span_is_cut_to_what_is_allowed() -> None:
    allowed = [Span(0, 1), Span(2, 3), Span(5, 6)]

    assert (Span(0.5, 1), Span(2, 2.5)) == spans.within(Span(0.5, 2.5), allowed)


def test_the_end_of_sound_is_the_end_of_the_span_or_now() -> None:
    assert spans.end_of_sound([Span(0, 1)], 0.5) == 1
    assert spans.end_of_sound([Span(0, 1)], 1.5) == 1.5


def test_short_rests_belong_to_the_music_and_long_ones_do_not() -> None:
    clip = heard([note(0, 1, 57), note(1.4, 1, 57), note(6, 1, 57)], bpm=120)

    assert [(0.0, 2.55), (6.0, 7.15)] == [
        (span.start, round(span.end, 6)) for span in spans.sounding(clip)
    ]


def test_strokes_sound_too() -> None:
    assert [Span(3.0, 3.15)] == list(spans.sounding(heard([], drums=[DrumHit(3.0, "kick", 0.9)])))


def test_nothing_sounds_beyond_the_clip() -> None:
    assert [Span(7.0, 8.0)] == list(spans.sounding(heard([note(7, 1, 57)])))


def test_a_ringing_tone_that_was_missed_as_a_note_sounds() -> None:
    levels = np.zeros((round(8 * FRAME_RATE), 88), np.float32)
    levels[: round(2 * FRAME_RATE), 30] = 1.0
    clip = replace(heard([note(0, 0.5, 57)]), sustain=levels)

    assert abs(spans.sounding(clip)[0].end - 2.0) < 0.02


def test_sustain_without_a_single_note_is_noise() -> None:
    levels = np.ones((100, 88), np.float32)

    assert spans.sounding(replace(heard([]), sustain=levels)) == ()
