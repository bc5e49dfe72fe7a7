"""Beats and downbeats of a clip, as far as they can be heard without knowing the music.

One tempo is assumed for the clip, and its beats follow the players where those wander from it. Bars
have four beats; where they begin is told by the bass and by where the chords change.

Knows onset envelopes and chroma; it decides nothing about the music.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from server.media import resample, rhythm, spectrum
from server.media.clip import Clip, Samples

BEATS_A_BAR = 4

_HINT_TOLERANCE = 0.03
_MEAN_FRAMES = 86
_BLUR_FRAMES = 1.5
_LATE_SECONDS = -0.0015
_PHASES = 120
_FOLLOWED_BEATS = 16
_FOLLOWED_SECONDS = 0.05
_STEADY_SECONDS = 0.012
_LOW_HZ = 160.0
_OFF_BEAT = 1.15
_FAST_BPM = 115.0
_CLEARLY_MORE = 1.5
_SLOW_HOP = 2048

SLOW_FRAME_RATE = rhythm.RATE / _SLOW_HOP
"""Frames a second of what only has to be told apart beat by beat."""

Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Where beats and bars are.

    Attributes:
        bpm: in the octave in which listeners tap, if they agree with us.
        beats: in seconds, all within the clip.
        downbeats: those of them that begin a bar.
        seconds: length of the clip.
        chroma: of each beat, `[12, len(beats) - 1]`, up to the next one.
    """

    bpm: float
    beats: tuple[float, ...]
    downbeats: tuple[float, ...]
    seconds: float
    chroma: Samples

    @property
    def bar_seconds(self) -> float:
        """Length of a bar at the tempo."""
        return BEATS_A_BAR * 60.0 / self.bpm


def listen(clip: Clip, *, bpm: float | None = None) -> Grid | None:
    """Return the grid of a clip; None where there is no pulse, or less than two bars of it.

    `bpm` is a hint of ±3 %.
    """
    heard = resample.resample(Clip(clip.mono()[None], clip.sample_rate), rhythm.RATE)
    onsets = rhythm.envelope(heard)
    pulse = _pulse(onsets, bpm)
    if not pulse.is_audible:
        return None
    flat, low = _flat(onsets), _flat(_low_onsets(heard))
    beats = _followed(_ruled(flat, low, 60.0 / pulse.bpm), flat)
    beats = beats[(beats >= 0.0) & (beats < clip.seconds)]
    if beats.size < 2 * BEATS_A_BAR:
        return None
    levels = _chroma(heard)
    change = _change(over_beats(levels, beats))
    beats, change = _in_listeners_octave(beats, change)
    first = _first_downbeat(change, _at(low, beats))
    return Grid(
        bpm=60.0 / float(np.median(np.diff(beats))),
        beats=tuple(beats.tolist()),
        downbeats=tuple(beats[first::BEATS_A_BAR].tolist()),
        seconds=clip.seconds,
        chroma=over_beats(levels, beats),
    )


def _pulse(onsets: Samples, bpm: float | None) -> rhythm.Pulse:
    if bpm is None:
        return rhythm.pulse(onsets)
    return rhythm.pulse(onsets, low=bpm * (1 - _HINT_TOLERANCE), high=bpm * (1 + _HINT_TOLERANCE))


# Onsets


def _flat(onsets: Samples) -> Times:
    """Return what stands out of the mean of half a second, a little blurred."""
    mean = ndimage.uniform_filter1d(onsets, _MEAN_FRAMES, mode="nearest")
    raised = np.maximum(onsets - mean, 0.0).astype(np.float64)
    return np.asarray(ndimage.gaussian_filter1d(raised, _BLUR_FRAMES), np.float64)


def _low_onsets(heard: Clip) -> Samples:
    """Return the rise of what is below 160 Hz, `[T]` at `rhythm.FRAME_RATE`."""
    slow = resample.resample(heard, rhythm.RATE // 8)
    hop = rhythm.HOP // 8
    levels = spectrum.magnitudes(slow.mono(), n_fft=256, hop=hop)
    low = np.sqrt(levels[: int(_LOW_HZ * 256 / slow.sample_rate) + 1].sum(axis=0))
    rise = np.maximum(0.0, low[4:] - low[:-4])
    return np.pad(rise / max(float(rise.max(initial=0.0)), 1e-9), (3, 1)).astype(np.float32)


def _at(envelope: Times, seconds: Times) -> Times:
    """Read an envelope at any times; it is 0 outside."""
    frames = (seconds + _LATE_SECONDS) * rhythm.FRAME_RATE
    read = np.interp(frames, np.arange(envelope.shape[0]), envelope, left=0.0, right=0.0)
    return np.asarray(read, np.float64)


# Beats


def _ruled(flat: Times, low: Times, period: float) -> Times:
    """Return the evenly spaced beats on which the most begins."""
    seconds = flat.shape[0] / rhythm.FRAME_RATE
    middle = seconds / 2
    best, best_score = (period, 0.0), -1.0
    for share in np.linspace(-0.002, 0.002, 41):
        one = period * (1.0 + share)
        phases = np.arange(_PHASES) / _PHASES * one
        scores = _at(flat, phases[:, None] + _around(middle, one, seconds)).mean(axis=1)
        if scores.max() > best_score:
            best, best_score = (one, float(phases[scores.argmax()])), float(scores.max())
    period, phase = best
    between = phase + period / 2
    places = _around(middle, period, seconds)
    on, off = (_at(low, places + each).mean() for each in (phase, between))
    all_on, all_off = (_at(flat, places + each).mean() for each in (phase, between))
    if off * all_off > _OFF_BEAT * on * all_on:
        phase = between
    return np.asarray(places + phase)


def _around(middle: float, period: float, seconds: float) -> Times:
    count = int(seconds / 2 / period) + 2
    return np.asarray(middle + period * np.arange(-count, count + 1), np.float64)


def _followed(beats: Times, flat: Times) -> Times:
    """Return the beats where the players have them; a steady player is left alone."""
    offsets = np.arange(-_FOLLOWED_SECONDS, _FOLLOWED_SECONDS, 0.002)
    read = _at(flat, beats[:, None] + offsets)
    summed = ndimage.uniform_filter1d(read, _FOLLOWED_BEATS, axis=0, mode="nearest")
    errors = offsets[summed.argmax(axis=1)]
    common = float(np.median(errors))
    errors = np.where(summed.max(axis=1) > 0.0, errors, common)
    if float(np.std(errors)) < _STEADY_SECONDS:
        return beats + common
    bent = ndimage.gaussian_filter1d(errors, _FOLLOWED_BEATS / 4, mode="nearest")
    return np.asarray(beats + bent, np.float64)


# Bars


def _chroma(heard: Clip) -> Samples:
    """Return what sustains of each pitch class, `[12, T]` at `SLOW_FRAME_RATE`."""
    levels = spectrum.cqt_levels(heard.mono(), rhythm.RATE, hop=_SLOW_HOP)
    folded = spectrum.chroma(ndimage.median_filter(levels, (1, 3))) ** 0.75
    return np.asarray(folded, dtype=np.float32)


def over_beats(levels: Samples, beats: Times) -> Samples:
    """Return the mean of slow frames `[R, T]` between neighbouring beats, `[R, len(beats) - 1]`."""
    edges = np.clip(np.round(beats * SLOW_FRAME_RATE).astype(int), 0, levels.shape[1])
    total = np.pad(np.cumsum(levels, axis=1, dtype=np.float64), ((0, 0), (1, 0)))
    means = (total[:, edges[1:]] - total[:, edges[:-1]]) / np.maximum(np.diff(edges), 1)
    return np.asarray(means, dtype=np.float32)


def _change(chroma: Samples) -> Times:
    """Return how much the chord changes at each beat; 0 at the first and the last, `[beats]`."""
    units = chroma / np.maximum(np.linalg.norm(chroma, axis=0), 1e-9)
    inner = np.maximum(0.0, 1.0 - (units[:, 1:] * units[:, :-1]).sum(axis=0))
    return np.pad(inner, 1).astype(np.float64)


def _in_listeners_octave(beats: Times, change: Times) -> tuple[Times, Times]:
    """Leave out every other beat where a fast pulse has chords that change every eight of it."""
    is_fast = float(np.median(np.diff(beats))) < 60.0 / _FAST_BPM
    if not is_fast or beats.size < 4 * BEATS_A_BAR:
        return beats, change
    shares = _shares(change, 2 * BEATS_A_BAR)
    first = int(shares.argmax())
    if shares[first] < _CLEARLY_MORE * shares[(first + BEATS_A_BAR) % (2 * BEATS_A_BAR)]:
        return beats, change
    return beats[first % 2 :: 2], change[first % 2 :: 2]


def _first_downbeat(change: Times, bass: Times) -> int:
    """Return the number of the first beat of a bar: there chords change and the bass begins."""
    return int((_shares(change, BEATS_A_BAR) + 0.5 * _shares(bass, BEATS_A_BAR)).argmax())


def _shares(values: Times, places: int) -> Times:
    """Return the share of each place in a cycle of beats, `[places]`."""
    sums = np.array([values[place::places].mean() for place in range(places)])
    return np.asarray(sums / max(float(sums.sum()), 1e-9))
