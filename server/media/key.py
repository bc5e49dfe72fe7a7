"""Keys: their names, read and written, and which one a distribution of pitch classes fits.

Krumhansl, "Cognitive foundations of musical pitch" (1990), chapters 2 and 4.
"""

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Mode = Literal["major", "minor"]

PITCH_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")

_PROFILES: dict[Mode, tuple[float, ...]] = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}
"""How well each pitch class fits a key, as listeners rated it; from the tonic upwards."""


@dataclass(frozen=True, slots=True)
class Key:
    """Tonic as 0–11 and mode."""

    tonic: int
    mode: Mode

    @property
    def name(self) -> str:
        """Return, for example, `"A minor"`."""
        return f"{PITCH_NAMES[self.tonic]} {self.mode}"

    @property
    def short_name(self) -> str:
        """Return what fits into a tag, for example `"Am"`."""
        return PITCH_NAMES[self.tonic] + ("m" if self.mode == "minor" else "")

    @property
    def relative(self) -> "Key":
        """The key of the other mode with the same notes."""
        if self.mode == "major":
            return Key((self.tonic + 9) % 12, "minor")
        return Key((self.tonic + 3) % 12, "major")


_NATURALS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"": 0, "#": 1, "♯": 1, "sharp": 1, "b": -1, "♭": -1, "flat": -1}
_WRITTEN = re.compile(
    r"(?P<letter>[a-g])[ -]?(?P<accidental>#|♯|sharp|b|♭|flat)?"
    r"[ -]?(?P<mode>m|mi|min|minor|ma|maj|major)?",
    re.IGNORECASE,
)

READABLE = "write it as A minor, Am, F#m, Bb major or C"
"""What `named` understands, for a refusal."""


def named(text: str) -> Key:
    """Return the key that a musician writes as `A minor`, `F#m`, `Bb`; case does not count.

    Raises:
        ValueError: it is no key, or `AM`, which is A major to some and A minor to others.
    """
    found = _WRITTEN.fullmatch(text.strip())
    if found is None or found["mode"] == "M":
        raise ValueError(READABLE)
    accidental = _ACCIDENTALS[(found["accidental"] or "").lower()]
    mode = (found["mode"] or "").lower()
    tonic = (_NATURALS[found["letter"].upper()] + accidental) % 12
    return Key(tonic, "minor" if mode in ("m", "mi", "min", "minor") else "major")


_KEYS = tuple(Key(tonic, mode) for mode in _PROFILES for tonic in range(12))


def likeliest_key(weights: NDArray[np.float64]) -> Key | None:
    """Return the key whose profile correlates best with `weights` `[12]`; None where all are 0.

    Relative keys share their notes and are easily exchanged.
    """
    if not weights.any():
        return None
    return _KEYS[int(np.argmax([fit(key, weights) for key in _KEYS]))]


def fit(key: Key, weights: NDArray[np.float64]) -> float:
    """Return how well a distribution of pitch classes `[12]` fits a key, in [-1, 1]."""
    return _correlation(np.roll(_PROFILES[key.mode], key.tonic), weights)


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    one, other = one - one.mean(), other - other.mean()
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other) + 1e-12))
