"""Chords of a piece as one smooth progression, and how to voice them.

Knows chords and pitches; nothing of voices' names, sounds or drums.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from server.engines.arranger.score import Chord, Heard

_MISSING_TONE = 14.0
_CLOSE = 3
_WIDE = 9
_SPACING = 1.2
_OFF_CENTRE = 0.6
_WHIM = 4.0
"""Semitones of movement that chance may outweigh: another seed, another voicing."""

_MOST_CANDIDATES = 160


def fit(pitch: int, low: int, high: int) -> int:
    """Return the pitch moved by octaves into `[low, high]`, which spans an octave."""
    if pitch < low:
        return pitch + 12 * -((pitch - low) // 12)
    if pitch > high:
        return pitch - 12 * -((high - pitch) // 12)
    return pitch


def progression(heard: Heard) -> tuple[Chord, ...]:
    """Return the chords, one a change: single-beat flukes are absorbed and gaps take a neighbour.

    Empty where nothing pitched was heard.
    """
    if not heard.is_pitched or not heard.chords:
        return ()
    merged: list[Chord] = []
    for chord in _without_gaps(_without_flukes(heard.chords), heard):
        if merged and _same(merged[-1], chord):
            merged[-1] = replace(merged[-1], end_seconds=chord.end_seconds)
        else:
            merged.append(chord)
    return tuple(merged)


def _same(one: Chord, other: Chord) -> bool:
    return (one.root, one.quality) == (other.root, other.quality)


def _without_flukes(chords: Sequence[Chord]) -> list[Chord]:
    """Return the beats with a lone stranger between two equal chords put right."""
    result = list(chords)
    for index in range(1, len(chords) - 1):
        before, this, after = result[index - 1], chords[index], chords[index + 1]
        if _same(before, after) and not _same(this, before):
            result[index] = _renamed(this, before)
    return result


def _renamed(chord: Chord, like: Chord) -> Chord:
    return replace(chord, root=like.root, quality=like.quality, bass=like.bass)


def _without_gaps(chords: Sequence[Chord], heard: Heard) -> list[Chord]:
    """Give beats without a chord the last one, else the first one named, else the key's."""
    named = next((chord for chord in chords if chord.root is not None), None)
    last = named if named is not None else _tonic_chord(chords[0], heard)
    result = []
    for chord in chords:
        last = chord if chord.root is not None else _renamed(chord, last)
        result.append(last)
    return result


def _tonic_chord(chord: Chord, heard: Heard) -> Chord:
    """Return the key's own chord, or the lowest note's fifth where no key was heard."""
    if heard.key is not None:
        quality = "m" if heard.key.mode == "minor" else ""
        return replace(chord, root=heard.key.tonic, quality=quality, bass=heard.key.tonic)
    root = min(note.pitch for note in heard.notes) % 12
    return replace(chord, root=root, quality="5", bass=root)


def chord_at(chords: Sequence[Chord], seconds: float) -> Chord | None:
    """Return the chord that sounds at a moment; the nearest one outside of the progression."""
    if not chords:
        return None
    index = bisect_right(chords, seconds + 1e-6, key=lambda chord: chord.start_seconds) - 1
    return chords[max(index, 0)]


def main_root(chords: Sequence[Chord]) -> int | None:
    """Return the root that lasts longest in all, the first of equals."""
    seconds: dict[int, float] = {}
    for chord in chords:
        if chord.root is not None:
            length = chord.end_seconds - chord.start_seconds
            seconds[chord.root] = seconds.get(chord.root, 0.0) + length
    return max(seconds, key=lambda root: seconds[root]) if seconds else None


def voicings(
    chords: Sequence[Chord], size: int, low: int, high: int, *, seed: int, lean: float = 0.0
) -> tuple[tuple[int, ...], ...]:
    """Return `size` pitches for each chord, low to high, moving as little as they can.

    Dynamic programming over all spacings of each chord within `[low, high]`: the price is what a
    voicing lacks, how unevenly it is spaced, how far every voice moves, and a little chance drawn
    from the seed. Every tone of a triad is present where the size allows. `lean` moves the middle
    that voicings keep to, in semitones.
    """
    random = np.random.default_rng(seed)
    centre = (low + high) / 2 + lean
    options = [_candidates(chord, size, low, high, lean=lean) for chord in chords]
    total, back = np.zeros(1), []
    for index, (chord, pitches) in enumerate(zip(chords, options, strict=True)):
        price = _prices(chord, pitches, centre) + _WHIM * random.random(len(pitches))
        if index:
            moved = np.abs(pitches[:, None, :] - options[index - 1][None, :, :]).sum(axis=2)
            reach = total[None, :] + moved
            back.append(reach.argmin(axis=1))
            price = price + reach.min(axis=1)
        total = price
    return _best_path(options, total, back)


def _best_path(
    options: Sequence[NDArray[np.int64]],
    total: NDArray[np.float64],
    back: Sequence[NDArray[np.intp]],
) -> tuple[tuple[int, ...], ...]:
    if not options:
        return ()
    path = [int(total.argmin())]
    for came_from in reversed(back):
        path.append(int(came_from[path[-1]]))
    chosen = zip(options, reversed(path), strict=True)
    return tuple(tuple(int(pitch) for pitch in pitches[index]) for pitches, index in chosen)


def _candidates(
    chord: Chord, size: int, low: int, high: int, *, lean: float = 0.0
) -> NDArray[np.int64]:
    """Return voicings of the chord, `[candidates, size]`; the best if there are many."""
    classes = chord.pitch_classes
    pool = [pitch for pitch in range(low, high + 1) if pitch % 12 in classes]
    centre = (low + high) / 2 + lean
    pool = sorted(sorted(pool, key=lambda pitch: abs(pitch - centre))[:11])
    while len(pool) < size:
        pool = sorted([*pool, pool[-1]])
    found = np.array(list(combinations(pool, size)), dtype=np.int64)
    if len(found) <= _MOST_CANDIDATES:
        return found
    order = np.argsort(_prices(chord, found, centre), kind="stable")
    return found[order[:_MOST_CANDIDATES]]


def _prices(chord: Chord, pitches: NDArray[np.int64], centre: float) -> NDArray[np.float64]:
    """Return what each voicing costs by itself: tones it lacks, its spacing, its register."""
    price = _OFF_CENTRE * np.abs(pitches.mean(axis=1) - centre)
    for tone in chord.pitch_classes[:3]:
        price = price + _MISSING_TONE * ~np.any(pitches % 12 == tone, axis=1)
    steps = np.diff(pitches, axis=1)
    spread = np.maximum(steps - _WIDE, 0) + np.maximum(_CLOSE - steps, 0)
    return np.asarray(price + _SPACING * spread.sum(axis=1), dtype=np.float64)
