"""Which pitches sound: chroma, transposition, chord roots, key.

Knows chroma vectors as arrays `[12, ...]`, C first. Works on what is heard, not on notes; the names
it gives to chords and keys are for reports and never decide anything.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from server.media import resample, spectrum
from server.media.clip import Clip, Samples
from server.media.key import Key, likeliest_key

RATE = 22050
"""Everything is heard at this sample rate."""

HOP = 512
FRAME_RATE = RATE / HOP

AUDIBLE_CLARITY = 0.15
"""Clarity over beats below which there is no harmony; drums reach 0.04, a picked guitar 0.28."""

_STRUCK_FRAMES = 9
_QUIET_DB = -60.0


def chroma(clip: Clip, *, tuning_cents: float = 0.0) -> Samples:
    """Return the level of each pitch class of a clip, as `chroma_of` does."""
    return chroma_of(semitones(clip, tuning_cents=tuning_cents))


def semitones(clip: Clip, *, tuning_cents: float = 0.0) -> Samples:
    """Return the level of each semitone, A0 first, `[88, T]` at `FRAME_RATE` frames a second."""
    mono = resample.resample(clip, RATE).mono()
    return spectrum.cqt_levels(mono, RATE, hop=HOP, tuning_cents=tuning_cents)


def chroma_of(levels: Samples) -> Samples:
    """Return the level of each pitch class, `[12, T]`, of the levels of semitones.

    Each semitone is first median-filtered over 0.2 s, which removes drum strokes. The level is the
    power 1.5 of amplitude: energies let the loudest note hide the chord, and plain amplitudes make
    even noise resemble one. Frames more than 60 dB below the loudest are 0 throughout.
    """
    sustained = ndimage.median_filter(levels, (1, _STRUCK_FRAMES))
    loudness = np.linalg.norm(sustained, axis=0)
    threshold = max(float(loudness.max(initial=0.0)) * 10.0 ** (_QUIET_DB / 20), 1e-6)
    folded = spectrum.chroma(sustained) ** 0.75
    folded[:, loudness < threshold] = 0.0
    return np.asarray(folded, dtype=np.float32)


def over_beats(levels: Samples, beats: NDArray[np.float64]) -> Samples:
    """Return the mean chroma between neighbouring beats (in seconds), `[12, len(beats) - 1]`."""
    edges = np.clip(np.round(beats * FRAME_RATE).astype(int), 0, levels.shape[1])
    total = np.pad(np.cumsum(levels, axis=1, dtype=np.float64), ((0, 0), (1, 0)))
    lengths = np.maximum(np.diff(edges), 1)
    return np.asarray((total[:, edges[1:]] - total[:, edges[:-1]]) / lengths, dtype=np.float32)


def similarity(first: Samples, second: Samples) -> float | None:
    """Return the mean cosine of two chromas column by column; None where both are silent.

    A column that is silent in one of them alone counts as 0.
    """
    count = min(first.shape[1], second.shape[1])
    one, other = unit(first[:, :count]), unit(second[:, :count])
    heard = one.any(axis=0) | other.any(axis=0)
    return float((one * other).sum(axis=0)[heard].mean()) if heard.any() else None


def clarity(levels: Samples) -> float:
    """Return how far from flat the chroma is on average: 0 for noise, 1 for a single pitch class.

    Hoyer's sparseness of each audible column, "Non-negative matrix factorization with sparseness
    constraints" (2004).
    """
    units = unit(levels)
    heard = units.any(axis=0)
    if not heard.any():
        return 0.0
    flat = np.sqrt(12.0)
    return float(np.mean((flat - units[:, heard].sum(axis=0)) / (flat - 1.0)))


def unit(levels: Samples) -> NDArray[np.float64]:
    """Return columns of length 1; silent ones stay 0."""
    norms = np.linalg.norm(levels, axis=0)
    return np.asarray(levels / np.maximum(norms, 1e-12), dtype=np.float64)


def best_rotation(first: Samples, second: Samples) -> int:
    """Return by how many semitones (-5 to 6) `second` lies above `first`, from their mean chroma.

    Another rotation needs a lead of 0.06: accompaniment in fifths shifts the mean, and chroma
    without a shape has no rotation at all. Transposed music leads by 0.2 and more.
    """
    one, other = (unit(each).mean(axis=1) for each in (first, second))
    scores = np.array([_cosine(np.roll(one, shift), other) for shift in range(12)])
    best = 0 if scores[0] >= scores.max() - 0.06 else int(scores.argmax())
    return best if best <= 6 else best - 12


def _cosine(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(one @ other / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-12))


def chord_roots(levels: Samples) -> NDArray[np.int64]:
    """Return the root (0–11) of the triad nearest to each column; -1 where silent."""
    triads = np.zeros((24, 12))
    for root in range(12):
        triads[root, [root, (root + 4) % 12, (root + 7) % 12]] = 1.0
        triads[root + 12, [root, (root + 3) % 12, (root + 7) % 12]] = 1.0
    units = unit(levels)
    roots = (triads @ units).argmax(axis=0) % 12
    return np.where(units.any(axis=0), roots, -1).astype(np.int64)


def estimate_key(levels: Samples) -> Key | None:
    """Return the key whose profile correlates best with the mean chroma; None for silence.

    Relative keys share their notes and are easily exchanged: report it, do not decide by it.
    """
    mean = unit(levels).mean(axis=1) if levels.shape[1] else np.zeros(12)
    return likeliest_key(np.asarray(mean, np.float64))
