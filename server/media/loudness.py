"""How loud a clip is, and making it as loud as it should be.

Loudness is ITU-R BS.1770-4 integrated loudness in LUFS; true peak is the peak of the four times
oversampled signal in dBTP, as in its Annex 2. Silence is `-inf` in both. Everything is
deterministic.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from server.media.clip import Clip, Samples

SILENCE = -math.inf

Gain = Callable[[Clip], Clip]
"""A gain that was measured on one clip: what makes it louder or softer, and each of its parts."""

_ABSOLUTE_GATE_LUFS = -70.0
_RELATIVE_GATE_LU = -10.0
_BLOCK_SECONDS = 0.4
_HOPS_A_BLOCK = 4
_OFFSET_LUFS = -0.691
_OVERSAMPLING = 4
_TAPS_A_PHASE = 16
_LOOK_AHEAD_SECONDS = 0.003
_RELEASE_DB_PER_SECOND = 60.0
_PIECE_SAMPLES = 1 << 18
_BLOCK = 1 << 13


# Loudness


def k_weighting(sample_rate: int) -> NDArray[np.float64]:
    """Return the K-weighting of BS.1770 as two second-order sections, `[2, 6]`, at any rate.

    The standard prints coefficients for 48 kHz only. These are its analogue prototypes, a shelf of
    4 dB at 1.68 kHz (the head) and a high-pass at 38 Hz, with the parameters that De Man,
    "Evaluation of implementations of the EBU R128 loudness measurement" (2014) recovered,
    bilinearly transformed.
    """
    return np.vstack([_high_shelf(sample_rate), _high_pass(sample_rate)])


def _high_shelf(sample_rate: int) -> NDArray[np.float64]:
    k = math.tan(math.pi * min(1681.974450955533 / sample_rate, 0.49))
    q, gain = 0.7071752369554196, 10.0 ** (3.999843853973347 / 20)
    middle = gain**0.4996667741545416
    a0 = 1.0 + k / q + k * k
    numerator = (gain + middle * k / q + k * k, 2 * (k * k - gain), gain - middle * k / q + k * k)
    return np.array([*numerator, a0, 2 * (k * k - 1.0), 1.0 - k / q + k * k]) / a0


def _high_pass(sample_rate: int) -> NDArray[np.float64]:
    k = math.tan(math.pi * 38.13547087602444 / sample_rate)
    q = 0.5003270373238773
    a0 = 1.0 + k / q + k * k
    feedback = np.array([a0, 2 * (k * k - 1.0), 1.0 - k / q + k * k]) / a0
    # The standard leaves the numerator unscaled: 1, -2, 1.
    return np.concatenate([[1.0, -2.0, 1.0], feedback])


def integrated_loudness(clip: Clip) -> float:
    """Return the loudness in LUFS, `-inf` for silence.

    Blocks of 400 ms that overlap by three quarters, gated at -70 LUFS and then at 10 LU below their
    mean. A clip shorter than one block counts as one block of its own length.
    """
    powers = _block_powers(clip)
    audible = powers[_lufs(powers) > _ABSOLUTE_GATE_LUFS]
    if audible.size == 0:
        return SILENCE
    gate = float(_lufs(audible.mean())) + _RELATIVE_GATE_LU
    return float(_lufs(audible[_lufs(audible) > gate].mean()))


def _lufs(power: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return mean squares of K-weighted samples as LUFS."""
    return np.asarray(_OFFSET_LUFS + 10.0 * np.log10(np.maximum(power, 1e-30)))


def _block_powers(clip: Clip) -> NDArray[np.float64]:
    """Return the weighted mean square of each gating block, `[blocks]`; empty for an empty clip."""
    if not clip.length:
        return np.zeros(0)
    energy = _weighted_energy(clip)
    block = round(_BLOCK_SECONDS * clip.sample_rate)
    if energy.size < block:
        return np.asarray(energy.mean(keepdims=True))
    starts = np.arange(0, energy.size - block + 1, max(block // _HOPS_A_BLOCK, 1))
    total = np.cumsum(energy, out=energy)
    before = np.where(starts > 0, total[starts - 1], 0.0)
    return np.asarray((total[starts + block - 1] - before) / block)


def _weighted_energy(clip: Clip) -> NDArray[np.float64]:
    """Return the K-weighted energy of each sample, all channels together, `[N]`.

    A piece after the other: in double precision a whole song would take a lot of room.
    """
    sections = k_weighting(clip.sample_rate)
    weights = _channel_weights(clip.channels)
    energy = np.empty(clip.length)
    state = np.zeros((sections.shape[0], clip.channels, 2))
    for start in range(0, clip.length, _PIECE_SAMPLES):
        piece = slice(start, start + _PIECE_SAMPLES)
        weighted, state = signal.sosfilt(sections, clip.samples[:, piece], zi=state)
        np.einsum("c,cn,cn->n", weights, weighted, weighted, out=energy[piece])
    return energy


def _channel_weights(channels: int) -> NDArray[np.float64]:
    """Return BS.1770's channel weights: surrounds 1.41, the LFE of 5.1 none, all else 1."""
    layouts = {5: [1.0, 1.0, 1.0, 1.41, 1.41], 6: [1.0, 1.0, 1.0, 0.0, 1.41, 1.41]}
    return np.array(layouts.get(channels, [1.0] * channels))


def match_loudness(clip: Clip, target_lufs: float) -> Clip:
    """Return the clip with one gain that brings it to the target; silence stays as it is.

    The gain may push peaks over full scale: `limit` comes after.
    """
    loudness = integrated_loudness(clip)
    return clip if loudness == SILENCE else _scaled(clip, target_lufs - loudness)


def match_peak(clip: Clip, target_db: float) -> Clip:
    """Return the clip with one gain that brings its true peak to the target; silence stays."""
    peak_db = true_peak_db(clip)
    return clip if peak_db == SILENCE else _scaled(clip, target_db - peak_db)


def _scaled(clip: Clip, gain_db: float) -> Clip:
    return clip.with_samples(clip.samples * np.float32(10.0 ** (gain_db / 20)))


# Peaks


def true_peak_db(clip: Clip) -> float:
    """Return the true peak in dBTP, `-inf` for silence."""
    peak = float(_true_levels(clip.samples).max(initial=0.0))
    return 20.0 * math.log10(peak) if peak > 0.0 else SILENCE


def _true_levels(samples: Samples) -> Samples:
    """Return the highest level of any channel from each sample up to the next, `[N]`."""
    levels: Samples = np.abs(samples).max(axis=0, initial=0.0)
    if levels.size == 0:
        return levels
    phases = np.stack([_between(phase / _OVERSAMPLING) for phase in range(1, _OVERSAMPLING)])
    for channel in samples:
        for start in range(0, levels.size, _BLOCK):
            _raise_to(levels, channel, phases, start)
    return levels


def _raise_to(levels: Samples, channel: Samples, phases: Samples, start: int) -> None:
    """Raise the levels of one piece to what lies between its samples, in place.

    Sixteen multiplications a sample within the processor's cache are faster than a transform.
    """
    half, here = _TAPS_A_PHASE // 2, levels[start : start + _BLOCK]
    first, last = start - half, start + here.size + half - 1
    around = np.pad(channel[max(first, 0) : last], (max(-first, 0), max(last - channel.size, 0)))
    product = np.empty_like(here)
    for taps in phases:
        inserted = taps[-1] * around[: here.size]
        for place in range(1, _TAPS_A_PHASE):
            np.multiply(around[place : place + here.size], taps[-1 - place], out=product)
            inserted += product
        np.maximum(here, np.abs(inserted, out=inserted), out=here)


def _between(fraction: float) -> Samples:
    """Return the windowed sinc that reads the signal `fraction` of a sample after each one."""
    half = _TAPS_A_PHASE // 2
    times = np.arange(half - 1, -half - 1, -1) + fraction
    window = np.i0(6.0 * np.sqrt(1.0 - np.square(times / half)))  # Kaiser's, read between its taps
    taps = np.sinc(times) * window
    return np.asarray(taps / taps.sum(), dtype=np.float32)


def limit(clip: Clip, *, ceiling_db: float = -1.0) -> Clip:
    """Return the clip with its true peak at or below the ceiling.

    A clip that is already below is returned as it is. The reduction in decibels falls at 60 dB/s
    after each peak, is held 3 ms around it, and is smoothed over no more than that, so that it is
    complete when the peak comes; all channels get the same gain. What the smooth gain itself adds
    between the samples, some hundredths of a decibel, is taken off the whole clip.
    """
    return limiting(clip, ceiling_db=ceiling_db)(clip)


def limiting(clip: Clip, *, ceiling_db: float = -1.0) -> Gain:
    """Return the gain of `limit`, for what the clip is made of."""
    over_db = _true_levels(clip.samples).astype(np.float64)
    np.log10(np.maximum(over_db, 1e-9, out=over_db), out=over_db)
    over_db *= 20.0
    over_db -= ceiling_db
    if not np.any(over_db > 0.0):
        return _unchanged
    gains = (10.0 ** (-_smooth_reduction(over_db, clip.sample_rate) / 20.0)).astype(np.float32)
    excess_db = true_peak_db(clip.with_samples(clip.samples * gains)) - ceiling_db
    last_db = -excess_db - 1e-4 if excess_db > 0.0 else 0.0

    def limited(part: Clip) -> Clip:
        reduced = part.with_samples(part.samples * gains)
        return _scaled(reduced, last_db) if last_db else reduced

    return limited


def _unchanged(clip: Clip) -> Clip:
    return clip


def _smooth_reduction(over_db: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    """Return a smooth reduction of at least `over_db` in every sample, `[N]` in decibels."""
    slope = _RELEASE_DB_PER_SECOND / sample_rate * np.arange(over_db.size)
    released = np.maximum(over_db, 0.0)
    released += slope
    np.maximum.accumulate(released, out=released)
    released -= slope
    width = 2 * max(1, round(_LOOK_AHEAD_SECONDS * sample_rate)) + 1
    held = ndimage.maximum_filter1d(released, width, mode="nearest")
    smoothing = signal.get_window("hann", width + 2, fftbins=False)[1:-1]
    padded = np.pad(held, width // 2, mode="edge")
    return np.asarray(signal.oaconvolve(padded, smoothing / smoothing.sum(), mode="valid"))
