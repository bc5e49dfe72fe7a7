"""When things start: tempo, lag and drift, from onset envelopes alone and without a beat tracker.

Beat trackers are no measure of two versions of the same music: they flip to the off-beat or to
another octave on unchanged sound. The lag between two onset envelopes does not, and its change over
the clip shows a tempo error of 0.1 %, which is what a musician hears against the click.

Knows envelopes (`spectrum.onset_envelope`) as arrays `[T]`; times are seconds unless a name says
ms.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from server.media import resample, spectrum
from server.media.clip import Clip, Samples

RATE = 22050
"""Everything is heard at this sample rate."""

HOP = 128
FRAME_RATE = RATE / HOP
"""Frames a second of the envelopes here: 5.8 ms each."""

AUDIBLE_CORRELATION = 0.3
"""Below this the envelopes do not show the same onsets, and no lag can be read."""

AUDIBLE_PULSE = 2.5
"""A tempo counts when its comb stands out this much; noise reaches 1.8, a picked guitar has 5."""

_COMB = ((0.25, 0.25), (0.5, 0.35), (1.0, 1.0), (2.0, 0.9), (3.0, 0.15), (4.0, 0.6))
"""Multiples of the beat's frequency and what they count: bars below, subdivisions above."""

_PASSAGE_SECONDS = 6.0
_SHORTEST_PASSAGE_SECONDS = 1.0
_FIRST_REACH_SECONDS = 0.12
_NEXT_REACH_SECONDS = 0.06


@dataclass(frozen=True, slots=True)
class Pulse:
    """A tempo, and how clearly it is there."""

    bpm: float
    clarity: float

    @property
    def is_audible(self) -> bool:
        """Whether there is a pulse at all."""
        return self.clarity >= AUDIBLE_PULSE


@dataclass(frozen=True, slots=True)
class Alignment:
    """How the onsets of one sound lie against those of another.

    Attributes:
        lag_ms: at the start; positive when the result is late. None where no onsets are shared.
        drift_ms: change of the lag over 30 s. None there, and in clips too short to tell.
        correlation: of the two envelopes passage by passage, at their best lag; the median.
    """

    lag_ms: float | None
    drift_ms: float | None
    correlation: float


def envelope(clip: Clip) -> Samples:
    """Return the onset envelope of a clip at `FRAME_RATE`, `[T]`."""
    return spectrum.onset_envelope(resample.resample(clip, RATE).mono(), RATE, hop=HOP)


# Tempo


def tempo_near(clip: Clip, bpm: float, *, tolerance: float = 0.04) -> float:
    """Return the tempo within `tolerance` (a share) of a hint that fits the onsets best.

    A Fourier comb on the onset envelope: some hundredths of a percent over 30 s. It always answers;
    ask `pulse` where there may be none.
    """
    return pulse(envelope(clip), low=bpm * (1 - tolerance), high=bpm * (1 + tolerance)).bpm


def pulse(onsets: Samples, *, low: float = 55.0, high: float = 200.0) -> Pulse:
    """Return the tempo between `low` and `high` BPM.

    A range of more than an octave is weighted towards 115 BPM, where listeners tap.
    """
    if onsets.shape[0] < FRAME_RATE or not onsets.any():
        return Pulse((low + high) / 2, 0.0)
    best, score = _best_tempo(onsets, low, high)
    best, _ = _best_tempo(onsets, best * 0.998, best * 1.002)
    return Pulse(best, score / float(_comb_scores(onsets, _EVERY_TEMPO).mean()))


def _best_tempo(onsets: Samples, low: float, high: float) -> tuple[float, float]:
    tempi = np.exp(np.linspace(np.log(low), np.log(high), 1201))
    scores = _comb_scores(onsets, tempi)
    if high > 2 * low:
        scores = scores * np.exp(-0.5 * np.square(np.log2(tempi / 115.0) / 0.55))
    best = int(scores.argmax())
    return float(tempi[best]), float(scores[best])


_EVERY_TEMPO = np.exp(np.linspace(np.log(40.0), np.log(240.0), 800))


def _comb_scores(onsets: Samples, tempi: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much of the envelope repeats at each tempo and its simple multiples."""
    centred = (onsets - onsets.mean()) * signal.get_window("hann", onsets.shape[0]) ** 0.5
    bins = fft.next_fast_len(onsets.shape[0] * 16, real=True)
    levels = np.abs(fft.rfft(centred, bins, workers=1))
    frequencies = np.arange(levels.shape[0]) * FRAME_RATE / bins
    scores = np.zeros(tempi.shape[0])
    for ratio, share in _COMB:
        scores += share * np.interp(tempi / 60.0 * ratio, frequencies, levels)
    return scores


# Lag and drift


def align(source: Samples, result: Samples) -> Alignment:
    """Follow the lag of one envelope behind another through the clip.

    Passages of six seconds every three; the first looks 120 ms to either side, each next one 60 ms
    around where the last one was found, so that the track cannot jump to a neighbouring semiquaver.
    """
    length = min(source.shape[0], result.shape[0])
    passage = int(min(_PASSAGE_SECONDS * FRAME_RATE, length))
    if passage < _SHORTEST_PASSAGE_SECONDS * FRAME_RATE:
        return Alignment(None, None, 0.0)
    found = _track(_smooth(source[:length]), _smooth(result[:length]), passage)
    if not found.size:
        return Alignment(None, None, 0.0)
    correlation = float(np.median(found[:, 2]))
    if correlation < AUDIBLE_CORRELATION:
        return Alignment(None, None, correlation)
    times, lags, weights = found[found[:, 2] > AUDIBLE_CORRELATION].T
    if np.ptp(times) < _PASSAGE_SECONDS / 3:
        return Alignment(float(lags.mean() * 1000.0), None, correlation)
    slope, start = np.polyfit(times, lags, 1, w=weights)
    return Alignment(float(start * 1000.0), float(slope * 30.0 * 1000.0), correlation)


def _smooth(onsets: Samples) -> Samples:
    """Blur by some 20 ms: two timbres rise differently within an onset."""
    kernel = signal.get_window("hann", 9, fftbins=False)[1:-1]
    return np.convolve(onsets, kernel / kernel.sum(), mode="same").astype(np.float32)


def _track(source: Samples, result: Samples, passage: int) -> NDArray[np.float64]:
    """Return centre, lag and correlation of each passage that has onsets, `[P, 3]` in seconds."""
    found: list[tuple[float, float, float]] = []
    expected, reach = 0.0, _FIRST_REACH_SECONDS * FRAME_RATE
    for start in range(0, source.shape[0] - passage + 1, max(passage // 2, 1)):
        lag, correlation = _best_lag(source, result, start, passage, (expected, reach))
        if correlation > 0.0:
            centre = (start + passage / 2) / FRAME_RATE
            found.append((centre, lag / FRAME_RATE, correlation))
        if correlation > AUDIBLE_CORRELATION:
            expected, reach = lag, _NEXT_REACH_SECONDS * FRAME_RATE
    return np.array(found).reshape(-1, 3)


def _best_lag(
    source: Samples, result: Samples, start: int, passage: int, around: tuple[float, float]
) -> tuple[float, float]:
    """Return the lag in frames, to a fraction of one, and the correlation there."""
    expected, reach = round(around[0]), int(around[1])
    part = source[start : start + passage]
    padded = np.pad(result, passage)
    first = start + passage + expected - reach
    shifted = np.lib.stride_tricks.sliding_window_view(padded, passage)[
        first : first + 2 * reach + 1
    ]
    scores = _correlations(part, shifted)
    best = int(scores.argmax())
    offset = 0.0
    if 0 < best < scores.shape[0] - 1:
        left, peak, right = scores[best - 1 : best + 2]
        offset = 0.5 * (left - right) / min(left - 2 * peak + right, -1e-9)
    return float(best - reach + expected + offset), float(scores[best])


def _correlations(part: Samples, shifted: Samples) -> NDArray[np.float64]:
    """Return Pearson's correlation of `part` `[n]` with each row `[m, n]`; 0 without onsets."""
    centred = part.astype(np.float64) - part.mean()
    rows = shifted.astype(np.float64) - shifted.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(centred)
    return np.asarray((rows @ centred) / np.maximum(norms, 1e-9))
