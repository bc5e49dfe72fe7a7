"""Views of mono samples in time and frequency: STFT, mel, percussive split, onsets, semitones.

Knows arrays `[N]` of float32 and their rate; knows nothing of clips, beats or verdicts. Every
function is pure and deterministic, and works in float32 on one thread.

Conventions: frame `t` of every view is centred on sample `t * hop`; outside the samples there is
silence (zero padding); a view of `N` samples has `1 + N // hop` frames.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, signal

from server.media.clip import Samples

Spectrum = NDArray[np.complex64]

SEMITONES = 88
"""Rows of `cqt_levels`: A0 to C8."""

LOWEST_HZ = 27.5
"""Frequency of the first row of `cqt_levels` (A0) at no detuning."""

LOWEST_PITCH_CLASS = 9
"""Pitch class of A0; C is 0."""

_QUIET = 1e-10
_SECTION_FRAMES = 1024
_FRAMES_AT_ONCE = 2048


# STFT


def _window(length: int) -> Samples:
    """Return a periodic Hann window, `[length]`."""
    return signal.get_window("hann", length).astype(np.float32)


def _frames(samples: Samples, *, length: int, hop: int) -> Samples:
    """Return centred frames of zero-padded samples, a view `[T, length]`."""
    count = 1 + samples.shape[0] // hop
    padded = np.zeros((count - 1) * hop + length, dtype=np.float32)
    kept = min(samples.shape[0], padded.shape[0] - length // 2)
    padded[length // 2 : length // 2 + kept] = samples[:kept]
    return np.lib.stride_tricks.sliding_window_view(padded, length)[::hop]


def stft(samples: Samples, *, n_fft: int, hop: int) -> Spectrum:
    """Return the short-time Fourier transform, Hann window, `[n_fft // 2 + 1, 1 + N // hop]`."""
    frames = _frames(samples, length=n_fft, hop=hop)
    transformed = fft.rfft(frames * _window(n_fft), axis=1, workers=1)
    return np.ascontiguousarray(transformed.T, dtype=np.complex64)


def magnitudes(samples: Samples, *, n_fft: int, hop: int) -> Samples:
    """Return `abs(stft(samples))` without ever holding the complex values of the whole clip."""
    frames, window = _frames(samples, length=n_fft, hop=hop), _window(n_fft)
    levels = np.empty((n_fft // 2 + 1, frames.shape[0]), dtype=np.float32)
    for start in range(0, frames.shape[0], _FRAMES_AT_ONCE):
        block = frames[start : start + _FRAMES_AT_ONCE]
        levels[:, start : start + _FRAMES_AT_ONCE] = np.abs(
            fft.rfft(block * window, axis=1, workers=1)
        ).T
    return levels


def istft(spectrum: Spectrum, *, hop: int, length: int) -> Samples:
    """Return the `[length]` samples whose STFT is nearest to `spectrum` in least squares.

    Weighted overlap-add, Griffin & Lim, "Signal estimation from modified short-time Fourier
    transform" (1984), eq. 6. The hop must divide the window.
    """
    n_fft = 2 * (spectrum.shape[0] - 1)
    if n_fft % hop:
        raise ValueError(f"the hop {hop} must divide the window length {n_fft}")
    window = _window(n_fft)
    frames = fft.irfft(spectrum.T, n=n_fft, axis=1, workers=1).astype(np.float32) * window
    added = _overlap_add(frames, hop=hop)
    weight = _overlap_add(np.broadcast_to(np.square(window), frames.shape), hop=hop)
    added /= np.maximum(weight, 1e-6)
    samples = added[n_fft // 2 :][:length]
    return np.pad(samples, (0, length - samples.shape[0]))


def _overlap_add(frames: Samples, *, hop: int) -> Samples:
    """Sum frames `[T, L]` laid `hop` apart, where `hop` divides `L`."""
    count, length = frames.shape
    parts = length // hop
    total = np.zeros((count + parts - 1, hop), dtype=np.float32)
    for part in range(parts):
        total[part : part + count] += frames[:, part * hop : (part + 1) * hop]
    return total.reshape(-1)


# Mel bands and onsets


def mel_filterbank(
    sample_rate: int, n_fft: int, bands: int, low_hz: float, high_hz: float
) -> Samples:
    """Return triangles of height 1 spaced evenly in mel, `[bands, n_fft // 2 + 1]`.

    The scale is O'Shaughnessy's: mel = 2595 log10(1 + f / 700).
    """
    low, high = (2595.0 * np.log10(1.0 + hz / 700.0) for hz in (low_hz, high_hz))
    edges = 700.0 * (10.0 ** (np.linspace(low, high, bands + 2) / 2595.0) - 1.0)
    bins = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)


def onset_envelope(
    samples: Samples, sample_rate: int, *, hop: int = 128, n_fft: int = 1024
) -> Samples:
    """Return how strongly something starts in each frame, `[1 + N // hop]` in [0, 1].

    SuperFlux: the rise of a logarithmic spectrum over the maximum of the neighbouring bands two
    frames before, so that vibrato does not count; Böck & Widmer, "Maximum filter vibrato
    suppression for onset detection" (DAFx 2013). The strongest onset is 1, whatever the level;
    silence is 0 throughout.
    """
    lag = 2
    filters = mel_filterbank(sample_rate, n_fft, 96, 27.5, min(10000.0, sample_rate / 2))
    power = filters @ magnitudes(samples, n_fft=n_fft, hop=hop) ** 2
    peak = float(power.max(initial=0.0))
    envelope = np.zeros(power.shape[1], dtype=np.float32)
    if peak < _QUIET or power.shape[1] <= lag:
        return envelope
    levels = np.log1p(1000.0 / peak * power)
    before = ndimage.maximum_filter1d(levels[:, :-lag], 3, axis=0)
    envelope[lag:] = np.maximum(0.0, levels[:, lag:] - before).mean(axis=0)
    return envelope / max(float(envelope.max()), _QUIET)


# Harmonic and percussive layers


def hpss(
    samples: Samples,
    sample_rate: int,
    *,
    n_fft: int = 2048,
    hop: int = 512,
    margin: float = 1.0,
) -> tuple[Samples, Samples]:
    """Split into a harmonic and a percussive layer, each `[N]`.

    Medians along time keep what sustains, medians along frequency what strikes; FitzGerald,
    "Harmonic/percussive separation using median filtering" (DAFx 2010), with soft masks. At a
    margin of 1 the layers sum to the samples; above it each layer is purer and a remainder is lost.
    Long sounds are split in sections that overlap, so that memory does not grow with them; the
    result is that of the whole.
    """
    width = _odd(0.72 * sample_rate / hop)
    lead = (width + n_fft // hop) * hop
    layers = np.empty((2, samples.shape[0]), dtype=np.float32)
    for start in range(0, samples.shape[0], _SECTION_FRAMES * hop):
        first, end = max(0, start - lead), start + _SECTION_FRAMES * hop
        piece = samples[first : end + lead]
        halves = _layers(piece, width, _odd(334.0 * n_fft / sample_rate), n_fft, hop, margin)
        for layer, half in zip(layers, halves, strict=True):
            layer[start:end] = half[start - first : end - first]
    return layers[0], layers[1]


def _layers(
    samples: Samples, sustained_width: int, struck_width: int, n_fft: int, hop: int, margin: float
) -> tuple[Samples, Samples]:
    """Return the layers of a section; what is near its ends depends on where it was cut."""
    spectrum = stft(samples, n_fft=n_fft, hop=hop)
    levels = np.abs(spectrum)
    sustained = _running_median(levels, width=sustained_width)
    struck = _running_median(levels.T, width=struck_width).T
    harmonic = _soft_mask(sustained, margin * struck)
    percussive = _soft_mask(struck, margin * sustained)
    return (
        istft(spectrum * harmonic, hop=hop, length=samples.shape[0]),
        istft(spectrum * percussive, hop=hop, length=samples.shape[0]),
    )


def _odd(width: float) -> int:
    """Return the nearest odd number of at least 3."""
    return max(3, 2 * round((width - 1) / 2) + 1)


def _running_median(levels: Samples, *, width: int) -> Samples:
    """Return the median of `width` neighbours along the last axis, mirrored at the ends.

    The rows are laid end to end with their mirrored margins between, because the one-dimensional
    filter is an order of magnitude faster than the two-dimensional one with a flat footprint.
    """
    margin = width // 2
    padded = np.pad(levels, ((0, 0), (margin, margin)), mode="symmetric")
    medians = ndimage.median_filter(padded.reshape(-1), width).reshape(padded.shape)
    return medians[:, margin:-margin]


def _soft_mask(wanted: Samples, other: Samples) -> Samples:
    """Return the Wiener-like share of `wanted` in both, in [0, 1]; a half where both are silent."""
    wanted_power, other_power = np.square(wanted) + _QUIET, np.square(other) + _QUIET
    return np.asarray(wanted_power / (wanted_power + other_power), dtype=np.float32)


# Semitones


def cqt_levels(
    samples: Samples, sample_rate: int, *, hop: int = 512, tuning_cents: float = 0.0
) -> Samples:
    """Return the level of each semitone from A0 to C8, `[88, 1 + N // hop]`.

    A constant-Q transform by spectral kernels, Brown & Puckette, "An efficient algorithm for the
    calculation of a constant Q transform" (1992), one octave at a time on samples decimated by two.
    The windows are 1.5 times longer than theirs, which puts neighbouring semitones 13 dB apart
    instead of 6. A steady sine of amplitude 1 has level 1 in its row. Rows above the Nyquist
    frequency are 0.
    """
    levels = np.zeros((SEMITONES, 1 + samples.shape[0] // hop), dtype=np.float32)
    rate, octave_hop = float(sample_rate), hop
    for top in range(SEMITONES, 0, -12):
        rows = np.arange(max(0, top - 12), top)
        hertz = LOWEST_HZ * 2.0 ** (rows / 12 + tuning_cents / 1200)
        while samples.size and octave_hop % 2 == 0 and hertz[-1] < 0.2 * rate:
            samples, rate, octave_hop = _half_rate(samples), rate / 2, octave_hop // 2
        audible = hertz < 0.48 * rate
        if audible.any():
            found = _octave_levels(samples, hertz[audible] / rate, octave_hop)
            levels[rows[audible]] = found[:, : levels.shape[1]]
    return levels


def _half_rate(samples: Samples) -> Samples:
    """Decimate by two with a linear-phase filter, so that sample `n` becomes sample `n / 2`.

    Flat below 0.2 of the old rate, and free of aliases there: the semitones read next lie below.
    """
    taps = signal.firwin(47, 0.5, window=("kaiser", 7.0)).astype(np.float32)
    return np.ascontiguousarray(signal.oaconvolve(samples, taps)[23:-23:2], dtype=np.float32)


def _octave_levels(samples: Samples, frequencies: NDArray[np.float64], hop: int) -> Samples:
    """Return the levels at a few normalised frequencies, `[len(frequencies), T]`."""
    quality = 1.5 / (2.0 ** (1 / 12) - 1.0)
    lengths = np.ceil(quality / frequencies).astype(int)
    n_fft = fft.next_fast_len(int(lengths.max()) + 1, real=True)
    kernels = np.stack(
        [_kernel(f, length, n_fft) for f, length in zip(frequencies, lengths, strict=True)]
    )
    used = np.flatnonzero(np.abs(kernels).max(axis=0) > 1e-4 * np.abs(kernels).max())
    band = slice(int(used[0]), int(used[-1]) + 1)
    frames = _frames(samples, length=n_fft, hop=hop)
    levels = np.empty((len(frequencies), frames.shape[0]), dtype=np.float32)
    for start in range(0, frames.shape[0], _FRAMES_AT_ONCE):
        block = fft.rfft(frames[start : start + _FRAMES_AT_ONCE], axis=1, workers=1)
        levels[:, start : start + _FRAMES_AT_ONCE] = np.abs(kernels[:, band] @ block[:, band].T)
    return levels


def _kernel(frequency: float, length: int, n_fft: int) -> Spectrum:
    """Return the conjugate spectrum of a windowed tone centred in `n_fft`, `[n_fft // 2 + 1]`.

    By Parseval, the inner product with a frame's spectrum is the tone's amplitude in the frame.
    """
    window = signal.get_window("hann", length, fftbins=False)
    tone = np.zeros(n_fft, dtype=np.complex128)
    start = n_fft // 2 - length // 2
    times = np.arange(length) - length // 2
    tone[start : start + length] = (
        2.0 * window / window.sum() * np.exp(2j * np.pi * frequency * times)
    )
    return np.asarray(fft.fft(tone).conj()[: n_fft // 2 + 1] / n_fft, dtype=np.complex64)


def chroma(levels: Samples) -> Samples:
    """Fold semitone levels `[88, T]` into the energy of each pitch class, `[12, T]`, C first."""
    folded = np.zeros((12, levels.shape[1]), dtype=np.float32)
    classes = (np.arange(levels.shape[0]) + LOWEST_PITCH_CLASS) % 12
    np.add.at(folded, classes, levels**2)
    return folded


def estimate_tuning(samples: Samples, sample_rate: int) -> float:
    """Return by how many cents the music lies above A = 440 Hz, in [-50, 50); 0 if unpitched.

    The circular mean of the spectral peaks' distances to the nearest semitone, weighted by level.
    Only peaks between 80 Hz and 1 kHz count: above, the third and fifth partials of other notes
    mislead.
    """
    n_fft = 1 << int(np.ceil(np.log2(sample_rate / 5.5)))
    levels = magnitudes(samples, n_fft=n_fft, hop=n_fft // 4)
    low, high = (int(hz * n_fft / sample_rate) for hz in (80.0, 1000.0))
    bins, frames = _peaks(levels[: high + 2])
    kept = bins >= low
    bins, frames = bins[kept], frames[kept]
    if bins.size == 0:
        return 0.0
    position = bins + _parabolic_offset(levels, bins, frames)
    pitch = 12.0 * np.log2(position * sample_rate / n_fft / 440.0)
    mean = np.sum(levels[bins, frames] * np.exp(2j * np.pi * pitch))
    cents = float(np.angle(mean) / (2 * np.pi) * 100.0)
    return cents if cents < 50.0 else -50.0


def _peaks(levels: Samples) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return bins and frames of local maxima along frequency within 30 dB of the clip's peak."""
    inner = levels[1:-1]
    loud = inner > max(0.03 * float(levels.max(initial=0.0)), 1e-5)
    bins, frames = np.nonzero((inner > levels[:-2]) & (inner >= levels[2:]) & loud)
    return bins + 1, frames


def _parabolic_offset(
    levels: Samples, bins: NDArray[np.intp], frames: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return where between the bins each peak lies, by a parabola through the log levels."""
    left, peak, right = (
        np.log(levels[bins + step, frames].astype(np.float64) + 1e-12) for step in (-1, 0, 1)
    )
    return np.asarray(0.5 * (left - right) / np.minimum(left - 2.0 * peak + right, -1e-9))
