"""Pitch contours: what moves through a spectrum as the partials of one tone.

Knows spectra at the analysis rate; nothing of who sings or plays. Salience by harmonic summation of
a whitened spectrum and contours by continuity, after Salamon & Gómez, "Melody extraction from
polyphonic music signals using pitch contour characteristics" (2012).
"""

import itertools
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, signal

from server.engines.arranger.score import ANALYSIS_RATE, FRAME_HOP
from server.media.clip import Samples

N_FFT = 2048
_WINDOW = 1411
"""64 ms, zero-padded: a glide smears less than in a full window, and 100 Hz is still resolved."""

LOWEST_HERTZ = 75.0
_STEPS_AN_OCTAVE = 60
CENTS_A_STEP = 1200 // _STEPS_AN_OCTAVE
_STEPS = round(3.75 * _STEPS_AN_OCTAVE)
_PARTIALS = 10
_PARTIAL_DECAY = 0.86
_FLOOR = 1e-3
_FLOOR_BINS = 41
_AUDIBLE_SHARE = 0.25
_AT_ONCE = 4
_LONGEST_GAP = 2
_LARGEST_STEP = 4.0
_SHORTEST_FRAMES = 12
_FRAMES_AT_ONCE = 2048


@dataclass(frozen=True, slots=True, eq=False)
class Contour:
    """One tone's way: in which frames it sounds, and where.

    Attributes:
        frames: `[n]` rising; a few may be left out.
        cents: `[n]` above `LOWEST_HERTZ`.
    """

    frames: NDArray[np.int64]
    cents: NDArray[np.float64]

    @property
    def hertz(self) -> NDArray[np.float64]:
        """Its frequency in each of its frames."""
        return np.asarray(LOWEST_HERTZ * 2.0 ** (self.cents / 1200))


def levels_of(samples: Samples) -> Samples:
    """Return magnitudes of mono samples at the analysis rate, `[1025, 1 + N // 256]`."""
    count = 1 + samples.shape[0] // FRAME_HOP
    padded = np.zeros((count - 1) * FRAME_HOP + _WINDOW, np.float32)
    kept = min(samples.shape[0], padded.shape[0] - _WINDOW // 2)
    padded[_WINDOW // 2 : _WINDOW // 2 + kept] = samples[:kept]
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::FRAME_HOP]
    window = signal.get_window("hann", _WINDOW).astype(np.float32)
    levels = np.empty((N_FFT // 2 + 1, count), np.float32)
    for start in range(0, count, _FRAMES_AT_ONCE):
        block = frames[start : start + _FRAMES_AT_ONCE] * window
        levels[:, start : start + _FRAMES_AT_ONCE] = np.abs(fft.rfft(block, N_FFT, axis=1)).T
    return levels * np.float32(2.0 / window.sum())


def find_contours(levels: Samples) -> list[Contour]:
    """Return the contours in a spectrum of a sound whose peak is 0.8, from 75 Hz to 1 kHz."""
    salience = _salience(levels)
    audible = _AUDIBLE_SHARE * float(np.percentile(salience.max(axis=0), 95))
    following = _Following()
    for frame, (places, heights) in enumerate(_peaks(salience, max(audible, _FLOOR))):
        following.go_on(frame, places, heights)
    return following.finish()


def _salience(levels: Samples) -> Samples:
    """Return how well each pitch explains each frame, `[225, T]`."""
    found = np.empty((_STEPS, levels.shape[1]), np.float32)
    for start in range(0, levels.shape[1], _FRAMES_AT_ONCE):
        piece = slice(start, start + _FRAMES_AT_ONCE)
        loudness = np.log1p(levels[:, piece] / np.float32(_FLOOR))
        floor = ndimage.uniform_filter1d(loudness, _FLOOR_BINS, axis=0, mode="nearest")
        found[:, piece] = _comb() @ np.maximum(loudness - floor, 0.0)
    return found


@cache
def _comb() -> Samples:
    """Return the weight of each bin for each pitch, `[225, 1025]`; each row's sum is 1."""
    weights = np.zeros((_STEPS, N_FFT // 2 + 1), np.float32)
    lowest = LOWEST_HERTZ * 2.0 ** (np.arange(_STEPS) / _STEPS_AN_OCTAVE)
    for partial in range(1, _PARTIALS + 1):
        places = lowest * partial * N_FFT / ANALYSIS_RATE
        rows = np.flatnonzero(places < 0.4 * N_FFT)
        bins = places[rows].astype(np.int64)
        between = places[rows] - bins
        weights[rows, bins] += _PARTIAL_DECAY ** (partial - 1) * (1.0 - between)
        weights[rows, bins + 1] += _PARTIAL_DECAY ** (partial - 1) * between
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


_Peaks = tuple[list[float], list[float]]
"""Places in steps and heights of a frame's highest peaks."""


def _peaks(salience: Samples, audible: float) -> list[_Peaks]:
    inner = salience[1:-1]
    rises, falls = inner - salience[:-2], inner - salience[2:]
    steps, frames = np.nonzero((rises > 0) & (falls >= 0) & (inner > audible))
    up, down, heights = rises[steps, frames], falls[steps, frames], inner[steps, frames]
    places = steps + 1 + 0.5 * (up - down) / np.maximum(up + down, 1e-9)
    order = np.lexsort((-heights, frames))
    bounds = np.searchsorted(frames[order], np.arange(salience.shape[1] + 1)).tolist()
    found = []
    for first, end in itertools.pairwise(bounds):
        chosen = order[first : min(end, first + _AT_ONCE)]
        found.append((places[chosen].tolist(), heights[chosen].tolist()))
    return found


@dataclass(slots=True, eq=False)
class _Thread:
    """A contour that may go on; `strength` is its height of late."""

    frames: list[int]
    places: list[float]
    strength: float


@dataclass(slots=True, eq=False)
class _Following:
    """Contours as they grow from frame to frame; the strongest has the first choice."""

    threads: list[_Thread] = field(default_factory=list)
    ended: list[_Thread] = field(default_factory=list)

    def go_on(self, frame: int, places: list[float], heights: list[float]) -> None:
        """Lead each contour to the nearest peak, and begin new ones from what is left."""
        free = set(range(len(places)))
        for thread in sorted(self.threads, key=lambda each: -each.strength):
            last = thread.places[-1]
            nearest = min(free, key=lambda peak: abs(places[peak] - last), default=None)
            if nearest is not None and abs(places[nearest] - last) <= _LARGEST_STEP:
                free.remove(nearest)
                thread.frames.append(frame)
                thread.places.append(places[nearest])
                thread.strength = 0.9 * thread.strength + heights[nearest]
        self.ended += [each for each in self.threads if frame - each.frames[-1] > _LONGEST_GAP]
        self.threads = [each for each in self.threads if frame - each.frames[-1] <= _LONGEST_GAP]
        self.threads += [_Thread([frame], [places[peak]], heights[peak]) for peak in sorted(free)]

    def finish(self) -> list[Contour]:
        """Return those that were long enough, by start."""
        found = [
            Contour(np.array(each.frames), np.array(each.places) * CENTS_A_STEP)
            for each in (*self.ended, *self.threads)
            if len(each.frames) >= _SHORTEST_FRAMES
        ]
        return sorted(found, key=lambda each: (each.frames[0], each.cents[0]))
