"""Whether somebody sings or speaks, and which notes are theirs.

A voice glides and trembles where most instruments stay, and its vowels change the balance of its
partials while it does. Knows pitch contours and spectra; nothing of words. Instruments must not be
taken for voices: where in doubt, there is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from server.engines.arranger.listening import contours, voice_layer
from server.engines.arranger.listening.contours import N_FFT, Contour
from server.engines.arranger.score import ANALYSIS_RATE, FRAME_RATE, Note, Singing
from server.media.clip import Samples

_PARTIALS = 12
_AUDIBLE_DB = 40.0
_CHANGE_FRAMES = 9
_SMOOTH = 5

_LEAST_SPEED, _LEAST_RANGE = 3.0, 45.0
"""Semitones a second and cents that a contour must move to be asked about."""

_LEAST_CLEAR_DB, _LARGEST_ASTRAY = 7.0, 18.0
"""How far partials stand out, and how many cents they are off at most; noise fails both."""

_LEAST_MOBILITY_DB = 3.5
"""A tone that only glides has less; vowels and consonants have more."""

_WINDOW_SECONDS = 8.0
_THRESHOLD = 0.17
_LEAST_SECONDS = 0.4
_DOUBTFUL = -2.0
_MOST_AT_ONCE = 0.3
_BREATH_SECONDS, _LARGEST_LEAP = 0.25, 700.0

_OF_VOICE_CENTS = 60.0
_OF_VOICE_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class _Manner:
    """How a contour moves and sounds.

    Attributes:
        range_cents: between its 5th and 95th percentile.
        mobility_db: change of the partials against each other within a tenth of a second.
        clear_db: level of the partials over that between them.
        astray_cents: how far partials lie from multiples of the contour.
        hertz: its middle.
    """

    range_cents: float
    mobility_db: float
    clear_db: float
    astray_cents: float
    hertz: float

    @property
    def is_clear(self) -> bool:
        """Whether it is one tone with partials, rather than a way through noise."""
        return self.clear_db > _LEAST_CLEAR_DB and self.astray_cents < _LARGEST_ASTRAY

    @property
    def odds(self) -> float:
        """Logarithm of the odds that a voice went this way.

        A logistic regression on singing and speech made by source and filter, alone and over
        music, against 196 clips of instruments: a bank's, strings and winds with vibrato, gliding
        synthesizers, bent and driven guitars. Linear, because with squares it knew the made
        voices better and the voices of people, which it had not seen, worse.
        """
        if self.mobility_db < _LEAST_MOBILITY_DB:
            return _DOUBTFUL
        return (
            0.47
            + 1.70 * float(np.log(np.clip(self.range_cents, 20.0, 480.0) / 98.0))
            + 0.21 * (min(self.mobility_db, 11.0) - 4.6)
            - 0.048 * (self.astray_cents - 10.9)
            - 0.76 * float(np.log2(self.hertz / 200.0))
        )


@dataclass(frozen=True, slots=True, eq=False)
class Sung:
    """A voice, before it is known which notes are its own."""

    confidence: float
    share: float
    layer: Samples
    contours: list[Contour]
    frames: int


def find_singing(samples: Samples, notes: Sequence[Note]) -> Singing | None:
    """Return the voice in mono samples `[N]` at the analysis rate and a peak of 0.8, or None.

    `notes` is everything that was heard.
    """
    return with_notes(find_voice(samples), notes)


def with_notes(sung: Sung | None, notes: Sequence[Note]) -> Singing | None:
    """Return a voice with those of the notes that are its own."""
    if sung is None:
        return None
    own = _notes_of(sung.contours, notes, sung.frames)
    return Singing(sung.confidence, sung.share, sung.layer, own)


def find_voice(samples: Samples) -> Sung | None:
    """Return the voice in samples as `find_singing` takes them; it needs no notes."""
    levels = contours.levels_of(samples)
    found = contours.find_contours(levels)
    moving = [_movement(contour) for contour in found]
    asked = [
        each
        for each, (speed, cents) in zip(found, moving, strict=True)
        if speed >= _LEAST_SPEED and cents >= _LEAST_RANGE
    ]
    odds = _odds(asked, levels)
    score = _score(asked, odds, levels.shape[1])
    if score < _THRESHOLD:
        return None
    sung = _sung(found, levels, [each for each, odd in zip(asked, odds, strict=True) if odd > 0.0])
    layer = voice_layer.take_out(samples, sung)
    return Sung(
        confidence=score / (score + _THRESHOLD / 2),
        share=voice_layer.share(samples, layer, sung),
        layer=layer,
        contours=sung,
        frames=levels.shape[1],
    )


# Judging


def _odds(found: list[Contour], levels: Samples) -> list[float]:
    """Return the odds of each contour; those that are unclear have none."""
    decibels = 20.0 * np.log10(levels + 1e-4)
    around = ndimage.maximum_filter1d(decibels, 3, axis=0)
    manners = (_manner(contour, decibels, around) for contour in found)
    return [manner.odds if manner.is_clear else -np.inf for manner in manners]


def _movement(contour: Contour) -> tuple[float, float]:
    """Return how fast a contour moves, in semitones a second, and over how many cents."""
    smooth = ndimage.uniform_filter1d(ndimage.median_filter(contour.cents, 3), _SMOOTH)
    speeds = np.abs(np.diff(smooth)) / np.diff(contour.frames) * (FRAME_RATE / 100.0)
    low, high = np.percentile(smooth, (5, 95))
    return float(speeds.mean()), float(high - low)


def _manner(contour: Contour, decibels: Samples, around: Samples) -> _Manner:
    places = contour.hertz[:, None] * np.arange(1, _PARTIALS + 1) * (N_FFT / ANALYSIS_RATE)
    places = places[:, (places < N_FFT // 2 - 2).all(axis=0)]
    frames = contour.frames[:, None]
    partials = around[np.round(places).astype(np.int64), frames]
    audible = partials.max(axis=0) > partials.max() - _AUDIBLE_DB
    places, partials = places[:, audible], partials[:, audible]
    half = 0.5 * contour.hertz[:, None] * (N_FFT / ANALYSIS_RATE)
    between = around[np.minimum(np.round(places + half).astype(np.int64), N_FFT // 2), frames]
    return _Manner(
        range_cents=_movement(contour)[1],
        mobility_db=_mobility(partials),
        clear_db=float((partials - between).mean()),
        astray_cents=_astray(places[:, 1:8], frames, decibels),
        hertz=float(np.median(contour.hertz)),
    )


def _mobility(partials: Samples) -> float:
    """Return by how much the balance `[n, p]` of partials in dB changes in a tenth of a second."""
    balance = ndimage.uniform_filter1d(
        partials - partials.mean(axis=1, keepdims=True), _SMOOTH, axis=0
    )
    lag = min(_CHANGE_FRAMES, balance.shape[0] - 1)
    return float(np.abs(balance[lag:] - balance[:-lag]).mean())


def _astray(places: NDArray[np.float64], frames: NDArray[np.int64], decibels: Samples) -> float:
    """Return how many cents the peaks near some places, in bins, are from them on average."""
    if not places.size:
        return float("inf")
    bins = np.round(places).astype(np.int64)
    left, middle, right = (decibels[bins + step, frames] for step in (-1, 0, 1))
    offset = 0.5 * (left - right) / np.minimum(left - 2.0 * middle + right, -1e-6)
    peaks = bins + np.clip(offset, -1.0, 1.0)
    return float(np.abs(1200.0 * np.log2(np.maximum(peaks, 1.0) / places)).mean())


def _score(found: list[Contour], odds: list[float], frames: int) -> float:
    """Return which share of the time is surely sung, of the eight seconds with most of it."""
    sure = np.zeros(frames)
    for contour, each in zip(found, odds, strict=True):
        certainty = np.tanh(each / 2.0) if each > 0.0 else 0.0
        np.add.at(sure, contour.frames, certainty)
    window = round(_WINDOW_SECONDS * FRAME_RATE)
    total = np.concatenate([[0.0], np.cumsum(sure)])
    most = float((total[window:] - total[:-window]).max()) if frames > window else float(total[-1])
    if most < _LEAST_SECONDS * FRAME_RATE:
        return 0.0
    return most / min(window, frames)


def _sung(found: list[Contour], levels: Samples, sure: list[Contour]) -> list[Contour]:
    """Return the voice's contours: the sure ones, and clear ones that come before or after them.

    A voice is one at a time and does not leap far at once.
    """
    taken = np.zeros(levels.shape[1], bool)
    for contour in sure:
        taken[contour.frames] = True
    others = [
        contour
        for contour in found
        if not any(contour is each for each in sure)
        and taken[contour.frames].mean() < _MOST_AT_ONCE
        and any(_follow(contour, each) for each in sure)
    ]
    clear = zip(others, _odds(others, levels), strict=True)
    return [*sure, *(contour for contour, odd in clear if odd > -np.inf)]


def _follow(one: Contour, other: Contour) -> bool:
    """Return whether one contour begins about where the other ends, or the other way round."""
    first, second = sorted((one, other), key=lambda each: int(each.frames[0]))
    rest = (int(second.frames[0]) - int(first.frames[-1])) / FRAME_RATE
    leap = abs(float(second.cents[0] - first.cents[-1]))
    return rest < _BREATH_SECONDS and leap < _LARGEST_LEAP


def _notes_of(sung: list[Contour], notes: Sequence[Note], frames: int) -> tuple[Note, ...]:
    """Return the notes that a voice went along with for half of their time, octaves alike."""
    pitches = np.full((len(sung), frames), np.nan)
    for row, contour in zip(pitches, sung, strict=True):
        row[contour.frames] = 12.0 * np.log2(contour.hertz / 440.0) + 69.0
    found = []
    for note in notes:
        start, end = (round(t * FRAME_RATE) for t in (note.start_seconds, note.end_seconds))
        away = np.abs(pitches[:, start : max(end, start + 1)] - note.pitch) % 12.0
        near = np.minimum(away, 12.0 - away) < _OF_VOICE_CENTS / 100.0
        if near.shape[1] and near.any(axis=0).mean() >= _OF_VOICE_SHARE:
            found.append(note)
    return tuple(found)
