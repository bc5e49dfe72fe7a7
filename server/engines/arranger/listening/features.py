"""What is known of a note candidate before judging it: 51 numbers, the verifier's input.

Knows posteriors and spectra; knows nothing of the judge. The order and the meaning of the columns
are fixed by the trained weights.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from server.engines.arranger.listening.candidates import Candidates
from server.engines.arranger.listening.transcribe import Posteriors
from server.engines.arranger.score import ANALYSIS_RATE, LOWEST_PITCH
from server.media.clip import Samples

FEATURES = 51
_FRAMES_AT_ONCE = 2048
N_FFT = 2048
_RELATED = (12, 19, 24, 28, 31, 36, -12, -19, -24, 7, 5, 1, -1)
"""Semitones down to the notes a candidate may be an overtone, an undertone or a leak of."""

_PARTIALS = 6
_HIGHEST_BIN = 900.0
_SILENT_DB = -60.0
_BODY_FRAMES = 10
_MOST_NEIGHBOURS = 6
_MARGIN = 40

_Columns = NDArray[np.float32]
_Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Everything candidates are judged by.

    Attributes:
        mix: posteriors of the whole sound.
        harmonic: posteriors of its harmonic layer.
        onsets: `infer_onsets` of both joined, `[T, 88]`.
        mix_levels: STFT magnitudes of the whole sound, window 2048, hop 256, `[1025, T']`.
        harmonic_levels: those of its harmonic layer.
    """

    mix: Posteriors
    harmonic: Posteriors
    onsets: NDArray[np.float32]
    mix_levels: Samples
    harmonic_levels: Samples


def hertz(columns: _Indices) -> NDArray[np.float64]:
    """Return the frequencies of posterior columns at A = 440 Hz."""
    return np.asarray(440.0 * 2.0 ** ((columns + LOWEST_PITCH - 69) / 12))


def features(candidates: Candidates, evidence: Evidence) -> _Columns:
    """Return what is known of each candidate, `[n, 51]`."""
    joined = evidence.mix.joined(evidence.harmonic)
    onset = ndimage.maximum_filter1d(joined.onset, 5, axis=0)
    heights = _partials(candidates, evidence.mix_levels)
    columns = [
        *_shape(candidates, onset, evidence.onsets, joined.frame),
        *_attack(candidates, heights, evidence.mix_levels),
        *_relations(candidates, onset, joined.frame),
        *_surroundings(candidates, evidence.mix_levels),
        *_layers(candidates, evidence),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


# Reading matrices around candidates


def _around(starts: _Indices, stops: _Indices, width: int) -> tuple[_Indices, NDArray[np.bool_]]:
    """Return the frames `start` to `stop` of each row, `[n, width]`, and which of them count."""
    frames = starts[:, None] + np.arange(width)
    return frames, frames < stops[:, None]


def _mean(values: _Columns, counts: NDArray[np.bool_]) -> _Columns:
    total = np.where(counts, values, 0.0).sum(axis=-1)
    return np.asarray(total / np.maximum(counts.sum(axis=-1), 1), np.float32)


def _body(candidates: Candidates, length: int) -> tuple[_Indices, NDArray[np.bool_]]:
    """Return the first ten frames of each candidate within the clip."""
    starts = candidates.starts
    stops = np.maximum(np.minimum(length, starts + _BODY_FRAMES), starts + 1)
    frames, counts = _around(starts, stops, _BODY_FRAMES)
    return np.minimum(frames, length - 1), counts


def _shape(
    candidates: Candidates, onset: _Columns, inferred: _Columns, frame: _Columns
) -> list[_Columns]:
    """Return the candidate's own posteriors, at its start, within and before it."""
    starts, columns = candidates.starts, candidates.columns
    frames, counts = _body(candidates, frame.shape[0])
    body = frame[frames, columns[:, None]]
    first, stop = np.maximum(0, starts - 6), np.maximum(1, starts - 1)
    frames_before, counts_before = _around(first, stop, 5)
    before = np.where(
        counts_before, frame[np.minimum(frames_before, frame.shape[0] - 1), columns[:, None]], 0.0
    )
    return [
        onset[starts, columns],
        inferred[starts, columns],
        candidates.strengths,
        np.where(counts, body, 0.0).max(axis=1),
        _mean(body, counts),
        np.log(candidates.ends - starts + 1.0),
        _mean(before, counts_before),
        before.max(axis=1),
    ]


# Partials


@dataclass(frozen=True, slots=True, eq=False)
class _Partials:
    """Levels of the first partials in dB after the onset, and their rise over before, `[n, 6]`."""

    after: _Columns
    rises: _Columns
    exist: NDArray[np.bool_]

    def weighted_rise(self) -> _Columns:
        """Return the mean rise weighted by amplitude."""
        weights = np.where(self.exist, 10.0 ** (self.after / 20.0), 0.0)
        weights /= weights.sum(axis=1, keepdims=True) + 1e-9
        return np.asarray((weights * self.rises).sum(axis=1), np.float32)

    def median_rise(self) -> _Columns:
        """Return the median over the partials that exist."""
        ordered = np.sort(np.where(self.exist, self.rises, np.inf), axis=1)
        count = self.exist.sum(axis=1)
        rows = np.arange(len(count))
        middle = ordered[rows, (count - 1) // 2] + ordered[rows, count // 2]
        return np.asarray(0.5 * middle, np.float32)


def _decibels(levels: Samples) -> Samples:
    return np.asarray(20.0 * np.log10(levels + 1e-5), np.float32)


def _partials(candidates: Candidates, levels: Samples) -> _Partials:
    """Read the two bins around each partial in the frames before and after the onset."""
    starts, last = candidates.starts, levels.shape[1] - 1
    places = hertz(candidates.columns)[:, None] * np.arange(1, _PARTIALS + 1)
    places = places * N_FFT / ANALYSIS_RATE
    exist = places <= _HIGHEST_BIN
    bins = np.where(exist, places, 0.0).astype(np.int64)
    before = _level(
        levels, bins, np.maximum(0, starts - 5), np.minimum(np.maximum(1, starts - 1), last + 1)
    )
    before[starts == 0] = _SILENT_DB
    after = _level(levels, bins, np.minimum(starts + 1, last), np.minimum(starts + 6, last + 1))
    after = np.where((starts < last)[:, None], after, before)
    return _Partials(after, np.where(exist, after - before, 0.0).astype(np.float32), exist)


def _level(levels: Samples, bins: _Indices, starts: _Indices, stops: _Indices) -> _Columns:
    """Return the mean dB of bins `[n, 6]` and their upper neighbours over a span of frames."""
    frames, counts = _around(starts, stops, 5)
    frames = np.minimum(frames, levels.shape[1] - 1)[:, None, :]
    pair = [_decibels(levels[bins[:, :, None] + step, frames]) for step in (0, 1)]
    return _mean(0.5 * (pair[0] + pair[1]), np.broadcast_to(counts[:, None, :], pair[0].shape))


def _attack(candidates: Candidates, partials: _Partials, levels: Samples) -> list[_Columns]:
    """Return how the partials rise at the onset, and how loud they are beside the loudest."""
    frame = np.minimum(candidates.starts + 2, levels.shape[1] - 1)
    loudest = _decibels(levels.max(axis=0))[frame]
    after = partials.after
    return [
        partials.rises[:, 0],
        partials.weighted_rise(),
        partials.median_rise(),
        np.where(partials.exist, partials.rises, np.inf).min(axis=1),
        after[:, 0] - loudest,
        after[:, 0] - after[:, 1],
        after[:, :2].max(axis=1) - loudest,
    ]


# Context


def _relations(candidates: Candidates, onset: _Columns, frame: _Columns) -> list[_Columns]:
    """Return onset and body of each related semitone; 0 beyond the keyboard."""
    frames, counts = _body(candidates, frame.shape[0])
    beyond = ((0, 0), (_MARGIN, _MARGIN))
    onset, frame = np.pad(onset, beyond), np.pad(frame, beyond)
    found = []
    for interval in _RELATED:
        columns = candidates.columns + _MARGIN - interval
        body = np.where(counts, frame[frames, columns[:, None]], 0.0)
        found += [onset[candidates.starts, columns], body.max(axis=1)]
    return found


def _surroundings(candidates: Candidates, levels: Samples) -> list[_Columns]:
    """Return the spectral flux at the start, how many candidates start together, and the pitch."""
    starts = candidates.starts
    flux = _flux(levels)
    flux /= np.percentile(flux, 98) + 1e-9
    near = np.clip(starts[:, None] + np.arange(-2, 3), 0, flux.shape[0] - 1)
    first = np.searchsorted(starts, starts - 3, side="left")
    beyond = np.searchsorted(starts, starts + 3, side="right")
    return [
        flux[near].max(axis=1),
        np.minimum(_MOST_NEIGHBOURS, beyond - first).astype(np.float32),
        (candidates.columns / 88).astype(np.float32),
    ]


def _flux(levels: Samples) -> _Columns:
    """Return how much louder each frame is than the one before, `[T]`."""
    flux = np.zeros(levels.shape[1], np.float32)
    for start in range(1, levels.shape[1], _FRAMES_AT_ONCE):
        loudness = np.log1p(50.0 * levels[:, start - 1 : start + _FRAMES_AT_ONCE])
        rises = np.maximum(0.0, np.diff(loudness, axis=1))
        flux[start : start + _FRAMES_AT_ONCE] = rises.sum(axis=0)
    return flux


def _layers(candidates: Candidates, evidence: Evidence) -> list[_Columns]:
    """Return what the whole sound and its harmonic layer say, side by side."""
    starts, columns = candidates.starts, candidates.columns[:, None]
    length = evidence.mix.frame.shape[0]
    near = np.clip(starts[:, None] + np.arange(-2, 3), 0, length - 1)
    frames, counts = _body(candidates, length)
    partials = _partials(candidates, evidence.harmonic_levels)
    both = (evidence.mix, evidence.harmonic)
    return [
        *(posteriors.onset[near, columns].max(axis=1) for posteriors in both),
        *(_mean(posteriors.frame[frames, columns], counts) for posteriors in both),
        partials.rises[:, 0],
        partials.weighted_rise(),
        np.where(partials.exist, partials.rises, -np.inf).max(axis=1),
    ]


def raw_onsets(columns: _Columns) -> _Columns:
    """Return the stronger onset posterior of the two layers, from features `[n, 51]`."""
    found: _Columns = columns[:, FEATURES - 7 : FEATURES - 5].max(axis=1)
    return found
