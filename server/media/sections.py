"""Where a new section begins: how unlike what comes is to what was, at every beat.

Foote, "Automatic audio segmentation using a measure of audio novelty" (2000): a checkerboard slides
along the diagonal of the clip's similarity with itself. Four bars on either side are compared, so
that a loop of chords is held against the whole loop before it and not against its last chord.

Knows chroma and loudness of bands beat by beat; nothing of verses and choruses.
"""

import numpy as np
from numpy.typing import NDArray

from server.media import resample, rhythm, spectrum
from server.media.clip import Clip, Samples
from server.media.grid import SLOW_FRAME_RATE, Grid, over_beats

AUDIBLE = 1.25
"""Novelty from which a section is said to begin; choruses reach 1.4 to 2, shuffled beats 1.2."""

_LEAST_CONTRAST = 0.06
_REACH_BEATS = 16
_UNLIKE_DB = 6.0
_FLOOR_DB = -70.0
_BANDS = 24
_SHUFFLES = 12
_SURE_DEVIATIONS = 3.0

Values = NDArray[np.float64]


def novelty(clip: Clip, grid: Grid) -> Values:
    """Return how new what begins with each beat is, `[beats]`; 0 near the clip's ends.

    Chords and timbre are compared each for itself, in multiples of what the same beats hardly ever
    reach in any other order; the larger of the two counts.
    """
    beats = np.asarray(grid.beats)
    chords = _alike_chords(grid.chroma)
    timbre = _alike_timbre(over_beats(_band_levels(clip), beats))
    aspects = (chords, timbre, 0.5 * (chords + timbre))
    values = [_contrasts(each) / max(_LEAST_CONTRAST, _by_chance(each)) for each in aspects]
    return np.asarray(np.max(values, axis=0), np.float64)


def _by_chance(likeness: Values) -> float:
    """Return what the same beats hardly ever reach where their order means nothing."""
    random = np.random.default_rng(0)
    highest = []
    for _ in range(_SHUFFLES):
        order = random.permutation(likeness.shape[0])
        highest.append(float(_contrasts(likeness[np.ix_(order, order)]).max(initial=0.0)))
    return float(np.mean(highest) + _SURE_DEVIATIONS * np.std(highest))


def _contrasts(likeness: Values) -> Values:
    """Return the contrast at each beat, the one after the last included."""
    return np.array([_contrast(likeness, beat) for beat in range(likeness.shape[0] + 1)])


def _band_levels(clip: Clip) -> Samples:
    """Return the level of mel bands in decibels, `[24, T]` at `SLOW_FRAME_RATE`."""
    heard = resample.resample(Clip(clip.mono()[None], clip.sample_rate), rhythm.RATE)
    hop = round(rhythm.RATE / SLOW_FRAME_RATE)
    levels = spectrum.magnitudes(heard.mono(), n_fft=hop, hop=hop)
    power = spectrum.mel_filterbank(rhythm.RATE, hop, _BANDS, 40.0, 10000.0) @ np.square(levels)
    decibels = 10.0 * np.log10(np.maximum(power, 1e-12))
    floor = float(decibels.max(initial=_FLOOR_DB)) + _FLOOR_DB
    return np.asarray(np.maximum(decibels, floor), dtype=np.float32)


def _alike_chords(chroma: Samples) -> Values:
    units = chroma / np.maximum(np.linalg.norm(chroma, axis=0), 1e-9)
    return np.asarray(units.T @ units, dtype=np.float64)


def _alike_timbre(levels: Samples) -> Values:
    """Return 1 for equal bands, and e⁻¹ where they differ by 6 dB on average."""
    squares = np.square(levels, dtype=np.float64).sum(axis=0)
    distances = squares[:, None] + squares[None] - 2.0 * (levels.T.astype(np.float64) @ levels)
    return np.asarray(np.exp(-np.maximum(distances, 0.0) / levels.shape[0] / _UNLIKE_DB**2))


def _contrast(likeness: Values, beat: int) -> float:
    """Return how much more alike both sides of a beat are to themselves than to each other."""
    reach = _REACH_BEATS
    if not reach <= beat <= likeness.shape[0] - reach:
        return 0.0
    weights = np.exp(-0.5 * np.square((np.arange(reach) + 0.5) / (0.6 * reach)))
    after = np.outer(weights, weights)
    before, across = after[::-1, ::-1], after[::-1]
    past, next_ = slice(beat - reach, beat), slice(beat, beat + reach)
    total = float(after.sum())
    within = (likeness[past, past] * before).sum() + (likeness[next_, next_] * after).sum()
    between = (likeness[past, next_] * across).sum()
    return max(0.0, float(within / 2 - between) / total)
