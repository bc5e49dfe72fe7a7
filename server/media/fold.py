"""Onsets folded over one beat: where within the beat things start, inside a window and around it.

Two passages of the same tempo need not have the same rhythm for their beats to be compared: folded
over the beat, hats on quavers and a strumming guitar both stand highest on the beat itself. The
shift under which the two profiles agree is the lag of one behind the other.

Knows onset envelopes `[T]` at `rhythm.FRAME_RATE`, seconds, and nothing of sound.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from server.media import rhythm
from server.media.clip import Samples

_BINS = 96
_BLUR_SECONDS = 0.012
_FARTHEST_BEATS = 0.25
_FARTHEST_SECONDS = 0.125
_FEWEST_BEATS = 3
_STEADY_SECONDS = 0.030
_PASSAGE_SECONDS = 2.5

Profile = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Timing:
    """How the beats of a window lie against those around it.

    Attributes:
        lag_ms: positive when they are late; None where no beat is shared.
        drift_ms: change of the lag from the start of the window to its end; None in short ones.
        correlation: of the two profiles where they agree best.
    """

    lag_ms: float | None
    drift_ms: float | None
    correlation: float


_NOTHING = Timing(None, None, 0.0)


class Fold:
    """What a source has on its beats around a window."""

    def __init__(
        self, onsets: Samples, inside: tuple[float, float], *, beats: Sequence[float] | None
    ) -> None:
        """Take the source's onsets; `inside` and `beats` are seconds of them."""
        self._inside = slice(*(round(each * rhythm.FRAME_RATE) for each in inside))
        self._times = np.arange(onsets.shape[0]) / rhythm.FRAME_RATE
        outside = np.ones(onsets.shape[0], dtype=bool)
        outside[self._inside] = False
        around = np.where(outside, onsets, 0.0).astype(np.float32)
        self._beat = _beat_of(around, inside, beats)
        self._profile = None
        if self._beat is not None:
            self._profile = self._folded(onsets, np.flatnonzero(outside))

    def timing(self, onsets: Samples) -> Timing:
        """Return how the window of a result lies in the grid; its onsets are as long."""
        if self._beat is None or self._profile is None:
            return _NOTHING
        frames = np.arange(onsets.shape[0])[self._inside]
        lag, correlation = self._lag(onsets, frames)
        if lag is None:
            return Timing(None, None, correlation)
        return Timing(1000.0 * lag, self._drift_ms(onsets, frames), correlation)

    def _drift_ms(self, onsets: Samples, frames: NDArray[np.intp]) -> float | None:
        """Return the slope through the lags of passages of some seconds, over the window."""
        count = int(frames.shape[0] / rhythm.FRAME_RATE / _PASSAGE_SECONDS)
        parts = np.array_split(frames, count) if count > 1 else []
        found = [(float(part.mean()), self._lag(onsets, part)[0]) for part in parts]
        known = [(centre, lag) for centre, lag in found if lag is not None]
        if len(known) < max(2, len(found) - 1):
            return None
        centres, lags = np.array(known).T
        slope = np.polyfit(centres, lags, 1)[0]
        return float(1000.0 * slope * frames.shape[0])

    def _lag(self, onsets: Samples, frames: NDArray[np.intp]) -> tuple[float | None, float]:
        """Return by how many seconds some frames are late, and the correlation there."""
        if self._beat is None or self._profile is None:
            return None, 0.0
        if frames.shape[0] < _FEWEST_BEATS * self._beat.seconds * rhythm.FRAME_RATE:
            return None, 0.0
        profile = self._folded(onsets, frames)
        if profile is None:
            return None, 0.0
        bins, correlation = _shift(self._profile, profile, self._beat.seconds)
        if correlation < rhythm.AUDIBLE_CORRELATION:
            return None, correlation
        return bins / _BINS * self._beat.seconds, correlation

    def _folded(self, onsets: Samples, frames: NDArray[np.intp]) -> Profile | None:
        """Return the mean of the onsets in each part of the beat; None where there is no shape."""
        if self._beat is None or not frames.size or not onsets[frames].any():
            return None
        places = self._beat.phase(self._times[frames]) * _BINS
        below = np.floor(places).astype(int)
        share = places - below
        total, weight = np.zeros(_BINS), np.full(_BINS, 1e-9)
        for step, part in ((0, 1.0 - share), (1, share)):
            np.add.at(total, (below + step) % _BINS, part * onsets[frames])
            np.add.at(weight, (below + step) % _BINS, part)
        blur = _BLUR_SECONDS / self._beat.seconds * _BINS
        profile = ndimage.gaussian_filter1d(total / weight, blur, mode="wrap")
        return profile if np.ptp(profile) > 0.0 else None


@dataclass(frozen=True, slots=True)
class _Beat:
    """A steady beat: its length and one of its places in seconds."""

    seconds: float
    origin: float

    def phase(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far into its beat each time is, in [0, 1)."""
        return np.asarray(((times - self.origin) / self.seconds) % 1.0)


def _beat_of(
    around: Samples, inside: tuple[float, float], beats: Sequence[float] | None
) -> _Beat | None:
    """Return the beat around a window: through the beats outside of it, or as it is heard there."""
    if beats is not None:
        fitted = _fitted(np.asarray(beats, np.float64), inside, around.shape[0])
        if fitted is None:
            return None
        pulse = rhythm.pulse(around, low=59.7 / fitted.seconds, high=60.3 / fitted.seconds)
        return _Beat(60.0 / pulse.bpm, fitted.origin) if pulse.clarity else fitted
    pulse = rhythm.pulse(around)
    return _Beat(60.0 / pulse.bpm, 0.0) if pulse.is_audible else None


def _fitted(beats: NDArray[np.float64], inside: tuple[float, float], frames: int) -> _Beat | None:
    """Return the straight line through the beats around a window; None where they are unsteady."""
    numbers = np.arange(beats.shape[0])
    near = (beats >= 0.0) & (beats < frames / rhythm.FRAME_RATE)
    near &= (beats < inside[0]) | (beats >= inside[1])
    if near.sum() < 2 * _FEWEST_BEATS:
        return None
    seconds, origin = np.polyfit(numbers[near], beats[near], 1)
    errors = beats[near] - (origin + seconds * numbers[near])
    if float(errors.std()) > _STEADY_SECONDS:
        return None
    return _Beat(float(seconds), float(origin))


def _shift(one: Profile, other: Profile, beat_seconds: float) -> tuple[float, float]:
    """Return by how many bins the second profile is later, and the correlation there."""
    farthest = min(_FARTHEST_BEATS, _FARTHEST_SECONDS / beat_seconds)
    reach = int(farthest * _BINS)
    scores = np.array(
        [_correlation(np.roll(one, shift), other) for shift in range(-reach, reach + 1)]
    )
    best = int(scores.argmax())
    offset = 0.0
    if 0 < best < scores.shape[0] - 1:
        left, peak, right = scores[best - 1 : best + 2]
        offset = 0.5 * (left - right) / min(left - 2 * peak + right, -1e-9)
    return best - reach + offset, float(scores[best])


def _correlation(one: Profile, other: Profile) -> float:
    one, other = one - one.mean(), other - other.mean()
    return float(one @ other / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-12))
