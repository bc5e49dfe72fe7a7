"""The beat: a constant grid where the music keeps time, a followed one where it does not.

Puts `tempi`, `following` and `agreement` in order. Knows onset envelopes; nothing of pitches or
bars. Where the pace changes, a clock of its beats is straightened first, so that all the rest hears
music that keeps time.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from server.engines.arranger.listening import following, tempi
from server.engines.arranger.listening.agreement import agreement, confidence, share_on_grid
from server.engines.arranger.listening.following import Clock
from server.engines.arranger.listening.onsets import Onsets, Times, at, onsets_of
from server.engines.arranger.score import AUDIBLE_PULSE
from server.media import rhythm
from server.media.clip import Samples

DEFAULT_BPM = 120.0
EDGE_SECONDS = 0.05
"""A beat this close to an edge of the clip stands for the edge."""

_HINT_TOLERANCE = 0.02
_HINT_MULTIPLES = (1.0, 2.0, 0.5, 3.0, 1 / 3, 4.0, 0.25)
"""A hint this many times the tempo that is heard means another level of the same pulse."""

_HINT_SUPPORT = 0.75
_LOOP_TOLERANCE = 0.006
_LOOP_BONUS = 0.93
"""A tempo that makes the clip a loop may score this much of the other's and still win."""

_PHASE_STEP_SECONDS = 0.002
_START_BONUS = 1.1
_START_SECONDS = 0.03
"""A clip that begins on a beat is likelier: evenly picked quavers fit the off-beat as well."""

_CUT_SECONDS = 0.006
"""A beat this close to the first sample is it: the clip was cut there."""

_UNHEARD_SECONDS = 0.03
"""What starts with the clip itself is no onset in any envelope."""

_BASS_WEIGHT = 0.25
_PHASE_BLUR = np.array([0.1, 0.15, 0.2, 0.2, 0.2, 0.15, 0.1])
_FEWEST_BEATS = 4

_UNEVEN_SECONDS = 0.012
_CLEARLY_BETTER = 1.4
_CLEAR, _CLEAR_SHARE = 4.5, 0.6
"""A pace changes only where followed beats stray this far from any one tempo, meet this much more
than the best of them, and onsets agree on them this clearly: notes at random, followed, reach 3.7.
"""

_STEADY_REACH, _STEADY_TEMPI = 0.03, 61
_STEADY_STEP_SECONDS = 0.012


@dataclass(frozen=True, slots=True, eq=False)
class Beats:
    """The pulse of a clip.

    Attributes:
        bpm: of the grid, or of the median interval where there is none.
        confidence: how much better onsets agree on the grid than at random; there is a pulse from
            `AUDIBLE_PULSE` on.
        is_steady: whether one grid fits throughout.
        times: `[B]` seconds, rising; the first at most `EDGE_SECONDS`, the last more than that
            before the end and within about a beat of it. The first may lie before the clip.
        follows_hint: whether a tempo that was told was taken; True where none was.
    """

    bpm: float
    confidence: float
    is_steady: bool
    times: NDArray[np.float64]
    follows_hint: bool = True


@dataclass(frozen=True, slots=True)
class _Grid:
    """A tempo with its phase, and how well onsets fall on both."""

    bpm: float
    phase: float
    score: float


def find_beats(
    envelope: Samples, seconds: float, *, bpm: float | None = None, bass: Samples | None = None
) -> Beats:
    """Return the beats of a clip from its onset envelope, `[T]` at `rhythm.FRAME_RATE`.

    `bass` is the envelope of the low band alone. `bpm` is a hint of ±2 %, taken unless the music
    clearly has another tempo. Without onsets the grid is that of the hint, or 120 BPM from 0.
    """
    onsets = onsets_of(envelope, bass)
    if not onsets.sharp.any():
        told = bpm or DEFAULT_BPM
        return Beats(told, 1.0, True, _grid_times(told, 0.0, seconds))
    clock = _clock(onsets, seconds)
    if clock is None:
        return _beats(onsets, seconds, bpm)
    straight = _Straightening(clock, seconds)
    even = _beats(straight.onsets(onsets), straight.length, bpm)
    times = straight.seconds(even.times)
    times = times[times < seconds - EDGE_SECONDS]
    median = 60.0 / float(np.median(np.diff(times)))
    return Beats(median, even.confidence, False, times, even.follows_hint)


def _beats(onsets: Onsets, seconds: float, bpm: float | None) -> Beats:
    """Return the beats of music that keeps time."""
    tempo, is_told = _tempo(onsets, seconds, bpm)
    grid = _best_grid(onsets, tempo, seconds)
    sureness = confidence(onsets, grid.bpm)
    if sureness < AUDIBLE_PULSE and bpm is not None and is_told:
        grid = _Grid(bpm, 0.0, 0.0)
    times = _grid_times(grid.bpm, grid.phase, seconds)
    return Beats(grid.bpm, sureness, True, times, is_told or bpm is None)


# Tempo and phase


def _tempo(onsets: Onsets, seconds: float, bpm: float | None) -> tuple[float, bool]:
    """Return the tempo, and whether it is the one that was told."""
    free = tempi.choose(onsets, seconds)
    if bpm is None or free is None:
        return (free.bpm if free else bpm or DEFAULT_BPM), bpm is not None
    told = tempi.near(onsets, bpm, seconds, tolerance=_HINT_TOLERANCE).bpm
    if any(abs(told / free.bpm / each - 1.0) < _HINT_TOLERANCE for each in _HINT_MULTIPLES):
        return told, True
    heard = agreement(onsets, free.bpm)
    if (
        confidence(onsets, free.bpm) >= AUDIBLE_PULSE
        and agreement(onsets, told) < _HINT_SUPPORT * heard
    ):
        return free.bpm, False
    return told, True


def _loop_tempo(bpm: float, seconds: float) -> float:
    """Return the tempo at which the clip is a whole number of beats, if that is within 0.6 %."""
    beats = seconds * bpm / 60.0
    for multiple in (16, 8, 4, 2, 1):
        count = round(beats / multiple) * multiple
        if count >= _FEWEST_BEATS and abs(count - beats) / beats < _LOOP_TOLERANCE:
            return count * 60.0 / seconds
    return bpm


def _best_grid(onsets: Onsets, bpm: float, seconds: float) -> _Grid:
    free = _phased(onsets, bpm, seconds)
    looped = _phased(onsets, _loop_tempo(bpm, seconds), seconds)
    return looped if looped.score > _LOOP_BONUS * free.score else free


def _phased(onsets: Onsets, bpm: float, seconds: float) -> _Grid:
    """Return the tempo with the phase at which beats and half beats meet the most onsets."""
    period = 60.0 / bpm
    phases = np.arange(0.0, period, _PHASE_STEP_SECONDS)
    beats = phases[:, None] + np.arange(int(seconds / period) + 1) * period
    inside = (beats > _UNHEARD_SECONDS) & (beats < max(seconds - 0.02, 0.02))
    counts = np.maximum(inside.sum(axis=1), 1)
    seen = at(onsets.whole, beats) + _BASS_WEIGHT * at(onsets.bass, beats)
    seen += 0.5 * at(onsets.whole, beats + period / 2)
    met = np.where(inside, seen, 0.0).sum(axis=1) / counts
    scores = ndimage.convolve1d(met, _PHASE_BLUR, mode="wrap")
    from_start = np.minimum(phases, period - phases)
    best = int(np.where(from_start < _START_SECONDS, _START_BONUS * scores, scores).argmax())
    phase = float(phases[best]) if from_start[best] > _CUT_SECONDS else 0.0
    return _Grid(bpm, phase, float(scores[best]))


def _grid_times(bpm: float, phase: float, seconds: float) -> NDArray[np.float64]:
    period = 60.0 / bpm
    first = phase if phase <= EDGE_SECONDS else phase - period
    count = max(1, int(np.ceil((seconds - EDGE_SECONDS - first) / period)))
    return np.asarray(first + period * np.arange(count))


# Music that does not keep time


def _clock(onsets: Onsets, seconds: float) -> Clock | None:
    """Return the followed beats where no constant tempo does as well; None in steady music."""
    bpm = following.rough_tempo(onsets, tempi.SEARCHED)
    clock = following.follow(onsets, bpm, seconds)
    if clock is None or clock.unevenness() < _UNEVEN_SECONDS:
        return None
    if _met(onsets, clock.beats) < _CLEARLY_BETTER * _steadily_met(onsets, clock.bpm, seconds):
        return None
    straight = _Straightening(clock, seconds)
    even = straight.onsets(onsets)
    agrees = agreement(even, straight.bpm) >= _CLEAR
    return clock if agrees and share_on_grid(even, straight.bpm) >= _CLEAR_SHARE else None


def _met(onsets: Onsets, beats: Times) -> Times:
    """Return how much starts on these beats `[…, B]` and between them, on the mean."""
    between = (beats[..., 1:] + beats[..., :-1]) / 2
    seen = at(onsets.whole, beats) + 0.5 * at(onsets.bass, beats)
    return np.asarray(seen.mean(axis=-1) + 0.5 * at(onsets.whole, between).mean(axis=-1))


def _steadily_met(onsets: Onsets, bpm: float, seconds: float) -> float:
    """Return how much the best constant tempo near this one meets."""
    most = 0.0
    for period in 60.0 / bpm * np.linspace(1 - _STEADY_REACH, 1 + _STEADY_REACH, _STEADY_TEMPI):
        phases = np.arange(0.0, period, _STEADY_STEP_SECONDS)
        beats = phases[:, None] + period * np.arange(max(2, int(seconds / period)))
        most = max(most, float(_met(onsets, beats).max()))
    return most


class _Straightening:
    """Time as beats of a clock pass, at its median pace: 0 stays, all else is stretched."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        """Go on evenly before the clock's first beat and after its last."""
        beats = clock.beats
        first, last = beats[1] - beats[0], beats[-1] - beats[-2]
        lead = np.arange(int(beats[0] / first) + 3, 0, -1)
        tail = np.arange(1, int(max(seconds - beats[-1], 0.0) / last) + 4)
        self._when = np.concatenate([beats[0] - first * lead, beats, beats[-1] + last * tail])
        self.bpm = clock.bpm
        self._even = 60.0 / clock.bpm * np.arange(self._when.shape[0])
        self._even = self._even - np.interp(0.0, self._when, self._even)
        self.length = float(np.interp(seconds, self._when, self._even))

    def seconds(self, even: Times) -> Times:
        """Return the moments in the clip of moments in even time."""
        return np.asarray(np.interp(even, self._even, self._when))

    def onsets(self, onsets: Onsets) -> Onsets:
        """Return the onsets in even time."""
        even = np.arange(int(self.length * rhythm.FRAME_RATE) + 1) / rhythm.FRAME_RATE
        when = self.seconds(even)
        return Onsets(
            at(onsets.sharp, when).astype(np.float32), at(onsets.whole, when), at(onsets.bass, when)
        )
