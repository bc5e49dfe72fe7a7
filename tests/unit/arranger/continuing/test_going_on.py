"""What follows a clip belongs to it: each promise with damage it must refuse."""

import numpy as np
import pytest

from server.engines.arranger.continuing import going
from server.engines.protocols import Continues
from server.media import loudness
from server.media.clip import Samples
from server.media.window import Window, cut
from tests.unit.arranger.continuing import endings
from tests.unit.arranger.continuing.endings import ASKED, alignment, continued, root_agreement

LAG_MS, DRIFT_MS = 15.0, 10.0
ROOTS = 0.9


def test_it_offers_what_an_engine_owes_that_continues() -> None:
    continues: Continues = endings.arranger()

    assert callable(continues.continue_music)


# What is given comes back, and enough follows


def test_the_clip_comes_back_and_at_least_what_was_asked_for_follows() -> None:
    made = continued(120.0)
    kept = made.stopped.length - round(going.MARGIN_SECONDS * 44100)

    assert np.array_equal(made.stopped.samples[:, :kept], made.result.clip.samples[:, :kept])
    assert made.result.clip.seconds >= made.stopped.seconds + ASKED
    assert (2, 44100) == (made.result.clip.channels, made.result.clip.sample_rate)


# The beat


@pytest.mark.parametrize("bpm", [120.0, 97.3])
def test_the_beat_goes_on_where_it_was(bpm: float) -> None:
    found = alignment(continued(bpm), continued(bpm).new)

    assert found.lag_ms is not None
    assert found.drift_ms is not None
    assert abs(found.lag_ms) <= LAG_MS
    assert abs(found.drift_ms) <= DRIFT_MS


def test_a_beat_that_is_80_ms_late_or_3_percent_faster_is_refused() -> None:
    made = continued(120.0)
    late = made.new.with_samples(np.roll(made.new.samples, 3528, axis=1))
    places = np.arange(made.new.length) * 1.03
    faster = np.stack([np.interp(places, np.arange(len(row)), row) for row in made.new.samples])
    hurried = alignment(made, made.new.with_samples(faster.astype(np.float32)))

    assert abs(alignment(made, late).lag_ms or 1000.0) > LAG_MS
    assert hurried.lag_ms is None or abs(hurried.drift_ms or 1000.0) > DRIFT_MS


# The chords


@pytest.mark.parametrize("bpm", [120.0, 97.3])
def test_the_chords_are_those_that_would_have_come(bpm: float) -> None:
    assert root_agreement(continued(bpm), continued(bpm).new) >= ROOTS


def test_a_transposed_continuation_and_one_with_shuffled_bars_are_refused() -> None:
    made = continued(120.0)
    bars = np.split(made.new.samples[:, : 8 * 88200], 8, axis=1)
    shuffled = np.concatenate([bars[place] for place in (3, 0, 5, 2, 7, 4, 1, 6)], axis=1)

    assert root_agreement(made, made.new, transposed=1) < ROOTS
    assert root_agreement(made, made.new.with_samples(shuffled)) < ROOTS


# How it sounds at the join, in between and at the end


def test_it_is_as_loud_as_the_end_of_the_clip_without_overs() -> None:
    made = continued(120.0)
    end = cut(made.stopped, Window(made.stopped.length - 6 * 44100, made.stopped.length))

    assert abs(loudness.integrated_loudness(made.new) - loudness.integrated_loudness(end)) <= 1.5
    assert loudness.true_peak_db(made.new) <= -1.0


def longest_hole(samples: Samples) -> float:
    """Return the longest time below -60 dBFS, in seconds."""
    frame = 441
    frames = samples[:, : samples.shape[1] // frame * frame].reshape(2, -1, frame)
    levels = 10 * np.log10(np.square(frames).mean(axis=(0, 2)) + 1e-12)
    longest = run = 0
    for level in levels:
        run = run + 1 if level < -60.0 else 0
        longest = max(longest, run)
    return 0.01 * longest


def test_it_sounds_throughout_and_rings_out_beyond_the_last_bar() -> None:
    made = continued(120.0)
    silenced = made.new.samples.copy()
    silenced[:, 44100:88200] = 0.0
    ring = made.result.clip.samples[:, -round(going.RING_SECONDS * 44100) :]

    assert longest_hole(made.new.samples) <= 0.15
    assert longest_hole(silenced) > 0.15
    assert np.abs(ring[:, :4410]).max() > 10 * np.abs(ring[:, -4410:]).max() > 0.0
