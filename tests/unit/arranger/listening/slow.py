"""The slow, obviously right versions of what the engine does in a few array operations."""

import numpy as np
from numpy.typing import NDArray

from server.engines.arranger.listening.candidates import Candidates
from server.engines.arranger.listening.features import Evidence

Floats = NDArray[np.float32]
Span = tuple[int, int, int]

_RELATED = (12, 19, 24, 28, 31, 36, -12, -19, -24, 7, 5, 1, -1)


def decoded(frame: Floats, onsets: Floats) -> list[Span]:
    """Return `(start, end, column)` of all candidates, frame by frame."""
    left = frame.copy()
    return sorted(_from_onsets(left, onsets) + _from_sustain(left))


def _is_peak(onsets: Floats, time: int, column: int) -> bool:
    here = onsets[time, column]
    if here < 0.2 or time == len(onsets) - 1:
        return False
    return time == 0 or bool(onsets[time - 1, column] < here >= onsets[time + 1, column])


def _from_onsets(left: Floats, onsets: Floats) -> list[Span]:
    found = []
    for time in reversed(range(len(onsets))):
        for column in range(7, 88):
            if not _is_peak(onsets, time, column):
                continue
            end, silent = time + 1, 0
            while end < len(left) - 1 and silent < 8:
                silent = silent + 1 if left[end, column] < 0.18 else 0
                end += 1
            end -= silent
            if end - time >= 4:
                found.append((time, end, column))
                left[time:end, max(column - 1, 0) : column + 2] = 0.0
    return found


def _from_sustain(left: Floats) -> list[Span]:
    found = []
    while left.max() > 0.18:
        time, column = (int(place) for place in np.unravel_index(left.argmax(), left.shape))
        near = slice(max(column - 1, 0), column + 2)
        left[time, column] = 0.0
        end, silent = time + 1, 0
        while end < len(left) - 1 and silent < 8:
            silent = silent + 1 if left[end, column] < 0.18 else 0
            left[end, near] = 0.0
            end += 1
        end -= 1 + silent
        start, silent = time - 1, 0
        while start > 0 and silent < 8:
            silent = silent + 1 if left[start, column] < 0.18 else 0
            left[start, near] = 0.0
            start -= 1
        start += 1 + silent
        if end - start >= 4 and column >= 7:
            found.append((start, end, column))
    return found


def features(candidates: Candidates, evidence: Evidence) -> Floats:
    """Return the 51 features of each candidate, one by one."""
    return np.array(
        [_features(index, candidates, evidence) for index in range(len(candidates))], np.float32
    )


def _features(index: int, candidates: Candidates, evidence: Evidence) -> list[float]:
    start, end = int(candidates.starts[index]), int(candidates.ends[index])
    column = int(candidates.columns[index])
    onset = np.maximum(evidence.mix.onset, evidence.harmonic.onset)
    frame = np.maximum(evidence.mix.frame, evidence.harmonic.frame)
    length = len(frame)
    near = slice(max(0, start - 2), start + 3)
    body = slice(start, max(start + 1, min(length, start + 10)))
    before = slice(max(0, start - 6), max(1, start - 1))
    row = [
        onset[near, column].max(),
        evidence.onsets[start, column],
        candidates.strengths[index],
        frame[body, column].max(),
        frame[body, column].mean(),
        np.log(end - start + 1),
        frame[before, column].mean(),
        frame[before, column].max(),
    ]
    rises, levels = _partials(start, column, evidence.mix_levels)
    loudest = _decibels(evidence.mix_levels)[:, min(start + 2, evidence.mix_levels.shape[1] - 1)]
    row += [rises[0], _weighted(rises, levels), np.median(rises), min(rises)]
    row += [
        levels[0] - loudest.max(),
        levels[0] - levels[1],
        max(levels[:2]) - loudest.max(),
    ]
    for interval in _RELATED:
        other = column - interval
        on_keyboard = 0 <= other < 88
        row += [onset[near, other].max() if on_keyboard else 0.0]
        row += [frame[body, other].max() if on_keyboard else 0.0]
    row += [_flux(evidence.mix_levels)[near].max()]
    row += [min(6, int((np.abs(candidates.starts - start) <= 3).sum())), column / 88]
    both = (evidence.mix, evidence.harmonic)
    row += [layer.onset[near, column].max() for layer in both]
    row += [layer.frame[body, column].mean() for layer in both]
    rises, levels = _partials(start, column, evidence.harmonic_levels)
    return [float(value) for value in (*row, rises[0], _weighted(rises, levels), max(rises))]


def _decibels(levels: Floats) -> Floats:
    return np.asarray(20 * np.log10(levels + 1e-5), np.float32)


def _weighted(rises: list[float], levels: list[float]) -> float:
    weights = 10 ** (np.array(levels) / 20)
    return float((weights / (weights.sum() + 1e-9) * rises).sum())


def _partials(start: int, column: int, magnitudes: Floats) -> tuple[list[float], list[float]]:
    decibels, last = _decibels(magnitudes), magnitudes.shape[1] - 1
    rises, levels = [], []
    for number in range(1, 7):
        place = 440 * 2 ** ((column + 21 - 69) / 12) * number / 11025 * 1024
        if place > 900:
            break
        rows = decibels[int(place) : int(place) + 2]
        before = -60.0
        if start > 0:
            before = float(rows[:, max(0, start - 5) : max(1, start - 1)].mean())
        after = before
        if start < last:
            after = float(rows[:, min(start + 1, last) : start + 6].mean())
        rises.append(after - before)
        levels.append(after)
    return rises, levels


def _flux(magnitudes: Floats) -> Floats:
    levels = np.log1p(50 * magnitudes)
    flux = np.maximum(0.0, np.diff(levels, axis=1, prepend=levels[:, :1])).sum(axis=0)
    return np.asarray(flux / (np.percentile(flux, 98) + 1e-9), np.float32)
