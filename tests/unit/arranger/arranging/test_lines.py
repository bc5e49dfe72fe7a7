"""Strict voices: sharing out, holding, filling."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from server.engines.arranger import lines
from server.engines.arranger.score import Note
from server.engines.arranger.spans import Span
from tests.unit.arranger.arranging.pieces import QUARTET, chord, note, voice

AM = [chord(0, 2, "Am"), chord(2, 4, "F")]
EVERYWHERE = [Span(0.0, 60.0)]

music = st.lists(
    st.builds(
        note,
        st.integers(0, 60).map(lambda tick: tick / 8),
        st.floats(0.1, 2.0),
        st.integers(36, 93),
        velocity=st.floats(0.2, 1.0),
        confidence=st.floats(0.3, 1.0),
    ),
    max_size=40,
)


@given(music)
def test_no_line_ever_has_two_notes_at_once(notes: list[Note]) -> None:
    for line in lines.separate(notes, QUARTET, AM):
        for before, after in itertools.pairwise(line):
            assert before.start_seconds < after.start_seconds
            assert before.end_seconds <= after.start_seconds + lines._SHORTEST_SECONDS


@given(music)
def test_no_note_is_moved_in_time_or_given_another_name(notes: list[Note]) -> None:
    heard = {(each.start_seconds, each.pitch % 12) for each in notes}

    for line in lines.separate(notes, QUARTET, AM):
        assert {(each.start_seconds, each.pitch % 12) for each in line} <= heard


@given(music)
def test_every_note_is_in_its_players_range(notes: list[Note]) -> None:
    for player, line in zip(QUARTET, lines.separate(notes, QUARTET, AM), strict=True):
        assert all(player.range[0] <= each.pitch <= player.range[1] for each in line)


def test_a_chord_of_four_is_shared_out_from_top_to_bottom() -> None:
    chord_notes = [note(0, 1, pitch) for pitch in (45, 57, 64, 72)]

    assert [[72], [64], [57], [45]] == [
        [each.pitch for each in line] for line in lines.separate(chord_notes, QUARTET, AM)
    ]


def test_of_too_many_notes_the_outer_ones_stay_and_inner_doublings_go() -> None:
    group = [note(0, 1, pitch) for pitch in (45, 57, 60, 64, 76)]
    kept = [line[0].pitch % 12 for line in lines.separate(group, QUARTET, AM)]

    assert {9, 0, 4} == set(kept)
    assert len(kept) == 4


def test_one_player_takes_the_stronger_outer_note() -> None:
    solo = [voice("line", 40, 88)]
    pair = [note(0, 1, 72, velocity=0.9), note(0, 1, 60, velocity=0.3)]

    assert [[72]] == [[n.pitch for n in line] for line in lines.separate(pair, solo, AM)]


def test_the_cello_keeps_its_note_under_an_arpeggio() -> None:
    figure = [note(0, 2, 45), *(note(0.25 * i, 0.25, 57 + i) for i in range(1, 6))]
    cello = lines.separate(figure, QUARTET, AM)[3]

    assert [45] == [each.pitch for each in cello]


def test_strums_are_one_group() -> None:
    strum = [note(0.02 * i, 1, 50 + i) for i in range(3)]

    assert [3, 1] == [len(group) for group in lines.onset_groups([*strum, note(0.3, 1, 60)])]


def test_a_doubtful_octave_of_a_stronger_note_is_an_overtone() -> None:
    low, ghost = note(0, 1, 45), note(0, 1, 57, velocity=0.5, confidence=0.4)

    assert [low] == lines.without_overtones([low, ghost])


def test_a_sure_octave_stays() -> None:
    octave = [note(0, 1, 45), note(0, 1, 57, velocity=0.5, confidence=0.9)]

    assert octave == lines.without_overtones(octave)


def held(line: list[Note], *, longest: float = 4.0) -> list[float]:
    """Return where the notes of a held line end."""
    result = lines.held(line, AM, EVERYWHERE, longest_seconds=longest, end_seconds=4.0)
    return [round(each.end_seconds, 6) for each in result]


def test_a_common_tone_is_held_across_the_change() -> None:
    assert [4.0] == held([note(0, 0.5, 57)])


def test_a_tone_foreign_to_the_next_chord_ends_with_its_own() -> None:
    assert [2.0] == held([note(0, 0.5, 64)])


def test_a_note_is_held_no_longer_than_to_the_next_one() -> None:
    assert [1.0, 4.0] == held([note(0, 0.5, 57), note(1.0, 0.5, 60)])


def test_a_note_is_held_no_longer_than_the_arrangement_says() -> None:
    assert [1.5] == held([note(0, 0.5, 57)], longest=1.5)


def test_no_note_is_held_into_silence() -> None:
    (only,) = lines.held(
        [note(0, 0.5, 57)], AM, [Span(0.0, 0.8)], longest_seconds=4.0, end_seconds=4.0
    )

    assert only.end_seconds == 0.8


def test_idle_players_take_chord_tones() -> None:
    empty: list[lines.Line] = [[] for _ in QUARTET]
    result = lines.filled(empty, QUARTET, AM, EVERYWHERE)

    for each, name in zip(AM, (0, 1), strict=True):
        tones = {line[name].pitch % 12 for line in result}
        assert set(each.pitch_classes) == tones
        assert result[3][name].pitch % 12 == each.root


def test_a_busy_player_gets_nothing_more() -> None:
    solo = [voice("line", 40, 88)]
    busy = [[note(0, 4, 57)]]

    assert busy == lines.filled(busy, solo, AM, EVERYWHERE)


def test_rests_shorter_than_a_breath_stay_rests() -> None:
    solo = [voice("line", 40, 88)]
    line = [[note(0, 1.7, 57), note(2.0, 2.0, 60)]]

    assert line == lines.filled(line, solo, AM, EVERYWHERE)


def test_nothing_is_filled_where_the_source_is_silent() -> None:
    empty: list[lines.Line] = [[]]
    (line,) = lines.filled(empty, [voice("line", 40, 88)], AM, [Span(0.0, 1.0)])

    assert [(0.0, 0.99)] == [(each.start_seconds, round(each.end_seconds, 6)) for each in line]


def test_the_skyline_skips_dips_under_a_ringing_top() -> None:
    tune = [note(0, 1, 76), note(0.5, 0.2, 60), note(1, 1, 74)]

    assert [76, 74] == [each.pitch for each in lines.skyline(tune)]


def test_polyphony_is_the_mean_over_the_time_that_sounds() -> None:
    assert lines.average_polyphony([note(0, 1, 60), note(0, 1, 64), note(3, 2, 60)]) == 4 / 3


def test_silence_has_no_polyphony() -> None:
    assert lines.average_polyphony([]) == 0.0
