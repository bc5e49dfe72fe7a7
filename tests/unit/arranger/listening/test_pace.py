"""Tempi that change, tempi that are told, and music that has none."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from server.engines.arranger.listening.tempo import Beats, find_beats
from server.engines.arranger.score import AUDIBLE_PULSE
from server.media.clip import Clip
from tests.music import Note, _play, noise
from tests.unit.arranger.listening import meters
from tests.unit.arranger.listening.meters import RATE, Clock, Timed

FARTHEST_SECONDS = 0.02


def beats_of(clip: Clip, *, bpm: float | None = None) -> Beats:
    """Return the beats of a clip."""
    whole, bass = meters.envelopes(clip)
    return find_beats(whole, clip.seconds, bpm=bpm, bass=bass)


def astray(found: NDArray[np.float64], piece: Timed) -> tuple[float, int]:
    """Return the mean distance of the piece's beats, and how many are lost or doubled."""
    true = piece.beats[(piece.beats > 0.3) & (piece.beats < piece.clip.seconds - 0.8)]
    inside = found[(found > true[0] - 0.1) & (found < true[-1] + 0.1)]
    distance = np.abs(true[:, None] - found).min(axis=1)
    return float(distance.mean()), abs(len(inside) - len(true))


def free(seed: int, *, seconds: float = 20.0) -> Clip:
    """Return notes in free time: no two intervals are alike."""
    random = np.random.default_rng([seed, 9])
    notes, start = [], 0.3
    while start < seconds - 1:
        notes.append(Note(start, 1.0, int(random.integers(55, 80)), random.uniform(0.4, 0.9)))
        start += 0.5 * float(np.exp(random.normal(0.0, 0.6)))
    return Clip(_play(notes, [], "keys", seconds, RATE), RATE)


def pad(seconds: float = 20.0) -> Clip:
    """Return a chord that swells and fades, without any onset."""
    times = np.arange(round(seconds * RATE)) / RATE
    swell = 0.1 * np.sin(np.pi * times / seconds)
    wave = swell * sum(np.sin(2 * np.pi * hertz * times) for hertz in (220.0, 277.2, 329.6))
    return Clip(wave.astype(np.float32)[None], RATE)


PACES: dict[str, Clock] = {
    "faster": meters.changing(100, 108, 30),
    "slower": meters.changing(114, 105, 30),
    "much faster": meters.changing(101, 119, 30),
    "a drummer's wander": meters.wandering(110, 0.02, seed=3),
}


@pytest.mark.parametrize("name", PACES)
def test_a_pace_that_changes_is_followed_beat_by_beat(name: str) -> None:
    piece = meters.piece("4/4", PACES[name], seconds=30.0, seed=1, jitter=0.005)

    found = beats_of(piece.clip)
    distance, miscounted = astray(found.times, piece)

    assert not found.is_steady
    assert distance < FARTHEST_SECONDS
    assert miscounted == 0
    assert pytest.approx(60.0 / float(np.median(np.diff(piece.beats))), rel=0.01) == found.bpm


def test_one_tempo_could_not_have_met_those_beats() -> None:
    piece = meters.piece("4/4", PACES["faster"], seconds=30.0, seed=1)
    even = np.linspace(piece.beats[0], piece.beats[-1], len(piece.beats))

    assert astray(even, piece)[0] > 2 * FARTHEST_SECONDS


def test_beats_in_another_order_are_not_met() -> None:
    piece = meters.piece("4/4", PACES["a drummer's wander"], seconds=30.0, seed=1)
    shuffled = np.random.default_rng(0).permutation(np.diff(piece.beats, prepend=0.0) * 1.3)

    assert astray(np.cumsum(shuffled), piece)[0] > 2 * FARTHEST_SECONDS


@pytest.mark.parametrize("seed", range(3))
def test_people_who_keep_time_are_counted_not_followed(seed: int) -> None:
    piece = meters.piece("4/4", meters.steady(96.0), seed=seed, drums=seed > 0, jitter=0.008)

    found = beats_of(piece.clip)

    assert found.is_steady
    assert pytest.approx(96.0, rel=2e-3) == found.bpm


# What a DAW says


LOOP = meters.piece("4/4", meters.steady(97.0), seed=0).clip


@pytest.mark.parametrize(
    ("told", "heard"), [(97.0, 97.0), (96.2, 97.0), (194.0, 194.0), (48.5, 48.5)]
)
def test_a_hint_is_taken_as_it_is_or_as_another_octave(told: float, heard: float) -> None:
    found = beats_of(LOOP, bpm=told)

    assert found.follows_hint
    assert pytest.approx(heard, rel=2e-3) == found.bpm


@pytest.mark.parametrize("told", [120.0, 110.0, 83.0])
def test_a_hint_that_the_music_contradicts_is_not_followed(told: float) -> None:
    found = beats_of(LOOP, bpm=told)

    assert not found.follows_hint
    assert pytest.approx(97.0, rel=2e-3) == found.bpm


def test_where_nothing_beats_a_hint_is_taken_from_the_first_sample() -> None:
    found = beats_of(pad(), bpm=83.0)

    assert found.follows_hint
    assert 83.0 == found.bpm
    assert 0.0 == found.times[0]


# No tempo

WITHOUT: dict[str, Callable[[], Clip]] = {
    "notes in free time": lambda: free(1),
    "other notes in free time": lambda: free(3),
    "a pad": pad,
    "noise": lambda: noise(20.0, seed=2, sample_rate=RATE, channels=1),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_what_has_no_pulse_is_not_given_one(name: str) -> None:
    found = beats_of(WITHOUT[name]())

    assert found.confidence < AUDIBLE_PULSE
    assert found.is_steady


@pytest.mark.parametrize("drums", [True, False])
@pytest.mark.parametrize("style", ["4/4", "3/4", "6/8"])
def test_music_has_a_pulse(style: meters.Style, *, drums: bool) -> None:
    piece = meters.piece(style, meters.steady(85.0), seconds=12.0, drums=drums, jitter=0.008)

    assert beats_of(piece.clip).confidence > 1.4 * AUDIBLE_PULSE
