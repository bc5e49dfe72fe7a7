"""Cutting and joining samples: windows, fades, crossfades.

Positions and lengths are samples, never seconds; arrays are `[C, N]` float32. Knows nothing of
beats: the caller decides where to cut. Fade curves are read at the middle of each sample, so that
the falling one is the rising one mirrored and no sample of an overlap is lost to a zero.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from server.media.clip import Clip, Samples

Law = Literal["equal_power", "equal_gain"]
"""Equal power keeps the level of two unlike sounds, equal gain that of two nearly equal ones."""

ALIKE = 0.5
"""Correlation above which two sounds add up as amplitudes rather than as powers."""


CROSSFADE_SECONDS = 0.050
"""Off the beat 5 ms can be heard as a seam. With 30 ms the flux of an insert in other instruments
is up to 0.28 of what is usual in the song, with 50 ms up to 0.25."""


@dataclass(frozen=True, slots=True)
class Window:
    """The samples from `start` up to, not including, `end`.

    Raises:
        ValueError: `0 <= start <= end` does not hold.
    """

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"a window cannot go from {self.start} to {self.end}")

    @property
    def length(self) -> int:
        """Number of samples."""
        return self.end - self.start


def overlap_of(window: Window, sample_rate: int) -> int:
    """Return the samples of each crossfade of what is put into a window."""
    return min(round(CROSSFADE_SECONDS * sample_rate), window.length // 2)


def rising(length: int, law: Law) -> Samples:
    """Return the gains of a fade in, `[length]`; the fade out is its reverse.

    Equal power: sin² + cos² = 1. Equal gain: a straight line and its complement.
    """
    position = (np.arange(length) + 0.5) / max(length, 1)
    gains = np.sin(0.5 * np.pi * position) if law == "equal_power" else position
    return np.asarray(gains, dtype=np.float32)


def correlation(first: Samples, second: Samples) -> float:
    """Return how alike two sounds `[C, N]` are at no shift, in [-1, 1]; 0 where one is silent."""
    one, other = first.astype(np.float64).ravel(), second.astype(np.float64).ravel()
    norm = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / norm if norm > 0.0 else 0.0


def law_for(first: Samples, second: Samples) -> Law:
    """Return the law that keeps the level between two sounds `[C, N]` heard at once."""
    return "equal_gain" if correlation(first, second) > ALIKE else "equal_power"


def cut(clip: Clip, window: Window) -> Clip:
    """Return a copy of the part of a clip; what lies beyond its end is left out."""
    return clip.with_samples(clip.samples[:, window.start : window.end].copy())


def fit_length(samples: Samples, length: int) -> Samples:
    """Return exactly `length` samples `[C, length]`: cut, or followed by silence."""
    kept = samples[:, :length]
    fitted = np.pad(kept, ((0, 0), (0, length - kept.shape[1])))
    return np.ascontiguousarray(fitted, dtype=np.float32)


def crossfade(
    first: Samples, second: Samples, *, overlap: int, law: Law = "equal_power"
) -> Samples:
    """Join two sounds that share `overlap` samples, `[C, len(first) + len(second) - overlap]`.

    Raises:
        ValueError: the overlap is longer than either, or the channels differ.
    """
    if first.shape[0] != second.shape[0]:
        raise ValueError("both sides must have the same number of channels")
    if not 0 <= overlap <= min(first.shape[1], second.shape[1]):
        raise ValueError(f"an overlap of {overlap} samples does not fit")
    gains = rising(overlap, law)
    shared_from = first.shape[1] - overlap
    shared = first[:, shared_from:] * gains[::-1] + second[:, :overlap] * gains
    return np.concatenate([first[:, :shared_from], shared, second[:, overlap:]], axis=1)


def laws_for(clip: Clip, window: Window, content: Samples, *, overlap: int) -> tuple[Law, Law]:
    """Return the laws for `replace`: at the start of the window and at its end."""
    overlap = min(overlap, window.length // 2)
    old = clip.samples[:, window.start : window.end]
    last = window.length - overlap
    return (
        law_for(old[:, :overlap], content[:, :overlap]),
        law_for(content[:, last:], old[:, last:]),
    )


def replace(
    clip: Clip,
    window: Window,
    content: Samples,
    *,
    overlap: int,
    law: Law | tuple[Law, Law] = "equal_power",
) -> Clip:
    """Return the clip with `content` `[C, window.length]` in the window.

    The crossfades lie inside the window, so everything outside it is bit-identical. A side that
    touches the edge of the clip has no seam and no fade. The overlap shrinks to half the window if
    need be. `law` may be one for either end.

    Raises:
        ValueError: the window leaves the clip, or the content has another shape than the window.
    """
    if window.end > clip.length:
        raise ValueError("the window reaches beyond the clip")
    if content.shape != (clip.channels, window.length):
        raise ValueError(f"the content must have shape {(clip.channels, window.length)}")
    first, last = law if isinstance(law, tuple) else (law, law)
    overlap = min(overlap, window.length // 2)
    before, after = (overlap if window.start else 0), (overlap if window.end < clip.length else 0)
    samples = crossfade(
        clip.samples[:, : window.start + before], content, overlap=before, law=first
    )
    samples = crossfade(samples, clip.samples[:, window.end - after :], overlap=after, law=last)
    return clip.with_samples(samples)


def outside_digest(clip: Clip, windows: Sequence[Window]) -> str:
    """Return the SHA-256 of the samples outside of windows, in order, as little-endian float32."""
    digest = hashlib.sha256()
    starts = [0, *(each.end for each in windows)]
    ends = [*(each.start for each in windows), clip.length]
    for start, end in zip(starts, ends, strict=True):
        samples = clip.samples[:, start:end]
        digest.update(str(samples.shape).encode())
        digest.update((samples.astype("<f4") + np.float32(0.0)).tobytes())  # -0.0 is 0.0
    return digest.hexdigest()


def fade_edges(samples: Samples, length: int) -> Samples:
    """Return the samples with a straight fade of `length` samples at either end, `[C, N]`.

    In a clip shorter than two fades they meet in the middle.
    """
    length = min(length, samples.shape[1] // 2)
    faded = samples.copy()
    gains = rising(length, "equal_gain")
    faded[:, :length] *= gains
    faded[:, samples.shape[1] - length :] *= gains[::-1]
    return faded
