"""Loudness agrees with the standard and with others; the limiter keeps its ceiling."""

import math

import numpy as np
import pyloudnorm
import pytest
from scipy import signal

from server.media import loudness
from server.media.clip import Clip
from tests import music


def louder(clip: Clip, gain_db: float) -> Clip:
    """Scale a clip."""
    return clip.with_samples(clip.samples * np.float32(10 ** (gain_db / 20)))


@pytest.mark.parametrize("sample_rate", [44100, 48000])
@pytest.mark.parametrize("timbre", ["keys", "reed"])
def test_integrated_loudness_agrees_with_pyloudnorm(sample_rate: int, timbre: music.Timbre) -> None:
    """Within 0.1 LU of its default filters, within 0.001 of the prototypes we share."""
    clip = music.band(seconds=6, timbre=timbre, sample_rate=sample_rate).clip
    samples = clip.samples.T.astype(float)

    measured = loudness.integrated_loudness(clip)

    default, prototype = (
        pyloudnorm.Meter(sample_rate, filter_class=name).integrated_loudness(samples)
        for name in ("K-weighting", "DeMan")
    )
    assert pytest.approx(default, abs=0.1) == measured
    assert pytest.approx(prototype, abs=0.001) == measured


@pytest.mark.parametrize("sample_rate", [8000, 32000, 44100, 48000, 96000, 192000])
def test_a_full_scale_tone_has_the_loudness_the_standard_gives(sample_rate: int) -> None:
    """BS.1770: a 997 Hz sine at 0 dBFS in one channel reads -3.01 LKFS, at any rate."""
    tone = music.sine(997, 2.0, level=1.0, sample_rate=sample_rate)

    assert pytest.approx(-3.01, abs=0.05) == loudness.integrated_loudness(tone)


def test_silence_between_music_does_not_count() -> None:
    """The gates leave it out; a plain mean would sink by 3 dB."""
    clip = music.noise(4.0)
    gapped = clip.with_samples(np.hstack([clip.samples, np.zeros_like(clip.samples)]))

    full = loudness.integrated_loudness(clip)

    assert pytest.approx(full, abs=0.25) == loudness.integrated_loudness(gapped)


def test_quiet_passages_fall_under_the_relative_gate() -> None:
    """Twenty decibels below, they leave the loudness as it is."""
    clip = music.noise(4.0)
    mixed = clip.with_samples(np.hstack([clip.samples, clip.samples * np.float32(0.1)]))

    full = loudness.integrated_loudness(clip)

    assert pytest.approx(full, abs=0.25) == loudness.integrated_loudness(mixed)


@pytest.mark.parametrize("seconds", [0.02, 0.39, 0.4, 0.41])
def test_clips_shorter_than_a_block_have_a_loudness(seconds: float) -> None:
    """About that of the same noise at length."""
    full = loudness.integrated_loudness(music.noise(4.0))

    assert pytest.approx(full, abs=1.5) == loudness.integrated_loudness(music.noise(seconds))


@pytest.mark.parametrize(
    "clip", [music.silence(1.0), music.silence(0.0), louder(music.noise(1.0), -80)]
)
def test_what_cannot_be_heard_has_no_loudness(clip: Clip) -> None:
    """Silence is `-inf`, and matching it changes nothing."""
    assert loudness.SILENCE == loudness.integrated_loudness(clip)
    assert clip is loudness.match_loudness(clip, -14.0)


def test_surround_channels_weigh_as_the_standard_says() -> None:
    """In 5.1 the LFE counts nothing and a surround 1.5 dB more than a front."""
    tone = music.sine(997, 1.0, level=0.5).samples[0]

    def only(channel: int) -> float:
        samples = np.zeros((6, tone.size), np.float32)
        samples[channel] = tone
        return loudness.integrated_loudness(Clip(samples, 44100))

    assert loudness.SILENCE == only(3)
    assert pytest.approx(only(0) + 1.49, abs=0.01) == only(5)


@pytest.mark.parametrize("target", [-30.0, -14.0, -6.0])
def test_matching_reaches_the_target(target: float) -> None:
    """One gain for all channels."""
    matched = loudness.match_loudness(music.band(seconds=4).clip, target)

    assert pytest.approx(target, abs=0.01) == loudness.integrated_loudness(matched)


@pytest.mark.parametrize("frequency", [997.0, 5000.0, 11025.0, 15000.0])
def test_the_true_peak_is_found_between_the_samples(frequency: float) -> None:
    """A full-scale tone peaks at 0 dBTP, wherever its samples fall."""
    times = np.arange(44100) / 44100
    wave = np.sin(2 * np.pi * frequency * times + np.pi / 4) * signal.get_window("hann", 44100)

    peak = loudness.true_peak_db(Clip(wave[None].astype(np.float32), 44100))

    assert pytest.approx(0.0, abs=0.1) == peak


def test_a_quarter_of_the_rate_hides_three_decibels_from_a_sample_meter() -> None:
    """The negative control: looking at samples alone misses the peak."""
    wave = np.sin(np.pi / 2 * np.arange(44100) + np.pi / 4) * signal.get_window("hann", 44100)

    assert pytest.approx(-3.01, abs=0.01) == 20 * math.log10(np.abs(wave).max())


def test_the_true_peak_agrees_with_plain_oversampling() -> None:
    """Sixteen times oversampling by another filter, on music."""
    clip = music.band(seconds=4).clip
    slow = signal.resample_poly(clip.samples.astype(float), 16, 1, axis=1)

    expected = 20 * math.log10(np.abs(slow).max())

    assert pytest.approx(expected, abs=0.2) == loudness.true_peak_db(clip)


@pytest.mark.parametrize("clip", [music.silence(0.1), music.silence(0.0)])
def test_silence_has_no_peak(clip: Clip) -> None:
    """And limiting it changes nothing."""
    assert loudness.SILENCE == loudness.true_peak_db(clip)
    assert clip is loudness.limit(clip)


@pytest.mark.parametrize("gain_db", [1.0, 6.0, 20.0])
@pytest.mark.parametrize("ceiling_db", [-1.0, -6.0])
def test_the_limiter_keeps_its_ceiling(gain_db: float, ceiling_db: float) -> None:
    """At the true peak, and without throwing away more than a little level."""
    clip = louder(music.band(seconds=3).clip, gain_db + 3)

    limited = loudness.limit(clip, ceiling_db=ceiling_db)

    peak = loudness.true_peak_db(limited)
    assert ceiling_db - 0.3 < peak <= ceiling_db
    assert clip.samples.shape == limited.samples.shape


def test_what_is_below_the_ceiling_is_returned_as_it_is() -> None:
    """A limiter that is not needed is not heard."""
    clip = louder(music.band(seconds=2).clip, -6)

    assert clip is loudness.limit(clip)


def test_the_limiter_turns_down_around_a_peak_and_nowhere_else() -> None:
    """Smoothly: far from a single click the samples are the source's, and no gain jumps."""
    clip = music.sine(200, 2.0, level=0.3)
    samples = clip.samples.copy()
    samples[0, 44100:44110] += 2.0

    limited = loudness.limit(clip.with_samples(samples))

    np.testing.assert_allclose(samples[:, :43000], limited.samples[:, :43000], rtol=0.02)
    np.testing.assert_allclose(samples[:, 66000:], limited.samples[:, 66000:], rtol=0.02)
    gains = limited.samples[0, 1::2] / np.where(samples[0, 1::2], samples[0, 1::2], 1)
    assert 0.05 > np.abs(np.diff(gains[np.abs(samples[0, 1::2]) > 0.01])).max()


def test_the_limiter_is_deterministic() -> None:
    """The same bytes every time."""
    clip = louder(music.band(seconds=2).clip, 9)

    np.testing.assert_array_equal(loudness.limit(clip).samples, loudness.limit(clip).samples)
