"""Which windows may be replaced, and what an engine hears of the music around them."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import errors
from server.kinds import insertions
from server.media.clip import Clip
from server.media.window import Window

RATE = 1000


def _clip(seconds: float, *, channels: int = 2) -> Clip:
    samples = np.random.default_rng(3).standard_normal((channels, round(seconds * RATE)))
    return Clip(samples.astype(np.float32), RATE)


@st.composite
def _windows(draw: st.DrawFn, *, length: int = 60_000) -> list[Window]:
    ends = draw(st.lists(st.integers(0, length), min_size=2, max_size=12, unique=True))
    ends = sorted(ends)[: len(ends) // 2 * 2]
    return [Window(*pair) for pair in zip(ends[::2], ends[1::2], strict=True)]


@pytest.mark.parametrize(
    "sent",
    [[[4, 8], [10.5, 12]], json.dumps([[4, 8], [10.5, 12]]), "4-8, 10.5-12", " 4 - 8,10.5 -12 "],
)
def test_windows_come_as_lists_as_json_and_as_spans(sent: Any) -> None:
    assert [(4.0, 8.0), (10.5, 12.0)] == [
        (float(start), float(end)) for start, end in insertions.listed(sent)
    ]


@pytest.mark.parametrize("sent", ["", "4", "4-", "-8", "4-8;9-10", "[4-8", "four to eight"])
def test_text_that_is_no_windows_is_refused(sent: str) -> None:
    with pytest.raises(ValueError, match="each is a start|not a list"):
        insertions.listed(sent)


@pytest.mark.parametrize(
    ("windows", "field", "words"),
    [
        ([(4, 4)], "windows.0", "end after its start"),
        ([(8, 4)], "windows.0", "end after its start"),
        ([(4, 4.2)], "windows.0", "at least 0.25"),
        ([(0, 200)], "windows.0", "120 seconds long at most"),
        ([(4, 8), (7.9, 10)], "windows.1", "must not overlap"),
        ([(9, 10), (4, 8)], "windows.1", "in order"),
    ],
)
def test_windows_that_cannot_be_are_refused_by_their_place(
    windows: list[tuple[float, float]], field: str, words: str
) -> None:
    with pytest.raises(errors.InvalidInput, match=words) as caught:
        insertions.check(windows)
    assert field == caught.value.field


def test_windows_may_touch() -> None:
    insertions.check([(4, 8), (8, 10)])


@pytest.mark.parametrize(
    ("windows", "words"),
    [
        ([(4, 10.01)], "ends too late"),
        ([(0, 9.9)], "leaves nothing"),
        ([(0, 10)], "leaves nothing"),
    ],
)
def test_windows_that_leave_the_source_or_nothing_of_it_are_refused(
    windows: list[tuple[float, float]], words: str
) -> None:
    with pytest.raises(errors.InvalidInput, match=words) as caught:
        insertions.check_within(windows, source_seconds=10.0)
    assert "windows.0" == caught.value.field


def test_a_length_shown_in_milliseconds_is_taken() -> None:
    insertions.check_within([(4, 10.0005)], source_seconds=10.0)
    [window] = insertions.in_samples(_clip(10.0), [(4, 10.0005)])

    assert Window(4000, 10_000) == window


@given(_windows(), st.integers(0, 20_000))
def test_every_window_is_heard_once_with_its_context(windows: list[Window], context: int) -> None:
    source = _clip(60.0, channels=1)

    found = insertions.excerpts(source, windows, context_seconds=context / RATE)

    assert windows == [each for excerpt in found for each in excerpt.windows]
    for excerpt in found:
        first, last = excerpt.windows[0], excerpt.windows[-1]
        assert max(0, first.start - context) == excerpt.seen.start
        assert min(source.length, last.end + context) == excerpt.seen.end
        others = [each for each in windows if each not in excerpt.windows]
        # what is painted elsewhere is not heard here
        assert all(
            each.end <= excerpt.seen.start or each.start >= excerpt.seen.end for each in others
        )
        heard, seen = excerpt.of(source).samples, source.samples
        for inner, outer in zip(excerpt.inner, excerpt.windows, strict=True):
            assert np.array_equal(
                heard[:, inner.start : inner.end], seen[:, outer.start : outer.end]
            )


@pytest.mark.parametrize("channels", [1, 2])
def test_what_was_played_comes_where_it_was_heard(channels: int) -> None:
    source = _clip(10.0, channels=channels)
    [excerpt] = insertions.excerpts(source, [Window(4000, 5000)], context_seconds=1.0)
    played = Clip(np.ones((2, 3000), np.float32), RATE)

    placed = insertions.in_place(source, excerpt, played)

    assert (channels, source.length) == placed.samples.shape
    assert np.all(placed.samples[:, 3000:6000] == 1.0)
    assert np.array_equal(source.samples[:, :3000], placed.samples[:, :3000])
    assert np.array_equal(source.samples[:, 6000:], placed.samples[:, 6000:])


def test_a_sound_of_another_length_is_the_engines_fault() -> None:
    source = _clip(10.0)
    [excerpt] = insertions.excerpts(source, [Window(4000, 5000)], context_seconds=1.0)

    with pytest.raises(errors.EngineFailed, match="another length"):
        insertions.in_place(source, excerpt, _clip(2.9))
