"""The spectral views agree with librosa, invert, and keep their frames where they say."""

import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.media import resample, spectrum
from server.media.clip import Clip, Samples
from tests import music

RATE = 22050


def mono(clip: Clip) -> Samples:
    """Return a clip as everything here hears it."""
    return resample.resample(clip, RATE).mono()


BAND = mono(music.band(seconds=5).clip)


def test_the_stft_equals_the_written_formula() -> None:
    """Frame by frame and bin by bin: the slow way."""
    samples = BAND[:700]
    padded = np.pad(samples.astype(float), 64)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(128) / 128)

    frames = spectrum.stft(samples, n_fft=128, hop=32)

    assert (65, 1 + 700 // 32) == frames.shape
    for t in range(frames.shape[1]):
        part = padded[t * 32 : t * 32 + 128] * window
        np.testing.assert_allclose(np.fft.rfft(part), frames[:, t], atol=1e-4)


def test_the_stft_agrees_with_librosa() -> None:
    """Same centring, same window, same padding with silence."""
    expected = librosa.stft(BAND, n_fft=2048, hop_length=512)

    np.testing.assert_allclose(expected, spectrum.stft(BAND, n_fft=2048, hop=512), atol=1e-3)


def test_magnitudes_in_blocks_equal_those_of_the_whole() -> None:
    """More frames than one block holds."""
    whole = np.abs(spectrum.stft(BAND, n_fft=256, hop=32))

    assert whole.shape[1] > 2048
    np.testing.assert_allclose(whole, spectrum.magnitudes(BAND, n_fft=256, hop=32), atol=1e-6)


@given(st.integers(0, 3000), st.sampled_from([(64, 16), (128, 64), (256, 64)]))
def test_the_inverse_gives_the_samples_back(length: int, sizes: tuple[int, int]) -> None:
    """At every length, the empty one included."""
    n_fft, hop = sizes
    samples = BAND[:length]

    back = spectrum.istft(spectrum.stft(samples, n_fft=n_fft, hop=hop), hop=hop, length=length)

    np.testing.assert_allclose(samples, back, atol=1e-5)


def test_the_inverse_needs_a_hop_that_divides_the_window() -> None:
    """Otherwise overlap-add would not line up."""
    with pytest.raises(ValueError, match="divide"):
        spectrum.istft(np.zeros((65, 4), np.complex64), hop=48, length=100)


def test_mel_triangles_agree_with_librosa() -> None:
    """The same scale and heights."""
    expected = librosa.filters.mel(
        sr=RATE, n_fft=1024, n_mels=40, fmin=30.0, fmax=8000.0, htk=True, norm=None
    )

    np.testing.assert_allclose(
        expected, spectrum.mel_filterbank(RATE, 1024, 40, 30.0, 8000.0), atol=1e-5
    )


# Layers


def test_tones_and_clicks_are_told_apart() -> None:
    """Each layer holds more than 90 % of its own and the two sum to the mix."""
    tone = music.sine(440, 3.0, level=0.3, sample_rate=RATE).mono()
    clicks = np.zeros_like(tone)
    clicks[5000::11025] = 1.0

    harmonic, percussive = spectrum.hpss(tone + clicks, RATE)

    np.testing.assert_allclose(tone + clicks, harmonic + percussive, atol=1e-4)
    assert 0.95 < np.corrcoef(harmonic, tone)[0, 1]
    assert 0.8 < np.corrcoef(percussive, clicks)[0, 1]


def test_the_split_agrees_with_librosa() -> None:
    """On music, both layers correlate with librosa's almost perfectly."""
    expected = librosa.effects.hpss(BAND, kernel_size=31)

    layers = spectrum.hpss(BAND, RATE)

    for theirs, ours in zip(expected, layers, strict=True):
        assert 0.98 < np.corrcoef(theirs, ours)[0, 1]


def test_a_margin_leaves_a_remainder() -> None:
    """What is neither clearly one nor the other is in neither."""
    harmonic, percussive = spectrum.hpss(BAND, RATE, margin=2.0)

    remainder = BAND - harmonic - percussive
    assert 0.05 < remainder.std() / BAND.std() < 0.9


# Onsets


def test_onsets_peak_where_the_drums_are() -> None:
    """Every click within a frame or two of its time, and nothing between."""
    samples = np.zeros(RATE * 4, np.float32)
    samples[RATE // 2 :: RATE // 2] = 0.5

    envelope = spectrum.onset_envelope(samples, RATE)

    peaks = np.flatnonzero(envelope > 0.5) * 128 / RATE
    times = np.arange(0.5, 4.0, 0.5)
    assert all(np.abs(peaks - time).min() < 0.02 for time in times)
    assert all(np.abs(times - peak).min() < 0.02 for peak in peaks)


def test_the_onset_envelope_agrees_with_librosa() -> None:
    """Their SuperFlux setting on the same logarithmic mel spectrum gives the same curve."""
    filters = spectrum.mel_filterbank(RATE, 1024, 96, 27.5, 10000.0)
    power = filters @ np.square(spectrum.magnitudes(BAND, n_fft=1024, hop=128))
    theirs = librosa.onset.onset_strength(
        S=np.log1p(1000 * power / power.max()), sr=RATE, lag=2, max_size=3, center=False
    )

    ours = spectrum.onset_envelope(BAND, RATE)

    np.testing.assert_allclose(theirs / theirs.max(), ours, atol=1e-4)


def test_vibrato_is_no_onset() -> None:
    """A singer's note starts once; that is what the maximum filter is for."""
    times = np.arange(RATE * 2) / RATE
    angle = 2 * np.pi * 440 * times + 6.0 * np.sin(2 * np.pi * 6 * times)
    sung = (0.5 * np.sin(angle) * (times > 0.25)).astype(np.float32)

    envelope = spectrum.onset_envelope(sung, RATE)

    assert 0.35 > envelope[int(0.5 * RATE / 128) : -20].max()
    assert 1.0 == envelope[int(0.2 * RATE / 128) : int(0.3 * RATE / 128)].max()


def test_the_envelope_does_not_depend_on_the_level() -> None:
    """A quiet recording has the same onsets."""
    expected = spectrum.onset_envelope(BAND, RATE)

    quiet = spectrum.onset_envelope(BAND * np.float32(0.001), RATE)

    np.testing.assert_allclose(expected, quiet, atol=1e-3)


# Semitones


@pytest.mark.parametrize("row", [12, 13, 24, 31, 48, 60, 75, 87])
def test_a_tone_lights_its_own_semitone(row: int) -> None:
    """At level 1, with both neighbours 13 dB below: from A1 up."""
    hertz = 27.5 * 2 ** (row / 12)
    tone = music.sine(hertz, 3.0, level=1.0, sample_rate=RATE).mono()

    levels = spectrum.cqt_levels(tone, RATE)[:, 60]

    assert pytest.approx(1.0, abs=0.02) == levels[row]
    neighbours = [levels[other] for other in (row - 1, row + 1) if other < 88]
    assert 10 ** (-13 / 20) > max(neighbours)


@pytest.mark.parametrize("hop", [512, 256, 200, 441])
def test_semitone_frames_lie_where_the_hop_says(hop: int) -> None:
    """A note in the second second is in those frames, in low octaves and in high ones."""
    for hertz in (110.0, 1760.0):
        tone = music.sine(hertz, 3.0, level=1.0, sample_rate=RATE).mono()
        tone[:RATE] = tone[2 * RATE :] = 0.0

        levels = spectrum.cqt_levels(tone, RATE, hop=hop)

        row = round(12 * np.log2(hertz / 27.5))
        sounding = np.flatnonzero(levels[row] > 0.5) * hop / RATE
        assert 1 + len(tone) // hop == levels.shape[1]
        assert pytest.approx(1.0, abs=0.05) == sounding[0]
        assert pytest.approx(2.0, abs=0.05) == sounding[-1]


def test_two_semitones_in_the_bass_are_two_notes() -> None:
    """A1 and A sharp 1 together show a row each, and little in the next."""
    samples = sum(music.sine(hz, 3.0, sample_rate=RATE).mono() for hz in (55.0, 61.74))

    levels = spectrum.cqt_levels(np.asarray(samples, np.float32), RATE)[:, 40:90].mean(axis=1)

    assert {12, 14} == set(np.argsort(levels)[-2:])
    assert levels[13] < 0.6 * min(levels[12], levels[14])


def test_a_low_rate_has_no_high_semitones() -> None:
    """Rows above Nyquist stay silent."""
    tone = music.noise(1.0, sample_rate=4000).mono()

    levels = spectrum.cqt_levels(tone, 4000)

    assert not levels[76:].any()
    assert levels[:70].any(axis=1).all()


def test_chroma_agrees_with_librosa() -> None:
    """The same pitch classes in the same order, over the whole piece."""
    theirs = librosa.feature.chroma_cqt(y=BAND, sr=RATE, tuning=0.0).mean(axis=1)

    ours = np.sqrt(spectrum.chroma(spectrum.cqt_levels(BAND, RATE))).mean(axis=1)

    assert 0.9 < np.corrcoef(theirs, ours)[0, 1]


def test_folding_keeps_the_energy() -> None:
    """Row by row: the slow way."""
    levels = np.random.default_rng(0).random((88, 5)).astype(np.float32)
    expected = np.zeros((12, 5))
    for row in range(88):
        expected[(row + 9) % 12] += levels[row] ** 2

    np.testing.assert_allclose(expected, spectrum.chroma(levels), rtol=1e-5)


@pytest.mark.parametrize("cents", [-40.0, -12.0, 0.0, 23.0, 45.0])
def test_the_tuning_is_found_to_a_few_cents(cents: float) -> None:
    """On a picked guitar, whose partials do not all agree."""
    guitar = mono(music.riff(seconds=4, cents=cents).clip)

    assert pytest.approx(cents, abs=5) == spectrum.estimate_tuning(guitar, RATE)


def test_half_a_semitone_off_is_reported_from_below() -> None:
    """So that the answer is always in [-50, 50)."""
    tone = music.sine(440 * 2 ** (0.5 / 12), 1.0, sample_rate=RATE).mono()

    assert pytest.approx(50, abs=2) == abs(spectrum.estimate_tuning(tone, RATE))


@pytest.mark.parametrize("length", [0, 1, 2, 100, 600, 2000])
def test_scraps_and_silence_do_no_harm(length: int) -> None:
    """Every view of almost nothing is finite and has its promised shape."""
    for samples in (np.zeros(length, np.float32), BAND[:length]):
        levels = spectrum.cqt_levels(samples, RATE)
        envelope = spectrum.onset_envelope(samples, RATE)

        assert (88, 1 + length // 512) == levels.shape
        assert (1 + length // 128,) == envelope.shape
        assert np.isfinite(levels).all()
        assert np.isfinite(envelope).all()
        assert all(np.isfinite(layer).all() for layer in spectrum.hpss(samples, RATE))
        assert abs(spectrum.estimate_tuning(samples, RATE)) <= 50


@pytest.mark.parametrize("margin", [1.0, 1.5])
def test_layers_of_a_long_sound_do_not_show_where_it_was_split(
    monkeypatch: pytest.MonkeyPatch, margin: float
) -> None:
    """Sections overlap by all that the filters and windows see."""
    whole = spectrum.hpss(BAND, RATE, margin=margin)
    monkeypatch.setattr(spectrum, "_SECTION_FRAMES", 24)
    split = spectrum.hpss(BAND, RATE, margin=margin)

    assert 24 * 512 * 4 < len(BAND)
    for expected, layer in zip(whole, split, strict=True):
        np.testing.assert_allclose(expected, layer, atol=1e-5)
