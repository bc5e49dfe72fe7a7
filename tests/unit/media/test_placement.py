"""Windows lie where the music turns, and where they are moved they stay windows."""

import itertools
import json
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.media import grid as grids
from server.media import placement, sections
from server.media.clip import Clip
from server.media.grid import Grid
from tests import music

RATE = 22050
BARS = 6
"""Of each of three sections."""


def tempo(seed: int) -> float:
    """Return a tempo for each seed."""
    return 108.0 + 9 * seed


@lru_cache(maxsize=16)
def section(seed: int, *, is_chorus: bool) -> Clip:
    """Return a verse of keys alone, or a chorus with other chords, drums and reeds."""
    seconds = BARS * 240 / tempo(seed) - 0.01
    return music.band(
        tempo(seed),
        5 * seed % 12,
        seconds,
        seed + is_chorus,
        timbre="reed" if is_chorus else "keys",
        drums=is_chorus,
        sample_rate=RATE,
    ).clip


@lru_cache(maxsize=8)
def song(seed: int) -> Clip:
    """Return verse, chorus, verse."""
    length = round(BARS * 240 / tempo(seed) * RATE)
    parts = []
    for is_chorus in (False, True, False):
        samples = section(seed, is_chorus=is_chorus).samples * (1.0 if is_chorus else 0.5)
        parts.append(np.pad(samples, ((0, 0), (0, length - samples.shape[1]))))
    return Clip(np.concatenate(parts, axis=1).astype(np.float32), RATE)


def turns(seed: int) -> list[float]:
    """Return where the chorus and the second verse begin."""
    return [BARS * 240 / tempo(seed), 2 * BARS * 240 / tempo(seed)]


def shuffled(clip: Clip, seconds: float) -> Clip:
    """Return the clip's pieces of that length in a random order."""
    length = round(seconds * clip.sample_rate)
    pieces = clip.samples[:, : clip.length // length * length].reshape(2, -1, length)
    order = np.random.default_rng(5).permutation(pieces.shape[1])
    return clip.with_samples(pieces[:, order].reshape(2, -1))


# The grid


@pytest.mark.parametrize("bpm", [90.0, 97.0, 121.0, 149.0])
def test_beats_and_downbeats_are_where_they_were_written(bpm: float) -> None:
    piece = music.band(bpm, 3, 20.0, 2, sample_rate=RATE)

    heard = placement.grid(piece.clip)

    assert heard is not None
    assert pytest.approx(bpm, rel=0.002) == heard.bpm
    nearest = [np.abs(piece.beats - beat).min() for beat in heard.beats]
    bars = [np.abs(piece.beats[::4] - beat).min() for beat in heard.downbeats]
    assert np.median(nearest) < 0.01
    assert np.median(bars) < 0.01


def test_a_hint_chooses_the_tempo() -> None:
    heard = placement.grid(music.band(84.0, 3, 14.0, 2, sample_rate=RATE).clip, bpm=84.5)

    assert heard is not None
    assert pytest.approx(84.0, rel=0.002) == heard.bpm


def test_noise_and_very_short_clips_have_no_grid() -> None:
    assert placement.grid(music.noise(8.0, sample_rate=RATE)) is None
    assert placement.grid(music.band(100.0, 0, 2.0, sample_rate=RATE).clip) is None
    assert placement.grid(music.silence(5.0, sample_rate=RATE)) is None


# Suggestions


@pytest.mark.parametrize("seed", [1, 2])
def test_the_beginning_of_a_section_is_suggested(seed: int) -> None:
    """Within a beat, for the first suggestion or for its end."""
    found = placement.suggest(song(seed), seconds=8.0)

    best = found.windows[0]
    beat = 60 / tempo(seed)
    ends = (best.start_seconds, best.end_seconds)
    assert min(abs(end - turn) for end in ends for turn in turns(seed)) < beat
    assert {placement.NEW_SECTION, placement.SECTION_AFTER} & set(best.reasons)
    assert placement.ON_A_DOWNBEAT in best.reasons


@pytest.mark.parametrize("seed", [1, 2])
def test_nobody_hears_a_section_where_the_order_means_nothing(seed: int) -> None:
    """The negative control of novelty: the same beats, shuffled."""
    found = placement.suggest(shuffled(song(seed), 60 / tempo(seed)), seconds=8.0)

    assert found.windows
    for each in found.windows:
        assert not {placement.NEW_SECTION, placement.SECTION_AFTER} & set(each.reasons)


def test_a_loop_has_no_sections() -> None:
    clip = music.band(120.0, 4, 40.0, 3, sample_rate=RATE).clip
    heard = grids.listen(clip)

    assert heard is not None
    assert sections.novelty(clip, heard).max() < 0.5 * sections.AUDIBLE


def test_suggestions_are_whole_bars_of_about_the_length_and_apart() -> None:
    clip = song(1)
    found = placement.suggest(clip, seconds=5.0, count=3, min_gap_seconds=3.0)
    bar = 240 / tempo(1)

    assert 2 <= len(found.windows) <= 3
    assert [each.score for each in found.windows] == sorted(
        (each.score for each in found.windows), reverse=True
    )
    for each in found.windows:
        length = each.end_seconds - each.start_seconds
        assert each.bars is not None
        assert pytest.approx(each.bars * bar, abs=0.02) == length
        assert abs(length - 5.0) <= min(placement.MOST_MOVED_SECONDS, bar / 2) + 0.02
        assert 0.0 < each.start_seconds < each.end_seconds < clip.seconds
    in_time = sorted(found.windows, key=lambda each: each.start_seconds)
    for one, other in itertools.pairwise(in_time):
        assert other.start_seconds - one.end_seconds >= 3.0


def test_without_a_beat_quiet_places_are_suggested_and_it_is_said() -> None:
    hiss = music.noise(30.0, sample_rate=RATE)
    samples = hiss.samples.copy()
    samples[:, 10 * RATE : 12 * RATE] *= 0.05
    samples[:, 16 * RATE : 18 * RATE] *= 0.05

    found = placement.suggest(hiss.with_samples(samples), seconds=6.0)

    assert (placement.NO_BEAT,) == found.notices
    assert found.bpm is None
    assert 9.5 < found.windows[0].start_seconds < 12.5
    assert 15.5 < found.windows[0].end_seconds < 18.5
    assert placement.QUIET in found.windows[0].reasons
    assert found.windows[0].bars is None


def test_a_clip_that_is_too_short_gets_a_reason_and_nothing_else() -> None:
    found = placement.suggest(music.sine(440.0, 6.0), seconds=8.0)

    assert () == found.windows
    assert "too short" in found.notices[0]


def test_no_window_is_no_wish() -> None:
    with pytest.raises(ValueError, match="a window has a length"):
        placement.suggest(music.sine(440.0, 6.0), seconds=0.0)


def test_a_suggestion_is_json() -> None:
    facts = placement.Suggestion(1.0, 3.0, 1, 0.5, ("It is so.",)).as_dict()

    assert facts == json.loads(json.dumps(facts))


# Snapping


def ruled(bpm: float, seconds: float, first: float = 0.0) -> Grid:
    """Return a grid of bars of four."""
    beats = tuple(np.arange(first, seconds, 60 / bpm).tolist())
    return Grid(bpm, beats, beats[::4], seconds, np.zeros((12, max(len(beats) - 1, 0)), np.float32))


def test_ends_go_to_the_nearest_downbeats() -> None:
    moved = placement.snap([(3.7, 8.3)], ruled(120.0, 20.0))

    assert ((4.0, 8.0),) == moved.windows
    assert () == moved.notices


def test_an_end_without_a_downbeat_near_stays_and_it_is_said() -> None:
    moved = placement.snap([(4.2, 7.3)], ruled(120.0, 20.0), most_seconds=0.5)

    assert ((4.0, 7.3),) == moved.windows
    assert "end of window 1" in moved.notices[0]


def test_a_window_within_a_bar_stays_as_it_is() -> None:
    moved = placement.snap([(4.1, 4.8)], ruled(120.0, 20.0))

    assert ((4.1, 4.8),) == moved.windows
    assert "Window 1 stays" in moved.notices[0]


def test_the_ends_of_the_clip_are_never_moved() -> None:
    moved = placement.snap([(0.0, 4.4), (8.1, 20.0)], ruled(120.0, 20.0, first=0.7))

    assert 0.0 == moved.windows[0][0]
    assert 20.0 == moved.windows[1][1]


def test_without_a_beat_windows_stay_and_it_is_said() -> None:
    moved = placement.snap([(4.2, 7.3)], None)

    assert ((4.2, 7.3),) == moved.windows
    assert (placement.NO_DOWNBEATS,) == moved.notices


@given(
    ends=st.lists(st.integers(0, 2400), min_size=2, max_size=12, unique=True),
    bpm=st.floats(40.0, 240.0),
    first=st.floats(0.0, 3.0),
    most=st.floats(0.0, 3.0),
)
def test_snapped_windows_stay_in_order_near_and_not_empty(
    ends: list[int], bpm: float, first: float, most: float
) -> None:
    """Whatever is asked for: no overlap, nothing empty, nothing moved too far."""
    times = [each / 100 for each in sorted(ends)]
    windows = list(zip(times[::2], times[1::2], strict=False))
    heard = ruled(bpm, 24.0, first)

    moved = placement.snap(windows, heard, most_seconds=most).windows

    assert len(windows) == len(moved)
    limit = min(most, placement.MOST_MOVED_SECONDS, heard.bar_seconds / 2)
    for asked, (start, end) in zip(windows, moved, strict=True):
        assert start < end
        assert max(abs(asked[0] - start), abs(asked[1] - end)) <= limit + 1e-9
    for one, other in itertools.pairwise(moved):
        assert one[1] <= other[0]
