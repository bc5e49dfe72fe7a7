"""Key and chords: a Viterbi path over twelve roots and nine qualities, one state a beat.

Knows notes, posteriors and semitone levels; knows nothing of what is done with the chords.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.engines.arranger.listening.tempo import EDGE_SECONDS
from server.engines.arranger.score import (
    FRAME_RATE,
    LOWEST_PITCH,
    QUALITIES,
    Chord,
    DrumHit,
    Note,
)
from server.media.key import Key, fit, likeliest_key

_MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
_HARMONIC_MINOR_SEVENTH = 11

_TONE_WEIGHTS = (1.0, 0.85, 0.8, 0.5)
_FIFTH_WEIGHTS = (1.0, 0.9)
_QUALITY_BIAS = {
    "": 0.0,
    "m": 0.0,
    "7": -0.05,
    "m7": -0.05,
    "maj7": -0.06,
    "sus4": -0.1,
    "sus2": -0.12,
    "dim": -0.08,
    "5": -0.12,
}
_DIATONIC = frozenset(
    {
        *((0, ""), (2, "m"), (4, "m"), (5, ""), (7, ""), (9, "m"), (11, "dim"), (7, "7")),
        *((0, "maj7"), (5, "maj7"), (2, "m7"), (9, "m7"), (4, "m7")),
    }
)
"""Chords of a major key: semitones above the tonic, and quality."""

_DOMINANT_OF_MINOR = frozenset({(4, ""), (4, "7")})
_IN_KEY, _OUT_OF_KEY = 0.02, -0.02
"""Weak on purpose: 0.05 turned D minor into D major."""

_BASS_BONUS = 0.10
_SWITCH_COST = 0.22
_NO_CHORD, _SILENCE = 0.45, 1.2
_AUDIBLE = 0.15
_STRAY_SHARE = 0.02
"""Of the sound that a hinted key may leave outside of its scale, beyond what the heard one does."""

_LEAST_FIT = 0.2
"""Correlation with a hinted key's profile."""

_FIFTH = 7
_THROUGHOUT = 0.42
"""Mean frame posterior over a beat of a tone that sounds all the time."""

_LOW_PITCH = 60
_BASS_PITCH = 62
_LEAST_SOUND = 0.08
"""Seconds of notes a second below which there is no harmony to name."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What the harmony is read from.

    Attributes:
        notes: by start.
        frame: `[T, 88]` frame posterior.
        chroma: `[12, T]` of the harmonic layer, C first, at `FRAME_RATE`.
    """

    notes: Sequence[Note]
    frame: NDArray[np.float32]
    chroma: NDArray[np.float32]


def find_key(notes: Sequence[Note], *, hint: Key | None = None) -> Key | None:
    """Return the key that fits the sounding time of the pitch classes best; None without notes.

    A `hint` decides where the notes do not, as between relative keys or in a tune of few notes. It
    is not followed against the music.
    """
    weights = np.zeros(12)
    for note in notes:
        weights[note.pitch % 12] += note.seconds * note.velocity
    heard = likeliest_key(weights)
    if hint is None or heard is None:
        return heard
    is_in_scale = _foreign(hint, weights) <= _foreign(heard, weights) + _STRAY_SHARE
    return hint if is_in_scale and fit(hint, weights) >= _LEAST_FIT else heard


def _foreign(key: Key, weights: NDArray[np.float64]) -> float:
    """Return which share of the sound lies outside of a key's scale."""
    outside = [tone for tone in range(12) if tone not in scale_of(key)]
    return float(weights[outside].sum() / weights.sum())


def scale_of(key: Key) -> frozenset[int]:
    """Return the pitch classes of the key; a minor key's raised seventh is one of them."""
    relative = _relative_major(key)
    scale = {(relative + degree) % 12 for degree in _MAJOR_SCALE}
    if key.mode == "minor":
        scale.add((key.tonic + _HARMONIC_MINOR_SEVENTH) % 12)
    return frozenset(scale)


def _relative_major(key: Key) -> int:
    return key.tonic if key.mode == "major" else (key.tonic + 3) % 12


def find_chords(
    evidence: Evidence, beats: NDArray[np.float64], seconds: float, key: Key | None
) -> tuple[Chord, ...]:
    """Return the chord of every beat; the first starts at 0, the last ends with the clip."""
    edges = beat_edges(beats, seconds)
    tones, lowest = _tones(evidence, edges), _lowest(evidence, edges)
    scores = _scores(tones, lowest, key)
    sounding = sum(note.seconds for note in evidence.notes)
    if sounding < _LEAST_SOUND * seconds:
        path = np.zeros(len(scores), np.int64)
    else:
        path = _viterbi(scores)
    return tuple(
        _chord(edges[beat], edges[beat + 1], _STATES[state], lowest[beat], scores[beat, state])
        for beat, state in enumerate(path.tolist())
    )


def beat_edges(beats: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    """Return where the beats within the clip meet, from 0 to its end."""
    inner = beats[(beats > EDGE_SECONDS) & (beats < seconds - EDGE_SECONDS)]
    return np.concatenate([[0.0], inner, [seconds]])


# Evidence a beat

_STRUCK_EARLY_SECONDS = 0.06
"""A note this little before a beat was meant for it."""


def _tones(evidence: Evidence, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how strong each pitch class is in each beat, `[B, 12]`."""
    tones = _noted(evidence.notes, edges)
    frames = _beat_means(evidence.frame, edges)
    folded = np.zeros_like(tones)
    columns = (np.arange(frames.shape[1]) + LOWEST_PITCH) % 12
    np.add.at(folded.T, columns, np.maximum(frames - 0.05, 0.0).T)
    strongest = folded.max(axis=1, keepdims=True)
    tones += 0.8 * folded / (strongest + 1e-6) * np.minimum(1.0, 3.0 * strongest)
    chroma = _beat_means(evidence.chroma.T, edges)
    tones += 0.35 * chroma / (chroma.max(axis=1, keepdims=True) + 1e-9)
    return tones


def _noted(notes: Sequence[Note], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of each beat that notes of each pitch class sound, by velocity."""
    tones = np.zeros((len(edges) - 1, 12))
    for note in notes:
        until = np.minimum(edges[1:], note.end_seconds)
        overlap = np.maximum(until - np.maximum(edges[:-1], note.start_seconds), 0.0)
        weight = note.velocity * (1.15 if note.pitch < _LOW_PITCH else 1.0)
        tones[:, note.pitch % 12] += overlap / np.maximum(np.diff(edges), 1e-9) * weight
    return tones


def _beat_means(view: NDArray[np.float32], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of the frames `[T, K]` in each beat, `[B, K]`."""
    bounds = np.minimum((edges * FRAME_RATE).astype(int), view.shape[0] - 1)
    stops = np.maximum(bounds[1:], bounds[:-1] + 1)
    total = np.concatenate([np.zeros((1, view.shape[1])), np.cumsum(view, axis=0, dtype=float)])
    return np.asarray((total[stops] - total[bounds[:-1]]) / (stops - bounds[:-1])[:, None])


def _lowest(evidence: Evidence, edges: NDArray[np.float64]) -> list[int | None]:
    """Return the pitch class of the lowest tone of each beat, None where nothing is low.

    A note counts that is struck in the beat or rings through half of it: a bass that a hand lifts
    late must not hold the old chord over the new one. So does the root of a fifth that sounds all
    through the beat without being a note of its own: its overtones are the fifth's.
    """
    low = [note for note in evidence.notes if note.pitch < _BASS_PITCH]
    sounding = _beat_means(evidence.frame, edges) >= _THROUGHOUT
    found: list[int | None] = []
    for beat, (start, end) in enumerate(itertools.pairwise(edges)):
        heard = min((note.pitch for note in low if _counts(note, start, end)), default=None)
        if heard is not None and sounding[beat, max(heard - _FIFTH - LOWEST_PITCH, 0)]:
            heard -= _FIFTH
        found.append(None if heard is None else heard % 12)
    return found


def _counts(note: Note, start: float, end: float) -> bool:
    is_struck = start - _STRUCK_EARLY_SECONDS <= note.start_seconds < end - 0.03
    rings = min(note.end_seconds, end) - max(note.start_seconds, start)
    return is_struck or rings >= 0.5 * (end - start)


# States


_State = tuple[int | None, str]
_STATES: tuple[_State, ...] = (
    (None, ""),
    *((root, quality) for root in range(12) for quality in QUALITIES),
)


def _templates() -> NDArray[np.float64]:
    """Return the unit vector of pitch classes of each chord, `[108, 12]`."""
    rows = np.zeros((len(_STATES) - 1, 12))
    for row, (root, quality) in zip(rows, _STATES[1:], strict=True):
        intervals = QUALITIES[quality]
        weights = _TONE_WEIGHTS if len(intervals) > 2 else _FIFTH_WEIGHTS
        for interval, weight in zip(intervals, weights, strict=False):
            row[((root or 0) + interval) % 12] = weight
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def _prior(key: Key | None) -> NDArray[np.float64]:
    """Return what each chord is worth before anything is heard, `[108]`."""
    bias = np.array([_QUALITY_BIAS[quality] for _, quality in _STATES[1:]])
    if key is None:
        return bias
    relative = _relative_major(key)
    for index, (root, quality) in enumerate(_STATES[1:]):
        degree = (((root or 0) - relative) % 12, quality)
        if degree in _DIATONIC:
            bias[index] += _IN_KEY
        elif degree not in _DOMINANT_OF_MINOR:
            bias[index] += _OUT_OF_KEY
    return bias


def _scores(
    tones: NDArray[np.float64], lowest: list[int | None], key: Key | None
) -> NDArray[np.float64]:
    """Return how well each state explains each beat, `[B, 109]`."""
    norms = np.linalg.norm(tones, axis=1, keepdims=True)
    chords = tones @ _templates().T / (norms + 1e-6) + _prior(key)
    roots = np.array([root for root, _ in _STATES[1:]])
    for beat, bass in enumerate(lowest):
        chords[beat, roots == bass] += _BASS_BONUS
    none = np.where(norms > _AUDIBLE, _NO_CHORD, _SILENCE)
    return np.concatenate([none, chords], axis=1)


def _viterbi(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the best path when every change of state costs the same, `[B]`."""
    beats, states = scores.shape
    total = scores[0].copy()
    before = np.zeros((beats, states), np.int64)
    for beat in range(1, beats):
        best = int(total.argmax())
        changed = total[best] - _SWITCH_COST
        before[beat] = np.where(total >= changed, np.arange(states), best)
        total = np.maximum(total, changed) + scores[beat]
    path = np.empty(beats, np.int64)
    path[-1] = total.argmax()
    for beat in range(beats - 1, 0, -1):
        path[beat - 1] = before[beat, path[beat]]
    return path


def _chord(start: float, end: float, state: _State, lowest: int | None, score: float) -> Chord:
    root, quality = state
    plain = Chord(float(start), float(end), root, quality, root, float(score))
    if lowest is None or lowest not in plain.pitch_classes:
        return plain
    return Chord(float(start), float(end), root, quality, lowest, float(score))


# What the chords say about the rest


_NEAR_SECONDS = 0.08
_STROKE_VOTES = {"kick": 0.15, "snare": -0.15}


def find_downbeat(
    chords: Sequence[Chord],
    notes: Sequence[Note],
    strokes: Sequence[DrumHit] = (),
    beats_a_bar: int = 4,
) -> int:
    """Return which of the first bar's beats starts a bar.

    Chords change and basses and kicks fall there; snares do not.
    """
    votes = np.zeros(beats_a_bar)
    low = [(note.start_seconds, note.velocity) for note in notes if note.pitch < 55]
    starts, loudness = np.array(low).reshape(-1, 2).T
    struck = [(hit.start_seconds, _STROKE_VOTES.get(hit.kind, 0.0)) for hit in strokes]
    strikes, worth = np.array(struck).reshape(-1, 2).T
    for beat, chord in enumerate(chords):
        place = beat % beats_a_bar
        if beat and chord.name != chords[beat - 1].name:
            votes[place] += 1.0
        near = np.abs(starts - chord.start_seconds) < _NEAR_SECONDS
        hit = np.abs(strikes - chord.start_seconds) < _NEAR_SECONDS
        votes[place] += 0.5 * float(loudness[near].sum()) + float(worth[hit].sum())
    return int(votes.argmax())
