"""Beats from onset envelopes that were drawn by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from server.engines.arranger.listening.tempo import EDGE_SECONDS, find_beats
from server.media import rhythm


def _envelope(times: NDArray[np.float64], seconds: float) -> NDArray[np.float32]:
    """Return an envelope with a short peak at each time."""
    frames = np.arange(int(seconds * rhythm.FRAME_RATE) + 1)[:, None]
    distance = frames - times * rhythm.FRAME_RATE
    return np.asarray(np.exp(-0.5 * np.square(distance / 1.5)).max(axis=1), np.float32)


def _clicks(bpm: float, seconds: float, phase: float = 0.0) -> NDArray[np.float64]:
    return np.arange(phase, seconds, 60.0 / bpm)


@given(bpm=st.floats(90, 150), phase=st.floats(0, 0.3), seconds=st.floats(12, 25))
@settings(max_examples=15, deadline=None)
def test_clicks_are_found_to_a_thousandth(bpm: float, phase: float, seconds: float) -> None:
    clicks = _clicks(bpm, seconds - 2 * EDGE_SECONDS, phase)

    beats = find_beats(_envelope(clicks, seconds), seconds)

    assert pytest.approx(bpm, rel=1e-3) == beats.bpm
    assert float(np.abs(clicks[:, None] - beats.times).min(axis=1).max()) < 0.03


@given(
    times=st.lists(st.floats(0, 9), max_size=30),
    seconds=st.floats(0.3, 9),
    bpm=st.none() | st.floats(40, 240),
)
@settings(max_examples=30, deadline=None)
def test_any_onsets_give_beats_that_cover_the_clip(
    times: list[float], seconds: float, bpm: float | None
) -> None:
    beats = find_beats(_envelope(np.array([*times, -9.0]), seconds), seconds, bpm=bpm).times

    assert np.all(np.diff(beats) > 0)
    assert beats[0] <= EDGE_SECONDS
    assert beats[-1] < seconds + EDGE_SECONDS
    assert beats[-1] + np.diff(beats, append=beats[-1] + 2.0).max() >= seconds


def test_a_loop_is_exactly_a_whole_number_of_beats() -> None:
    seconds = 16 * 60 / 97.3

    beats = find_beats(_envelope(_clicks(97.3, seconds), seconds), seconds)

    assert pytest.approx(97.3, rel=1e-9) == beats.bpm


def test_a_clip_that_is_no_loop_keeps_its_own_tempo() -> None:
    seconds = 16.4 * 60 / 97.3

    beats = find_beats(_envelope(_clicks(97.3, seconds), seconds), seconds)

    assert pytest.approx(97.3, rel=1e-3) == beats.bpm


def test_the_hint_wins_where_no_onset_contradicts() -> None:
    beats = find_beats(np.zeros(2000, np.float32), 10.0, bpm=77.0)

    assert 77.0 == beats.bpm
    assert 1.0 == beats.confidence
    assert beats.follows_hint


def test_a_clip_too_short_for_a_tempo_takes_the_usual_one() -> None:
    envelope = _envelope(np.array([0.1]), 0.5)

    assert 120.0 == find_beats(envelope, 0.5).bpm


def test_music_that_slows_down_is_followed() -> None:
    intervals = np.linspace(0.5, 0.62, 36)
    clicks = np.concatenate([[0.0], np.cumsum(intervals)])
    seconds = float(clicks[-1]) + 0.3

    beats = find_beats(_envelope(clicks, seconds), seconds)
    distances = np.abs(clicks[:, None] - beats.times).min(axis=1)

    assert not beats.is_steady
    assert float(np.median(distances)) < 0.03
    assert float(np.mean(distances < 0.05)) > 0.9


def test_steady_music_is_not_followed_but_counted() -> None:
    assert find_beats(_envelope(_clicks(110, 20.0), 20.0), 20.0).is_steady
