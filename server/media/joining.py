"""Puts new sound into a window so that it belongs there: in time, in level, without a seam.

Three steps in this order: the new sound is shifted by a few milliseconds where that makes it run on
from the old; its level is led from that of the music before to that of the music after; it is
crossfaded inside the window. Knows clips and windows; who made the sound it does not know.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import signal

from server.media import loudness, window
from server.media.clip import Clip, Samples
from server.media.window import Law, Window, cut

ALIGNMENT_SECONDS = 0.010
"""How far the new sound is shifted at most: less than anybody hears as early or late."""

SIDE_SECONDS = 3.0
"""How much of either side of a seam is heard for its loudness."""

LARGEST_GAIN_DB = 24.0
"""More would lift the noise of something that was meant to be quiet."""

CEILING_DB = -1.0

_FAINTEST_LUFS = -60.0
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Joint:
    """How a sound was put into a window.

    Attributes:
        shift_seconds: how much earlier its material was taken than it lay; 0 where the two sides
            are not alike.
        likeness: correlation of old and new sound in the crossfades after the shift.
        gains_db: at the start and at the end of the window.
        laws: of the crossfades at the start and at the end.
    """

    shift_seconds: float
    likeness: float
    gains_db: tuple[float, float]
    laws: tuple[Law, Law]

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as plain JSON values."""
        return {
            "shift_ms": round(1000.0 * self.shift_seconds, 3),
            "likeness": round(self.likeness, 3),
            "gains_db": [round(gain, 2) for gain in self.gains_db],
            "laws": list(self.laws),
        }


def join(source: Clip, played: Clip, part: Window) -> tuple[Clip, Joint]:
    """Return the source with the window of `played` in it.

    Both have the same length, rate and channels. Everything outside the window is bit-identical.
    `played` may hold anything around the window; some milliseconds of it may be used.
    """
    overlap = window.overlap_of(part, source.sample_rate)
    shift, likeness = _shift(source, played, part, overlap)
    content = _taken(played, part, shift)
    content, gains = _levelled(source, content, part)
    content = loudness.limit(content, ceiling_db=CEILING_DB)
    laws = window.laws_for(source, part, content.samples, overlap=overlap)
    joined = window.replace(source, part, content.samples, overlap=overlap, law=laws)
    return joined, Joint(shift / source.sample_rate, likeness, gains, laws)


# In time


def _shift(source: Clip, played: Clip, part: Window, overlap: int) -> tuple[int, float]:
    """Return the shift in samples under which both crossfades are most alike, and how much so."""
    reach = round(ALIGNMENT_SECONDS * source.sample_rate)
    zones = _zones(source, part, overlap)
    if not zones:
        return 0, 0.0
    scores = np.sum([likenesses(source, played, zone, reach) for zone in zones], axis=0)
    best = int(np.argmax(scores)) - reach
    likeness = float(scores.max()) / len(zones)
    if likeness <= window.ALIKE:
        return 0, float(scores[reach]) / len(zones)
    return best, likeness


def _zones(source: Clip, part: Window, overlap: int) -> list[Window]:
    zones = []
    if part.start > 0:
        zones.append(Window(part.start, part.start + overlap))
    if part.end < source.length:
        zones.append(Window(part.end - overlap, part.end))
    return [zone for zone in zones if zone.length]


def likenesses(source: Clip, played: Clip, zone: Window, reach: int) -> Samples:
    """Return the correlation of old and new sound in a zone for every shift, `[2 * reach + 1]`.

    The first is for material taken `reach` samples before the zone. `played` may be longer.
    """
    old = source.samples[:, zone.start : zone.end].astype(np.float64)
    new = np.pad(played.samples.astype(np.float64), ((0, 0), (reach, reach)))
    new = new[:, zone.start : zone.end + 2 * reach]
    products = sum(
        signal.correlate(there, here, mode="valid", method="fft")
        for here, there in zip(old, new, strict=True)
    )
    energy = np.concatenate([[0.0], np.cumsum(np.square(new).sum(axis=0))])
    energies = energy[zone.length :] - energy[: -zone.length]
    norm = np.sqrt(np.maximum(energies, 0.0) * float(np.square(old).sum()))
    found = np.divide(products, norm, out=np.zeros_like(norm), where=norm > 1e-9)
    return np.asarray(found, dtype=np.float32)


def _taken(played: Clip, part: Window, shift: int) -> Clip:
    reach = abs(shift)
    padded = np.pad(played.samples, ((0, 0), (reach, reach)))
    start = part.start + shift + reach
    return played.with_samples(np.ascontiguousarray(padded[:, start : start + part.length]))


# In level


def _levelled(source: Clip, content: Clip, part: Window) -> tuple[Clip, tuple[float, float]]:
    """Return the content with gains that lead it from the level before to the level after."""
    wanted = _sides(source, part)
    gains = (0.0, 0.0)
    levelled = content
    for _ in range(_ROUNDS):
        found = _ends(levelled)
        gains = _corrected(gains, wanted, found)
        levelled = content.with_samples(content.samples * _ramp(gains, content.length))
    return levelled, gains


def _sides(source: Clip, part: Window) -> tuple[float, float]:
    """Return the loudness before and after a window; `-inf` where there is nothing."""
    reach = round(SIDE_SECONDS * source.sample_rate)
    before = Window(max(0, part.start - reach), part.start)
    after = Window(part.end, min(source.length, part.end + reach))
    first, last = (loudness.integrated_loudness(cut(source, side)) for side in (before, after))
    return first, last


def _ends(content: Clip) -> tuple[float, float]:
    reach = min(round(SIDE_SECONDS * content.sample_rate), -(-content.length // 2))
    ends = Window(0, reach), Window(content.length - reach, content.length)
    first, last = (loudness.integrated_loudness(cut(content, end)) for end in ends)
    return first, last


def _corrected(
    gains: tuple[float, float], wanted: tuple[float, float], found: tuple[float, float]
) -> tuple[float, float]:
    missing = [
        want - have if min(want, have) > _FAINTEST_LUFS else None
        for want, have in zip(wanted, found, strict=True)
    ]
    if missing[0] is None and missing[1] is None:
        return gains
    # silence on one side asks for nothing: the other side decides for both
    first = missing[0] if missing[0] is not None else missing[1]
    last = missing[1] if missing[1] is not None else missing[0]
    return _bounded(gains[0] + (first or 0.0)), _bounded(gains[1] + (last or 0.0))


def _bounded(gain_db: float) -> float:
    return math.copysign(min(abs(gain_db), LARGEST_GAIN_DB), gain_db)


def _ramp(gains_db: tuple[float, float], length: int) -> Samples:
    ramp = np.linspace(*gains_db, num=max(length, 1))[:length]
    return np.asarray(10.0 ** (ramp / 20.0), dtype=np.float32)
