"""How commands speak."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.cli import console

CELL = st.text(st.characters(categories=["L", "N"]), max_size=12)
ROWS = st.integers(2, 4).flatmap(lambda width: st.lists(st.tuples(*[CELL] * width), min_size=1))


@given(ROWS)
def test_every_column_of_a_table_starts_in_one_place(rows: list[tuple[str, ...]]) -> None:
    """The last column begins where it begins in the widest row."""
    lines = console.table(rows).split("\n")
    begin = 2 + sum(max(map(len, column)) + 3 for column in list(zip(*rows, strict=True))[:-1])

    assert len(rows) == len(lines)
    assert [row[-1] for row in rows] == [line[begin:] for line in lines]


def test_a_table_of_nothing_is_nothing() -> None:
    """No rows, no lines."""
    assert "" == console.table([])


def test_a_complaint_is_one_sentence_on_the_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is wrong does not end up in a pipe."""
    assert 2 == console.complain("There is no file riff.wav.")
    assert ("", "There is no file riff.wav.\n") == capsys.readouterr()


def test_the_bar_never_goes_back(capsys: pytest.CaptureFixture[str]) -> None:
    """A job that was started again does not take away what was shown."""
    bar = console.Bar()
    for progress in (0.2, 0.6, 0.1):
        bar.show(progress, "transforming")
    bar.close()

    shown = capsys.readouterr().err
    assert "transforming  20 %" in shown
    assert " 60 %" in shown.rpartition("\r")[2]


def test_a_bar_that_was_never_shown_draws_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A refusal stands alone."""
    console.Bar().close()

    assert "" == capsys.readouterr().err
