"""Which tempo: those at which onsets repeat, weighed by what falls on their beats.

A Fourier comb says what repeats; of a tempo, its double and its two thirds, all do. What tells them
apart is where in the beat things start: basses on it, few things off it, and a pace that listeners
tap. The weights are of a ranking fitted to 300 random pieces; see `choose`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import fft, signal

from server.engines.arranger.listening.onsets import Onsets, Times, at
from server.media import rhythm
from server.media.clip import Samples

SLOWEST, FASTEST = 40.0, 220.0
"""Beats per minute that are looked for."""

_COMB = ((0.25, 0.25), (0.5, 0.35), (1.0, 1.0), (2.0, 0.9), (3.0, 0.15), (4.0, 0.6))
"""Multiples of the beat's frequency and what they count: bars below, subdivisions above."""

SEARCHED = np.exp(np.linspace(np.log(SLOWEST), np.log(FASTEST), 1500))
"""Tempi that are tried, evenly spaced to the ear."""
_RELATED = (1.0, 2.0, 0.5, 1.5, 2 / 3, 4 / 3, 0.75, 3.0, 1 / 3)
_OCTAVES = (1.0, 2.0, 0.5)
_STRONGEST = 4
_TAPPED_BPM, _TAPPED_OCTAVES = 110.0, 0.9
_SAME = 0.02
_REACH = np.exp(np.linspace(-0.015, 0.015, 61))
_PARTS = 48
"""Places of a beat that are looked at."""


@dataclass(frozen=True, slots=True)
class Tempo:
    """A pace of beats; each in `division` parts, and how well that explains the onsets."""

    bpm: float
    division: int
    score: float


@dataclass(frozen=True, eq=False)
class Comb:
    """How much of an envelope repeats at a tempo and its simple multiples."""

    sharp: Samples

    @cached_property
    def _levels(self) -> Times:
        count = self.sharp.shape[0]
        centred = (self.sharp - self.sharp.mean()) * signal.get_window("hann", count) ** 0.5
        bins = fft.next_fast_len(max(count, 1024) * 16, real=True)
        return np.asarray(np.abs(fft.rfft(centred, bins, workers=1)), np.float64)

    @cached_property
    def mean(self) -> float:
        """The mean over every tempo."""
        return max(float(self.at(SEARCHED).mean()), 1e-9)

    def at(self, tempi: Times) -> Times:
        """Return the score of each tempo."""
        bins = 2.0 * (self._levels.shape[0] - 1) / rhythm.FRAME_RATE
        places = np.arange(self._levels.shape[0])
        scores = np.zeros(tempi.shape)
        for ratio, share in _COMB:
            scores += share * np.interp(tempi / 60.0 * ratio * bins, places, self._levels)
        return scores


def choose(onsets: Onsets, seconds: float) -> Tempo | None:
    """Return the tempo that explains the onsets best; None in less than a second of them."""
    if onsets.sharp.shape[0] < rhythm.FRAME_RATE or not onsets.sharp.any():
        return None
    comb = Comb(onsets.sharp)
    found = [tempo for bpm in _candidates(comb) for tempo in _weighed(onsets, comb, bpm, seconds)]
    return max(found, key=lambda tempo: tempo.score)


def near(onsets: Onsets, bpm: float, seconds: float, *, tolerance: float) -> Tempo:
    """Return the tempo within `tolerance` (a share) of one that is known, weighed as any other."""
    comb = Comb(onsets.sharp)
    reach = bpm * np.linspace(1 - tolerance, 1 + tolerance, 161)
    best = float(reach[int(comb.at(reach).argmax())])
    return max(_weighed(onsets, comb, best, seconds), key=lambda tempo: tempo.score)


def _candidates(comb: Comb) -> list[float]:
    """Return the tempi that repeat most, and those related to them as beats and bars are."""
    octaves = np.log2(SEARCHED / _TAPPED_BPM) / _TAPPED_OCTAVES
    scores = comb.at(SEARCHED) * np.exp(-0.5 * np.square(octaves))
    peaks, _ = signal.find_peaks(scores)
    strongest = sorted(peaks.tolist(), key=lambda peak: -scores[peak])[:_STRONGEST]
    found: list[float] = []
    for rank, peak in enumerate(strongest or [int(scores.argmax())]):
        for ratio in _OCTAVES if rank else _RELATED:
            bpm = float(SEARCHED[peak]) * ratio
            is_new = all(abs(bpm / other - 1.0) > _SAME for other in found)
            if SLOWEST <= bpm <= FASTEST and is_new:
                found.append(bpm)
    return [float(bpm * _REACH[int(comb.at(bpm * _REACH).argmax())]) for bpm in found]


def _weighed(onsets: Onsets, comb: Comb, bpm: float, seconds: float) -> list[Tempo]:
    """Return the tempo with beats of two parts and of three."""
    clarity = float(comb.at(np.array([bpm]))[0]) / comb.mean
    folds = _Folds.of(onsets, 60.0 / bpm, seconds)
    octaves = float(np.log2(bpm / _TAPPED_BPM))
    shared = 1.5 * np.log(clarity + 1e-3) - 2.9 * octaves**2 + 1.0 * octaves
    three = shared - 1.4 - 1.5 * octaves + folds.score((16, 32), 24)
    two = shared + folds.score((24,), (16, 32))
    return [Tempo(bpm, 2, float(two)), Tempo(bpm, 3, float(three))]


@dataclass(frozen=True, slots=True, eq=False)
class _Folds:
    """Mean onsets at each place of two beats, `[2 * _PARTS]`, of all sound and of the bass."""

    whole: Times
    bass: Times

    @classmethod
    def of(cls, onsets: Onsets, period: float, seconds: float) -> "_Folds":
        pairs = max(1, int(seconds / (2 * period)))
        places = np.arange(pairs)[:, None] + np.arange(2 * _PARTS) / (2 * _PARTS)
        whole, bass = (at(each, 2 * period * places) for each in (onsets.whole, onsets.bass))
        return cls(whole.mean(axis=0), bass.mean(axis=0))

    def score(self, off: tuple[int, ...], wrong: int | tuple[int, ...]) -> float:
        """Return how well beats explain what is on them, off them, and where nothing should be."""
        whole, bass = (each.reshape(2, _PARTS).mean(axis=0) for each in (self.whole, self.bass))
        beside = sum(np.roll(whole, -place) for place in off) / len(off)
        phase = int((whole + 0.5 * beside + 0.5 * bass).argmax())
        amiss = whole[(phase + np.array(wrong)) % _PARTS].mean()
        first, second = self.bass[phase], self.bass[phase + _PARTS]
        return float(
            2.2 * np.log(whole[phase] + 0.05)
            + 0.5 * np.log(beside[phase] + 0.3)
            - 0.5 * np.log(amiss + 0.3)
            + 0.2 * bass[phase]
            + 2.4 * abs(first - second) / (first + second + 0.5)
        )
