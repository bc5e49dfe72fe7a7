"""The beat through the gap, against the beats the song really has there."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from server.engines.arranger.inpainting import context, pulse, surroundings
from server.engines.arranger.inpainting.pulse import Pulse
from server.engines.arranger.inpainting.surroundings import Abridgement
from server.engines.arranger.spans import Span
from server.media import resample
from server.media.clip import Clip
from server.media.window import Window
from tests import music
from tests.music import Piece
from tests.unit.arranger.inpainting import songs

LAG_SECONDS = 0.015
DRIFT_SECONDS = 0.010

Times = NDArray[np.float64]


def found(clip: Clip, *windows: Window, bpm: float | None = None) -> Pulse:
    """Return the beats of a clip whose windows are silenced."""
    quiet = resample.resample(surroundings.silenced(clip, windows), 22050)
    spans = surroundings.outside(windows, clip.length, clip.sample_rate)
    return context._pulse(quiet, spans, bpm)


def errors(piece: Piece, beats: Times, window: Window) -> Times:
    """Return by how much the nearest beat is late at each true beat in a window, in seconds."""
    start, end = (edge / piece.clip.sample_rate for edge in (window.start, window.end))
    inside = piece.beats[(piece.beats > start + 0.02) & (piece.beats < end - 0.02)]
    return np.array([beats[np.abs(beats - beat).argmin()] - beat for beat in inside])


def keeps_the_grid(piece: Piece, beats: Times, window: Window) -> bool:
    """Whether the beats in a window are on those of the piece, and stay there."""
    late = errors(piece, beats, window)
    return bool(np.abs(late).max() <= LAG_SECONDS and np.ptp(late) <= DRIFT_SECONDS)


@pytest.mark.parametrize("bpm", [97.3, 120.0, 143.0])
@pytest.mark.parametrize("name", ["band", "riff"])
def test_the_beat_goes_on_through_the_gap(name: str, bpm: float) -> None:
    piece = music.riff(bpm, 24.0) if name == "riff" else music.band(bpm, seconds=24.0, seed=1)
    window = songs.window_of(piece.clip)
    beats = found(piece.clip, window).beats

    assert keeps_the_grid(piece, beats.times, window)
    assert beats.bpm == pytest.approx(bpm, rel=1e-3)


def test_half_a_percent_or_a_fifth_of_a_beat_is_refused() -> None:
    piece = songs.song()
    window = songs.window_of(piece.clip)
    beats = found(piece.clip, window).beats.times

    assert not keeps_the_grid(piece, beats * 1.005, window)
    assert not keeps_the_grid(piece, beats + 0.1, window)
    assert keeps_the_grid(piece, piece.beats, window)


@pytest.mark.parametrize("share", [0.008, -0.03])
def test_where_the_sides_disagree_the_tempo_changes_in_between(share: float) -> None:
    piece = songs.bent(music.band(110.0, seconds=28.0, seed=1), share)
    window = songs.window_of(piece.clip, 9.1, 16.8)
    heard = found(piece.clip, window)

    assert heard.bends
    assert keeps_the_grid(piece, heard.beats.times, window)


def test_a_tempo_that_changes_is_carried_over_the_seam_of_an_open_end() -> None:
    piece = songs.bent(music.band(132.0, seconds=26.0, seed=1), 0.02)
    window = songs.window_of(piece.clip, 21.0, 25.0)
    late = errors(
        piece, found(piece.clip, Window(window.start, piece.clip.length)).beats.times, window
    )

    assert np.abs(late[:5]).max() <= LAG_SECONDS


def test_a_grid_of_one_tempo_is_refused_where_the_tempo_changes() -> None:
    piece = songs.bent(music.band(110.0, seconds=28.0, seed=1), 0.03)
    window = songs.window_of(piece.clip, 9.1, 16.8)
    steady = np.arange(0.0, 28.0, 60.0 / 111.6)

    assert not keeps_the_grid(piece, steady, window)


@pytest.mark.parametrize(("start", "end"), [(0.0, 7.0), (17.0, 24.0)])
def test_one_side_is_enough_at_an_edge_of_the_clip(start: float, end: float) -> None:
    piece = songs.song()
    window = songs.window_of(piece.clip, start, end)
    heard = found(piece.clip, window)

    assert keeps_the_grid(piece, heard.beats.times, window)
    assert not heard.bends


def test_noise_has_no_beat_but_a_ruler() -> None:
    heard = found(music.noise(16.0), Window(200_000, 400_000))

    assert not heard.is_audible
    assert (np.diff(heard.beats.times) > 0.2).all()


def test_silence_has_the_beat_of_the_hint() -> None:
    heard = found(music.silence(12.0), Window(200_000, 300_000), bpm=90.0)

    assert heard.beats.bpm == pytest.approx(90.0)
    assert not heard.is_audible


@given(
    st.lists(st.floats(0.0, 30.0), min_size=2, max_size=6, unique=True).map(sorted),
    st.floats(0.0, 30.0),
)
@settings(max_examples=60)
def test_times_outlive_the_way_through_an_abridgement(edges: list[float], seconds: float) -> None:
    cuts = tuple(Span(a, b) for a, b in list(pairwise(edges))[::2])
    abridgement = Abridgement(cuts)

    if not abridgement.holds(seconds):
        assert abridgement.full(abridgement.short(seconds)) == pytest.approx(seconds, abs=1e-6)


def test_what_is_cut_out_is_whole_bars_within_the_window() -> None:
    piece = songs.song()
    beats = found(piece.clip, songs.window_of(piece.clip)).beats
    heard = (Span(0.0, songs.START), Span(songs.END, 24.0))
    (cut,) = context._abridgement(beats, heard, 24.0).cuts

    assert songs.START < cut.start < cut.end < songs.END
    assert cut.seconds / 2.0 == pytest.approx(round(cut.seconds / 2.0), abs=5e-3)


def test_a_beat_counts_as_heard_when_most_of_it_is() -> None:
    heard = [Span(0.0, 2.0)]

    assert pulse.is_known(1.0, 1.5, heard)
    assert pulse.is_known(1.6, 2.1, heard)
    assert not pulse.is_known(1.8, 2.3, heard)
