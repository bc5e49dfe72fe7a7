"""The beat: a constant grid where the music keeps time, a tracked one where it does not.

Knows an onset envelope and its rate; knows nothing of pitches or bars. The tempo itself is found by
the Fourier comb of `server.media.rhythm`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from server.media import rhythm
from server.media.clip import Samples

DEFAULT_BPM = 120.0
EDGE_SECONDS = 0.05
"""A beat this close to an edge of the clip stands for the edge."""

_HINT_TOLERANCE = 0.02
_LOOP_TOLERANCE = 0.006
_LOOP_BONUS = 0.93
"""A tempo that makes the clip a loop may score this much of the other's and still win."""

_PHASE_STEP_SECONDS = 0.002
_START_BONUS = 1.1
_START_SECONDS = 0.03
"""A clip that begins on a beat is likelier: evenly picked quavers fit the off-beat as well."""

_PHASE_BLUR = np.array([0.1, 0.15, 0.2, 0.2, 0.2, 0.15, 0.1])
_PASSAGE_SECONDS = 6.0
_DRIFT_OFFSETS = np.arange(-0.12, 0.121, 0.006)
_STEADY_SECONDS = 0.05
_MET_SHARE = 0.5
"""A grid that meets less than this of the onsets that a tracker meets does not fit the music."""

_MET_FRAMES = 7
_TIGHTNESS = 100.0
_FEWEST_BEATS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Beats:
    """The pulse of a clip.

    Attributes:
        bpm: of the grid, or of the median interval where there is none.
        confidence: of the phase; about 1 where there is no pulse.
        is_steady: whether one grid fits throughout.
        times: `[B]` seconds, rising; the first at most `EDGE_SECONDS`, the last more than that
            before the end and within about a beat of it. The first may lie before the clip.
    """

    bpm: float
    confidence: float
    is_steady: bool
    times: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Grid:
    """A tempo with its phase, and how well onsets fall on both."""

    bpm: float
    phase: float
    score: float
    confidence: float


def find_beats(envelope: Samples, seconds: float, *, bpm: float | None = None) -> Beats:
    """Return the beats of a clip from its onset envelope, `[T]` at `rhythm.FRAME_RATE`.

    `bpm` is a hint of ±2 %. Without onsets the grid is that of the hint, or 120 BPM from 0.
    """
    flat = _flattened(envelope)
    tempo = _tempo(flat, bpm)
    if not flat.any():
        return Beats(tempo, 1.0, True, _grid_times(tempo, 0.0, seconds))
    grid = _best_grid(envelope, tempo, seconds)
    times = _grid_times(grid.bpm, grid.phase, seconds)
    tracked = _tracked(flat, grid.bpm)
    meets_onsets = _met(envelope, times) >= _MET_SHARE * _met(envelope, tracked)
    if meets_onsets and _drift(envelope, times, seconds) < _STEADY_SECONDS:
        return Beats(grid.bpm, grid.confidence, True, times)
    if tracked.size < _FEWEST_BEATS:
        return Beats(grid.bpm, grid.confidence, False, times)
    period = float(np.median(np.diff(tracked)))
    return Beats(60.0 / period, grid.confidence, False, _extended(tracked, period, seconds))


# Tempo and phase


def _flattened(envelope: Samples) -> Samples:
    """Return what stands out of the mean of half a second."""
    width = int(0.5 * rhythm.FRAME_RATE)
    mean = ndimage.uniform_filter1d(envelope, width, mode="constant")
    return np.asarray(np.maximum(envelope - mean, 0.0), np.float32)


def _tempo(envelope: Samples, bpm: float | None) -> float:
    if bpm is None:
        pulse = rhythm.pulse(envelope)
        return pulse.bpm if pulse.clarity > 0 else DEFAULT_BPM
    low, high = bpm * (1 - _HINT_TOLERANCE), bpm * (1 + _HINT_TOLERANCE)
    pulse = rhythm.pulse(envelope, low=low, high=high)
    return pulse.bpm if pulse.clarity > 0 else bpm


def _loop_tempo(bpm: float, seconds: float) -> float:
    """Return the tempo at which the clip is a whole number of beats, if that is within 0.6 %."""
    beats = seconds * bpm / 60.0
    for multiple in (16, 8, 4, 2, 1):
        count = round(beats / multiple) * multiple
        if count >= _FEWEST_BEATS and abs(count - beats) / beats < _LOOP_TOLERANCE:
            return count * 60.0 / seconds
    return bpm


def _best_grid(envelope: Samples, bpm: float, seconds: float) -> _Grid:
    free = _phased(envelope, bpm, seconds)
    looped = _phased(envelope, _loop_tempo(bpm, seconds), seconds)
    return looped if looped.score > _LOOP_BONUS * free.score else free


def _phased(envelope: Samples, bpm: float, seconds: float) -> _Grid:
    """Return the tempo with the phase at which beats and half beats meet the most onsets."""
    period = 60.0 / bpm
    phases = np.arange(0.0, period, _PHASE_STEP_SECONDS)
    beats = phases[:, None] + np.arange(int(seconds / period) + 1) * period
    inside = beats < max(seconds - 0.02, 0.02)
    counts = np.maximum(inside.sum(axis=1), 1)
    on_beat = np.where(inside, _at(envelope, beats), 0.0).sum(axis=1) / counts
    half = np.where(inside, _at(envelope, beats + period / 2), 0.0).sum(axis=1) / counts
    scores = ndimage.convolve1d(on_beat + 0.5 * half, _PHASE_BLUR, mode="wrap")
    from_start = np.minimum(phases, period - phases)
    best = int(np.where(from_start < _START_SECONDS, _START_BONUS * scores, scores).argmax())
    score = float(scores[best])
    return _Grid(bpm, float(phases[best]), score, score / (float(scores.mean()) + 1e-9))


def _at(envelope: Samples, times: NDArray[np.float64]) -> NDArray[np.float64]:
    frames = np.arange(envelope.shape[0])
    return np.interp(times * rhythm.FRAME_RATE, frames, envelope, right=0.0)


def _grid_times(bpm: float, phase: float, seconds: float) -> NDArray[np.float64]:
    period = 60.0 / bpm
    first = phase if phase <= EDGE_SECONDS else phase - period
    count = max(1, int(np.ceil((seconds - EDGE_SECONDS - first) / period)))
    return np.asarray(first + period * np.arange(count))


def _drift(envelope: Samples, beats: NDArray[np.float64], seconds: float) -> float:
    """Return by how many seconds the best offset of the grid differs between passages."""
    found = []
    for start in np.arange(0.0, max(seconds - _PASSAGE_SECONDS, 0.0) + 0.01, 3.0):
        part = beats[(beats >= start) & (beats < start + _PASSAGE_SECONDS)]
        if not part.size:
            continue
        scores = _at(envelope, part + _DRIFT_OFFSETS[:, None]).mean(axis=1)
        if scores.max() > 1.3 * scores.mean():
            found.append(float(_DRIFT_OFFSETS[scores.argmax()]))
    return max(found) - min(found) if found else 0.0


def _met(envelope: Samples, beats: NDArray[np.float64]) -> float:
    """Return the mean height of the onsets within 20 ms of the beats."""
    near = ndimage.maximum_filter1d(envelope, _MET_FRAMES)
    return float(_at(near, beats).mean()) if beats.size else 0.0


# Music that does not keep time


def _tracked(envelope: Samples, bpm: float) -> NDArray[np.float64]:
    """Return beats by dynamic programming; Ellis, "Beat tracking by dynamic programming" (2007).

    Every beat wants to be an onset and to follow the one before by about a period; the cost of
    another interval is the square of its logarithm.
    """
    period = rhythm.FRAME_RATE * 60.0 / bpm
    offsets = np.arange(-round(2 * period), -round(period / 2) + 1)
    penalty = _TIGHTNESS * np.square(np.log(-offsets / period))
    local = ndimage.gaussian_filter1d(envelope.astype(np.float64), period / 32)
    local /= max(float(local.std()), 1e-9)
    reach = -int(offsets[0])
    total = np.concatenate([np.zeros(reach), local])
    before = np.full(local.shape[0], -1)
    for frame in range(local.shape[0]):
        scores = total[frame + reach + offsets] - penalty
        best = int(scores.argmax())
        if scores[best] > 0.0:
            total[frame + reach] += scores[best]
            before[frame] = frame + int(offsets[best])
    return _traced(total[reach:], before, round(period)) / rhythm.FRAME_RATE


def _traced(
    total: NDArray[np.float64], before: NDArray[np.int64], period: int
) -> NDArray[np.float64]:
    """Follow the best chain of beats back from the last period of the clip."""
    tail = max(0, total.shape[0] - period)
    frame = tail + int(total[tail:].argmax())
    chain = []
    while frame >= 0:
        chain.append(frame)
        frame = int(before[frame])
    return np.array(chain[::-1], np.float64)


def _extended(beats: NDArray[np.float64], period: float, seconds: float) -> NDArray[np.float64]:
    """Return the beats continued evenly to both edges of the clip."""
    end = seconds - EDGE_SECONDS
    beats = beats[beats < end]
    lead = max(0, int(np.ceil((beats[0] - EDGE_SECONDS) / period)))
    tail = max(0, int(np.ceil((end - beats[-1]) / period)) - 1)
    return np.concatenate(
        [
            beats[0] - period * np.arange(lead, 0, -1),
            beats,
            beats[-1] + period * np.arange(1, tail + 1),
        ]
    )
