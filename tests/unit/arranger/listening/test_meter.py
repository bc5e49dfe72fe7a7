"""Bars and feel: three, four and six, straight and swung, and what must not be taken for them."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from server.engines.arranger.listening import chords, drums, meter, onsets, tempo, timing
from server.engines.arranger.listening.feel import find_feel
from server.engines.arranger.listening.meter import Signs
from server.engines.arranger.score import ANALYSIS_RATE, Chord, DrumHit, Meter
from server.media import rhythm, spectrum
from tests.unit.arranger.listening import meters
from tests.unit.arranger.listening.meters import Style

SECONDS = 14.0
HOP = 512


@lru_cache
def signs_of(
    style: Style, bpm: float, seed: int, *, swing: float = 0.0
) -> tuple[tempo.Beats, Signs]:
    """Return a piece's beats and what its bars are read from; every second seed has a drummer."""
    piece = meters.piece(
        style, meters.steady(bpm), seconds=SECONDS, seed=seed, swing=swing, drums=seed % 2 == 0
    )
    mono = piece.clip.mono()
    envelope = spectrum.onset_envelope(mono, ANALYSIS_RATE)
    struck = drums.find_strokes(spectrum.hpss(mono, ANALYSIS_RATE)[1]) if seed % 2 == 0 else ()
    harmony = spectrum.cqt_levels(mono, ANALYSIS_RATE, hop=HOP, tuning_cents=0.0)
    bass = onsets.bass_envelope(mono)
    beats = tempo.find_beats(envelope, SECONDS, bass=bass)
    starts = onsets.onsets_of(envelope, bass)
    return beats, Signs(starts, struck, harmony, ANALYSIS_RATE / HOP)


def heard(style: Style, bpm: float, seed: int, *, swing: float = 0.0) -> timing.Timing:
    """Return what is heard of a piece's time, without any hint."""
    beats, signs = signs_of(style, bpm, seed, swing=swing)
    return timing.read(beats, signs, SECONDS, hint=None, known=False)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("style", "bpm"),
    [
        *(("3/4", bpm) for bpm in (96.0, 132.0, 168.0)),
        *(("4/4", bpm) for bpm in (84.0, 112.0, 144.0)),
        *(("6/8", bpm) for bpm in (52.0, 66.0, 88.0)),
    ],
)
def test_the_meter_is_heard_with_its_beat(style: Style, bpm: float, seed: int) -> None:
    found = heard(style, bpm, seed)

    assert style == found.meter.name
    assert pytest.approx(bpm, rel=0.01) == found.beats.bpm
    assert found.meter_confidence > 0.1


def test_a_waltz_whose_beats_are_shuffled_is_none() -> None:
    _, signs = signs_of("3/4", 96, 0)
    beats = np.arange(0.0, SECONDS - 1, 60 / 96)
    loose = np.cumsum(np.random.default_rng(4).permutation(np.linspace(0.3, 0.9, beats.size)))

    assert meter.find_bars(signs, beats).meter == Meter(3)
    assert meter.find_bars(signs, loose[loose < SECONDS - 1], fixed=True).meter != Meter(3)


def test_a_few_beats_are_in_four() -> None:
    _, signs = signs_of("3/4", 96, 0)

    found = meter.find_bars(signs, np.arange(6) * 60 / 96)

    assert found.meter == Meter(4)
    assert found.confidence == 0.0


def test_beats_of_a_tempo_that_was_told_stay() -> None:
    _, signs = signs_of("3/4", 168, 0)
    beats = tempo.Beats(84.0, 9.0, True, np.arange(0.0, SECONDS - 0.1, 60 / 84))

    kept = timing.read(beats, signs, SECONDS, hint=84.0, known=False)
    free = timing.read(beats, signs, SECONDS, hint=None, known=False)

    assert kept.beats.bpm == 84.0
    assert free.beats.bpm == 168.0


def test_without_a_pulse_neither_bars_nor_swing_are_claimed() -> None:
    _, signs = signs_of("3/4", 96, 0)
    beats = tempo.Beats(96.0, 1.5, True, np.arange(0.0, SECONDS - 0.1, 60 / 96))

    assert timing.read(beats, signs, SECONDS, hint=None, known=False).meter == Meter(4)


# Feel


@pytest.mark.parametrize("bpm", [88, 124])
@pytest.mark.parametrize("swing", [0.16, 0.25, 1 / 3])
def test_late_quavers_are_measured(bpm: float, swing: float) -> None:
    found = heard("4/4", bpm, 1, swing=swing)

    assert pytest.approx(swing, abs=0.04) == found.feel.swing
    assert found.feel.division == 2


@pytest.mark.parametrize("bpm", [88, 112])
def test_straight_quavers_are_straight(bpm: float) -> None:
    assert heard("4/4", bpm, 0).feel.swing == 0.0


def clicks(places: tuple[float, ...], *, jitter: float = 0.0) -> onsets.Onsets:
    """Return onsets at these places of twenty beats of half a second."""
    random = np.random.default_rng(1)
    frames = np.arange(int(10 * rhythm.FRAME_RATE) + 1) / rhythm.FRAME_RATE
    times = np.array([0.5 * (beat + place) for beat in range(20) for place in places])
    times = times + random.normal(0.0, jitter, times.shape) if jitter else times
    drawn = np.exp(-0.5 * np.square((frames[:, None] - times) / 0.008)).max(axis=1)
    return onsets.onsets_of(drawn.astype(np.float32), None)


BEATS = np.arange(20, dtype=np.float64) / 2


@pytest.mark.parametrize("fine", [0.16, 1 / 3])
def test_late_semiquavers_are_measured(fine: float) -> None:
    late = 0.25 * (1 + fine)
    found = find_feel(clicks((0.0, late, 0.5, 0.5 + late)), BEATS)

    assert pytest.approx(fine, abs=0.05) == found.fine_swing
    assert found.swing == 0.0


def test_straight_semiquavers_played_by_people_do_not_swing() -> None:
    found = find_feel(clicks((0.0, 0.25, 0.5, 0.75), jitter=0.006), BEATS)

    assert (found.swing, found.fine_swing) == (0.0, 0.0)


def test_triplets_are_three_and_no_swing() -> None:
    assert find_feel(clicks((0.0, 1 / 3, 2 / 3)), BEATS).division == 3
    assert find_feel(clicks((0.0, 2 / 3)), BEATS).division == 2


def test_off_beats_at_random_places_are_no_swing() -> None:
    assert find_feel(clicks((0.0, 0.6), jitter=0.06), BEATS).swing == 0.0


# The downbeat


def bars_of(changes: int, first: int, count: int = 24) -> list[Chord]:
    """Return beats whose chord changes every so many, for the first time at `first`."""
    roots = [((beat - first) // changes) * 5 % 12 for beat in range(count)]
    return [Chord(0.5 * n, 0.5 * n + 0.5, root, "", root, 1.0) for n, root in enumerate(roots)]


@pytest.mark.parametrize("first", range(3))
def test_a_bar_of_three_begins_where_chords_change(first: int) -> None:
    assert chords.find_downbeat(bars_of(3, first), (), (), 3) == first


def test_a_kick_and_a_snare_tell_the_first_beat_from_the_second() -> None:
    still = [replace(chord, root=0, bass=0) for chord in bars_of(4, 0)]
    hits = [DrumHit(0.5 * n, "snare" if n % 2 == 0 else "kick", 0.8) for n in range(24)]

    assert chords.find_downbeat(still, (), hits, 4) % 2 == 1


# Four is not three


def drawn(times: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return an envelope of sixteen seconds with a peak of its level at each time."""
    envelope = np.zeros(int(16 * rhythm.FRAME_RATE) + 1)
    np.maximum.at(envelope, (times * rhythm.FRAME_RATE).astype(np.int64), levels)
    return np.asarray(ndimage.gaussian_filter1d(envelope, 1.5), np.float32)


def patterned(bar: int, seed: int) -> tuple[Signs, NDArray[np.float64]]:
    """Return a random pattern of so many beats a bar, each bar a little different, and its beats.

    Bars of two patterns take turns, and their harmony is that of a random loop.
    """
    random = np.random.default_rng([seed, bar])
    beats = np.arange(0.0, 15.5, 0.5)
    steps = np.arange(beats.size * 4)
    rows = random.random((2, 2, bar * 4)) * (random.random((2, 2, bar * 4)) < 0.5)
    rows[..., ::4] += 0.3
    turn, place = steps // (bar * 4) % 2, steps % (bar * 4)
    loose = random.uniform(0.7, 1.3, (2, steps.size)) * (random.random((2, steps.size)) < 0.9)
    times = np.maximum(0.0, steps / 8 + random.normal(0.0, 0.006, steps.size))
    whole, bass = (drawn(times, rows[turn, row, place] * loose[row]) for row in range(2))
    frames = (np.arange(16 * 50) / 50 // (0.5 * bar) % 4).astype(np.int64)
    harmony = (random.random((4, 88)) ** 4)[frames].T.astype(np.float32)
    return Signs(onsets.onsets_of(whole, bass), (), harmony, 50.0), beats


def test_of_forty_patterns_in_four_none_is_heard_in_three() -> None:
    found = [meter.find_bars(*patterned(4, seed), fixed=True).meter.beats for seed in range(40)]

    assert [4] * 40 == found


def test_of_forty_patterns_in_three_nearly_all_are() -> None:
    found = [meter.find_bars(*patterned(3, seed), fixed=True).meter.beats for seed in range(40)]

    assert found.count(3) >= 36
