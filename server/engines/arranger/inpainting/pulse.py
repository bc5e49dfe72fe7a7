"""The beat through a gap: one grid that both sides keep, bent where they do not agree.

A grid of one tempo is fitted to the onsets of all heard stretches at once. Where each stretch is
clearly met better by a tempo of its own, each keeps that, and the tempo changes evenly in between.
Knows onset envelopes; nothing of pitches or bars.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from server.engines.arranger.listening.tempo import DEFAULT_BPM, EDGE_SECONDS, Beats
from server.engines.arranger.spans import Span, holds
from server.media import rhythm
from server.media.clip import Samples

_HINT_TOLERANCE = 0.02
_BLUR_FRAMES = 1.5
_MEAN_SECONDS = 0.5
_REACHES = ((0.012, 31, 0.5, 0.006), (0.0012, 25, 0.012, 0.002), (0.0002, 17, 0.003, 0.0005))
"""Search for tempo and phase, coarse to fine: share of the tempo to either side and steps in it,
share of the beat (first) or seconds to either side, and seconds a step."""

_SIDE_REACHES = ((0.04, 81, 0.5, 0.006), *_REACHES[1:])
_HALF_BEAT = 0.5
_BEATS_A_BAR = 4
_LONG_SIDE_SECONDS = 4.0
_STRETCH_SECONDS = 7.0
_CLEARLY_BETTER = 1.05
"""Where every side by itself is that much clearer than one tempo for all, they have their own."""

_BETWEEN = 0.25

Times = NDArray[np.float64]
_Reach = tuple[float, int, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Pulse:
    """Beats of a whole clip, and whether there were any to hear.

    Attributes:
        beats: as the listener wants them, in the clip's time.
        is_audible: whether the onsets have a pulse at all; else the beats are a mere ruler.
        bends: whether the tempo changes through the clip.
    """

    beats: Beats
    is_audible: bool
    bends: bool


def find(
    envelope: Samples, bass: Samples, heard: Sequence[Span], seconds: float, *, bpm: float | None
) -> Pulse:
    """Return the beats of a clip from the onsets of its heard stretches.

    `envelope` `[T]` holds all onsets and `bass` `[T]` those of the low notes, both at
    `rhythm.FRAME_RATE` and 0 outside of the stretches; `bpm` is a hint of ±2 %.
    """
    flat = _flattened(envelope)
    pulse = _tempo(flat, bpm)
    if not flat.any() or pulse.bpm <= 0.0:
        return Pulse(_ruled(bpm or DEFAULT_BPM, 0.0, seconds, 1.0), is_audible=False, bends=False)
    smooth = ndimage.gaussian_filter1d(flat.astype(np.float64), _BLUR_FRAMES)
    low = ndimage.gaussian_filter1d(_flattened(bass).astype(np.float64), _BLUR_FRAMES)
    line = _line(60.0 / pulse.bpm, seconds / 2, _REACHES, (smooth, low), heard)
    clarity = _clarity(line, smooth, heard)
    beats = _ruled(60.0 / line.period, line.first(), seconds, clarity)
    sides = _sides(line, (smooth, low), heard)
    if sides:
        beats = _joined(sides, seconds, clarity)
    return Pulse(beats, is_audible=bpm is not None or pulse.is_audible, bends=bool(sides))


def _flattened(envelope: Samples) -> Samples:
    """Return what stands out of the mean of half a second."""
    width = int(_MEAN_SECONDS * rhythm.FRAME_RATE)
    mean = ndimage.uniform_filter1d(envelope, width, mode="constant")
    return np.asarray(np.maximum(envelope - mean, 0.0), np.float32)


def _tempo(flat: Samples, bpm: float | None) -> rhythm.Pulse:
    if bpm is None:
        return rhythm.pulse(flat)
    found = rhythm.pulse(flat, low=bpm * (1 - _HINT_TOLERANCE), high=bpm * (1 + _HINT_TOLERANCE))
    return found if found.clarity > 0 else rhythm.Pulse(bpm, 1.0)


# One tempo


@dataclass(frozen=True, slots=True)
class _Line:
    """Beats at `middle + phase + n * period`; near the middle, tempo and phase are independent."""

    period: float
    phase: float
    middle: float

    def first(self) -> float:
        """Return the first beat at or after 0."""
        return (self.middle + self.phase) % self.period


def _line(
    period: float,
    middle: float,
    reaches: Sequence[_Reach],
    envelopes: tuple[Times, Times],
    heard: Sequence[Span],
) -> _Line:
    """Return the line of about this period on which most falls, on the beat rather than off it."""
    smooth, low = envelopes
    line = _Line(period, 0.0, middle)
    for reach in reaches:
        line = _fitted(line, reach, smooth, heard)
    return _on_the_beat(line, smooth, low, heard)


def _fitted(line: _Line, reach: _Reach, smooth: Times, heard: Sequence[Span]) -> _Line:
    """Return the line in the reach on which the most onsets fall."""
    share, count, around, step = reach
    widest = around * line.period if around == _HALF_BEAT else around
    phases = line.phase + np.arange(-widest, widest + step / 2, step)
    periods = line.period * (1.0 + np.linspace(-share, share, count))
    scores = np.stack([_scores(period, phases, line.middle, smooth, heard) for period in periods])
    row, column = np.unravel_index(int(scores.argmax()), scores.shape)
    return _Line(float(periods[row]), float(phases[column]), line.middle)


def _scores(
    period: float, phases: Times, middle: float, smooth: Times, heard: Sequence[Span]
) -> Times:
    """Return how much onset falls on the beats, and half as much between, for each phase."""
    numbers = np.concatenate([_numbers(span, period, middle) for span in heard])
    if not numbers.size:
        return np.zeros(phases.shape)
    beats = middle + phases[:, None] + period * numbers
    found = _at(smooth, beats) + _HALF_BEAT * _at(smooth, beats + period / 2)
    return np.asarray(found.mean(axis=1))


def _numbers(span: Span, period: float, middle: float) -> Times:
    first = np.ceil((span.start - middle) / period)
    return np.asarray(np.arange(first, (span.end - middle) / period))


def _at(envelope: Times | Samples, times: Times) -> Times:
    places = times * rhythm.FRAME_RATE
    return np.interp(places, np.arange(envelope.shape[0]), envelope, left=0.0, right=0.0)


def _on_the_beat(line: _Line, smooth: Times, low: Times, heard: Sequence[Span]) -> _Line:
    """Return the line, or the one half a beat later if basses and strong onsets fall there.

    Evenly picked quavers fit both alike; what comes back on one beat of the bar alone tells them
    apart.
    """
    both = smooth / max(float(smooth.max()), 1e-9) + low / max(float(low.max()), 1e-9)
    numbers = np.concatenate([_numbers(span, line.period, line.middle) for span in heard])
    beats = line.middle + line.phase + line.period * numbers
    early, late = (_weight(_at(both, times), numbers) for times in (beats, beats + line.period / 2))
    return _Line(line.period, line.phase + (late > early) * line.period / 2, line.middle)


def _weight(found: Times, numbers: Times) -> float:
    """Return how much falls on the beats, and once more how much on the strongest of each bar."""
    bars = [found[numbers % _BEATS_A_BAR == place] for place in range(_BEATS_A_BAR)]
    strongest = max((float(each.mean()) for each in bars if each.size), default=0.0)
    return float(found.mean()) + strongest if found.size else 0.0


def _clarity(line: _Line, smooth: Times, heard: Sequence[Span]) -> float:
    """Return the best phase's score over the mean one's; about 1 where there is no pulse."""
    phases = np.arange(0.0, line.period, 0.004) + line.phase
    scores = _scores(line.period, phases, line.middle, smooth, heard)
    return float(scores[0] / max(float(scores.mean()), 1e-9))


def _ruled(bpm: float, phase: float, seconds: float, confidence: float) -> Beats:
    """Return beats of one tempo that cover the clip."""
    period = 60.0 / bpm
    first = phase if phase <= EDGE_SECONDS else phase - period
    count = max(1, int(np.ceil((seconds - EDGE_SECONDS - first) / period)))
    return Beats(bpm, confidence, True, np.asarray(first + period * np.arange(count), np.float64))


# A tempo that changes


def _sides(
    line: _Line, envelopes: tuple[Times, Times], heard: Sequence[Span]
) -> list[tuple[Span, _Line]]:
    """Return each long stretch with a line of its own; none where the one line does as well."""
    found, share = [], []
    for span in _stretches(heard):
        middle = (span.start + span.end) / 2
        own = _line(line.period, middle, _SIDE_REACHES, envelopes, [span])
        mine, common = (_score(each, envelopes[0], span) for each in (own, line))
        found.append((span, own))
        share.append(mine / max(common, 1e-9))
    differ = len(found) > 1 and float(np.mean(share)) > _CLEARLY_BETTER
    return found if differ else []


def _stretches(heard: Sequence[Span]) -> list[Span]:
    """Return the long stretches, and very long ones in equal parts: tempo changes there too."""
    found = []
    for span in heard:
        parts = max(1, int(span.seconds / _STRETCH_SECONDS))
        edges = np.linspace(span.start, span.end, parts + 1).tolist()
        found += [Span(start, end) for start, end in pairwise(edges)]
    return [span for span in found if span.seconds >= _LONG_SIDE_SECONDS]


def _score(line: _Line, smooth: Times, span: Span) -> float:
    return float(_scores(line.period, np.array([line.phase]), line.middle, smooth, [span])[0])


def _joined(sides: Sequence[tuple[Span, _Line]], seconds: float, clarity: float) -> Beats:
    """Return beats that keep each side's line, with a steady change of tempo within and between."""
    beats, pace = np.zeros(0), 0.0
    for (span, line), curvature in zip(sides, _curvatures(sides), strict=True):
        own = _curved(line, _numbers(span, line.period, line.middle), curvature)
        first, last = own[1] - own[0], own[-1] - own[-2]
        if beats.size:
            count = 2.0 * (own[0] - beats[-1]) / (pace + first)
            if abs(count - round(count)) > _BETWEEN:
                own = own + line.period / 2  # one side was taken half a beat off
            beats = np.concatenate([beats, _between(beats[-1], own[0], pace, first)])
        beats, pace = np.concatenate([beats, own]), last
    first = beats[1] - beats[0]
    lead = np.arange(int(np.ceil((beats[0] - EDGE_SECONDS) / first)), 0, -1)
    tail = np.arange(1, max(0, int(np.ceil((seconds - EDGE_SECONDS - beats[-1]) / pace))))
    beats = np.concatenate([beats[0] - first * lead, beats, beats[-1] + pace * tail])
    return Beats(60.0 / float(np.median(np.diff(beats))), clarity, False, beats)


def _curvatures(sides: Sequence[tuple[Span, _Line]]) -> list[float]:
    """Return by how many seconds the period grows with each beat, at the middle of every side."""
    periods = np.array([line.period for _, line in sides])
    places = np.array([line.middle for _, line in sides]) / float(periods.mean())
    return list(np.gradient(periods, places))


def _curved(line: _Line, numbers: Times, curvature: float) -> Times:
    """Return a line's beats on the parabola that the line was fitted to."""
    from_middle = numbers - numbers.mean()
    bulge = np.square(from_middle) - float(np.square(from_middle).mean())
    beats = line.middle + line.phase + line.period * numbers + 0.5 * curvature * bulge
    return np.asarray(beats, np.float64)


def _between(start: float, end: float, before: float, after: float) -> Times:
    """Return the beats between two, as a cubic that leaves and arrives at the sides' periods."""
    count = max(1, round(2.0 * (end - start) / (before + after)))
    share = np.arange(1, count) / count
    rest = 1.0 - share
    return np.asarray(
        start * rest**2 * (1 + 2 * share)
        + end * share**2 * (1 + 2 * rest)
        + count * before * share * rest**2
        - count * after * share**2 * rest
    )


def is_known(start: float, end: float, heard: Sequence[Span]) -> bool:
    """Return whether three quarters of a beat were heard, its middle among them."""
    covered = sum(max(0.0, min(end, span.end) - max(start, span.start)) for span in heard)
    return covered >= 0.75 * (end - start) and holds(heard, (start + end) / 2)
