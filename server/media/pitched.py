"""What the pitched instruments of a mix play, beat by beat, as far as it can be told from sound.

Drums and bright partials are in every chroma of a mix, and two versions of one piece differ in them
more than in their notes. Here the drums are left out first and each partial is given to the note it
belongs to: the same chords in other timbres are nearer to each other, and other chords are further
away. Knows levels of semitones as arrays `[88, T]`, A0 first, as `spectrum.cqt_levels` gives them.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from server.media import harmony, spectrum
from server.media.clip import Samples

AUDIBLE_CLARITY = 0.55
"""Clarity of the notes of beats below which there is no harmony; kits reach 0.39, music 0.7."""

_SUSTAINED_FRAMES = 17
_STRUCK_ROWS = 13
_PARTIALS = 12
_DECAY = 0.85
"""Level of each partial by that of the one below. Slow: bright sounds are what has to be undone."""

_LEAK = 0.22
"""Level of a tone in the semitones beside its own: the windows put those 13 dB apart."""

_ROUNDS = 60
_QUIET_DB = -60.0
_LOUDER = 1.5
"""Power of levels in a chroma: notes count, and what is left of their partials does not."""

_BASS_SHARE = 0.3
_BASS_ROWS = 19
_BASS_FADE_ROWS = 8.0
_NEARLY = 0.08
"""By how much a root may fall short of the best one in a beat and still be as good a reading."""


def layer(levels: Samples) -> Samples:
    """Return the share of levels `[88, T]` that sustains, without what is struck.

    Medians along time against medians along pitch, FitzGerald (2010), on semitones; its chroma is
    nearer to that of the instruments alone than the mix's: cosines of 0.98 to 1.0 against 0.91 to
    0.97 in mixes with drums as loud as all the rest, or twice as loud.
    """
    sustained = ndimage.median_filter(levels, (1, _SUSTAINED_FRAMES))
    struck = ndimage.median_filter(levels, (_STRUCK_ROWS, 1))
    kept, lost = np.square(sustained), np.square(struck)
    return np.asarray(sustained * (kept / (kept + lost + 1e-12)), dtype=np.float32)


def notes(levels: Samples, edges: NDArray[np.float64]) -> Samples:
    """Return how loud each note is between neighbouring edges (in seconds), `[88, beats]`.

    The mean spectrum of a beat is explained by as little of each note as will do, all of them with
    the same fading partials; after Mauch & Dixon, "Approximate note transcription for the improved
    identification of difficult chords" (2010). Beats 60 dB below the loudest are silent.
    """
    beats = harmony.over_beats(layer(levels), edges).astype(np.float64)
    loudness = np.linalg.norm(beats, axis=0)
    known, among = _partials()
    wanted = known.T @ beats
    found = wanted + 1e-12
    for _ in range(_ROUNDS):
        found *= wanted / (among @ found + 1e-12)
    threshold = max(float(loudness.max(initial=0.0)) * 10.0 ** (_QUIET_DB / 20), 1e-6)
    found[:, loudness < threshold] = 0.0
    return np.asarray(found, dtype=np.float32)


@cache
def _partials() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the levels that a note has in each semitone, `[88, notes]`, and their products."""
    rows = spectrum.SEMITONES
    known = np.zeros((rows, rows))
    for number in range(1, _PARTIALS + 1):
        above = round(12 * float(np.log2(number)))
        for offset, share in ((-1, _LEAK), (0, 1.0), (1, _LEAK)):
            known += share * np.eye(rows, k=-above - offset) * _DECAY ** (number - 1)
    known /= np.linalg.norm(known, axis=0)
    return known, known.T @ known


def chroma(found: Samples) -> Samples:
    """Return the pitch classes of notes, `[12, beats]`, C first."""
    return _folded(found**_LOUDER)


def similarity(one: Samples, other: Samples) -> float | None:
    """Return the mean cosine of the chromas of notes; None where both are silent."""
    return harmony.similarity(chroma(one), chroma(other))


def is_audible(found: Samples) -> bool:
    """Whether notes `[88, beats]` make any harmony at all; a kick that rings at a pitch does."""
    return harmony.clarity(chroma(found)) >= AUDIBLE_CLARITY


def _folded(found: Samples) -> Samples:
    classes = np.zeros((12, found.shape[1]), np.float32)
    for row, levels in enumerate(found):
        classes[(row + spectrum.LOWEST_PITCH_CLASS) % 12] += levels
    return classes


def root_agreement(one: Samples, other: Samples) -> float:
    """Return the share of beats in which the chord's root may be the same, of notes `[88, beats]`.

    Chords that are not complete have several readings: beats agree where the best root of either is
    nearly as good a reading of the other one.
    """
    first, second = _readings(one), _readings(other)
    each = np.arange(first.shape[1])
    agree = np.zeros(first.shape[1], dtype=bool)
    for mine, yours in ((first, second), (second, first)):
        best = mine.argmax(axis=0)
        agree |= yours[best, each] >= yours.max(axis=0) - _NEARLY
    heard = one.any(axis=0) | other.any(axis=0)
    silent = one.any(axis=0) ^ other.any(axis=0)
    return float(np.mean((agree & ~silent)[heard])) if heard.any() else 0.0


def _readings(found: Samples) -> NDArray[np.float64]:
    """Return how well each root explains each beat, as a major or a minor triad, `[12, beats]`."""
    rows = np.arange(found.shape[0])
    low = np.exp(-np.maximum(rows - _BASS_ROWS, 0) / _BASS_FADE_ROWS)[:, None]
    tones, bass = (
        harmony.unit(_folded(found)),
        harmony.unit(_folded((found * low).astype(np.float32))),
    )
    triads = [
        sum(np.roll(tones, -step, axis=0) for step in (0, third, 7)) / np.sqrt(3)
        for third in (4, 3)
    ]
    return np.asarray(np.maximum(*triads) + _BASS_SHARE * bass)
