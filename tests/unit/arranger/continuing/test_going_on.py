"""What follows a clip belongs to it: each promise with damage it must refuse."""

from functools import lru_cache

import numpy as np
import pytest

from server import errors
from server.engines.arranger import stages
from server.engines.arranger.continuing import going
from server.engines.protocols import Brief, Continuation, Continues, Sampling
from server.media import endings as stops
from server.media import loudness
from server.media.clip import Clip, Samples
from server.media.window import Window, cut
from tests import music
from tests.unit.arranger.continuing import endings
from tests.unit.arranger.continuing.endings import ASKED, alignment, continued, root_agreement
from tests.unit.arranger.inpainting import songs

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
    bars = np.split(made.new.samples[:, : 6 * 88200], 6, axis=1)
    shuffled = np.concatenate([bars[place] for place in (3, 0, 5, 2, 1, 4)], axis=1)

    assert root_agreement(made, made.new, transposed=1) < ROOTS
    assert root_agreement(made, made.new.with_samples(shuffled)) < ROOTS


def test_what_came_earlier_is_heard_for_its_chords_and_not_given_back() -> None:
    """Five seconds do not hold a loop of four bars; with what was before them they do."""
    made, first = continued(120.0), round(12.0 * 44100)
    earlier = cut(made.stopped, Window(0, first))
    clip = cut(made.stopped, Window(first, made.stopped.length))
    knowing, alone = (endings.go_on(clip, earlier=each) for each in (earlier, None))
    whole = made.result.clip.samples[:, first:]

    np.testing.assert_array_equal(whole, knowing.clip.samples)
    new = cut(alone.clip, Window(clip.length, clip.length + made.truth.length))
    assert root_agreement(made, new) < ROOTS


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


def test_it_does_not_stop_by_itself() -> None:
    made = continued(120.0)
    cut_off = made.new.samples.copy()
    cut_off[:, made.new.length // 2 :] = 0.0

    assert () == stops.faults(made.new, length=made.new.length, before=made.stopped)
    assert stops.faults(made.new.with_samples(cut_off), length=made.new.length)


# Seeds and words


@lru_cache(maxsize=1)
def short() -> Clip:
    """Return three bars of a piece."""
    return music.band(120.0, seconds=6.0, seed=2).clip


def test_same_seed_same_samples_and_another_seed_other_notes() -> None:
    first, again, other = (
        endings.go_on(short(), seconds=2.0, seed=seed, prompt="piano", is_custom=True)
        for seed in (3, 3, 4)
    )

    assert np.array_equal(first.clip.samples, again.clip.samples)
    assert not np.array_equal(first.clip.samples, other.clip.samples)
    assert ("piano",) == first.understood
    assert ["piano"] == list(first.made["notes_per_part"])
    assert going.NEAREST not in first.notices


def test_without_words_the_nearest_voices_play_and_that_is_said() -> None:
    made = continued(120.0).result

    assert going.NEAREST in made.notices
    assert set(made.made["notes_per_part"]) <= set(made.made["nearest_voices"])
    assert made.guessed is None


def test_rate_and_channel_of_the_clip_are_kept() -> None:
    mono = music.riff(120.0, seconds=6.0, sample_rate=22050).clip
    made = endings.go_on(mono, seconds=2.0, prompt="piano", is_custom=True)

    assert (1, 22050) == (made.clip.channels, made.clip.sample_rate)
    assert made.clip.seconds >= mono.seconds + 2.0


# Where there is no beat or nothing to hear


def test_drums_alone_are_followed_by_drums_alone() -> None:
    drums = songs.struck(music.band(120.0, seconds=8.0, seed=2))
    made = endings.go_on(drums, seconds=4.0, prompt="rock band", is_custom=True)

    assert going.NO_PITCH in made.notices
    assert {} == made.made["notes_per_part"]
    assert [] == made.made["chords"]
    assert made.made["strokes"] > 16
    assert made.heard["key"] is None


@lru_cache(maxsize=2)
def noisy(seed: int) -> Continuation:
    """Return noise that goes on."""
    return endings.go_on(music.noise(4.0, seed=1), seconds=6.0, seed=seed)


def test_without_beat_and_pitch_the_last_seconds_go_on_as_a_texture() -> None:
    made = noisy(3)
    new = made.clip.samples[:, 4 * 44100 :]

    assert going.NOTHING in made.notices
    assert "texture" == made.made["way"]
    assert made.heard["bpm"] is made.heard["key"] is None
    assert 10 * 44100 == made.clip.length
    assert abs(float(np.std(new)) - 0.1) < 0.02
    assert longest_hole(new) == 0.0


def test_a_held_tone_goes_on_as_that_tone_and_in_phase() -> None:
    tone = music.sine(220.0, 4.0, channels=2)
    made = endings.go_on(tone, seconds=6.0)
    new = made.clip.samples[:, 4 * 44100 :]
    levels = np.sqrt(np.square(new[:, : 59 * 4410]).reshape(2, 59, -1).mean(axis=(0, 2)))

    assert "texture" == made.made["way"]
    assert np.ptp(20 * np.log10(levels)) < 3.0


def test_textures_of_other_seeds_differ() -> None:
    assert not np.array_equal(noisy(3).clip.samples, noisy(4).clip.samples)


@pytest.mark.parametrize("seconds", [0.01, 5.0])
def test_silence_cannot_be_continued(seconds: float) -> None:
    with pytest.raises(errors.EngineFailed, match="nothing to go on with"):
        endings.go_on(music.silence(seconds), seconds=2.0)


def test_a_clip_that_ends_in_silence_has_no_texture() -> None:
    clip = music.noise(0.5)
    silent = clip.with_samples(np.pad(clip.samples, ((0, 0), (0, 6 * 44100))))

    with pytest.raises(errors.EngineFailed, match="nothing to go on with"):
        endings.go_on(silent, seconds=2.0)


def test_more_than_can_be_added_at_once_is_refused_by_name() -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        endings.go_on(short(), seconds=going.LONGEST_SECONDS + 1)

    assert "seconds" == caught.value.field


# Stopping


def test_it_can_be_stopped_at_any_step_and_counts_upwards() -> None:
    class Stopped(BaseException):
        """The job was cancelled."""

    told: list[tuple[int, int]] = []

    def report(done: int, total: int) -> None:
        told.append((done, total))
        if len(told) == 12:
            raise Stopped

    brief = Brief(variation=None, prompt="piano", is_custom=True)
    with pytest.raises(Stopped):
        endings.arranger().continue_music(short(), brief, Sampling(), seconds=4.0, on_step=report)

    assert told == sorted(told)
    assert {stages.STEPS} == {total for _, total in told}
