"""Going on without a beat or without pitches: the last seconds themselves, in another order.

Pieces of the clip's end are laid after each other with long crossfades. Where a piece begins is
drawn from the seed, among moments as loud as the end; a few milliseconds more or less are chosen so
that the waves meet in phase. Nothing is added that was not heard.
"""

from dataclasses import dataclass

import numpy as np
from scipy import signal

from server.engines.protocols import OnStep
from server.media import window
from server.media.clip import Clip, Samples

MATERIAL_SECONDS = 6.0
"""How much of the end the pieces are taken from."""

_PIECE_SECONDS = (0.9, 2.2)
_OVERLAP_SECONDS = 0.3
_SEARCH_SECONDS = 0.025
_LEVEL_SECONDS = 1.0
_DRAWS = 5
_SHORTEST_SAMPLES = 64

Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class _Lengths:
    """In samples: shortest and longest piece, crossfade, search around a place."""

    shortest: int
    longest: int
    overlap: int
    search: int


def spun(clip: Clip, length: int, *, seed: int, on_step: OnStep) -> Samples | None:
    """Return `length` samples to follow the clip, led in by a crossfade before them.

    The result is `[C, lead + length]` where `lead` is `lead_in(clip)`: its first samples belong
    over the clip's last ones. None where the clip is too short or silent.
    """
    material = clip.samples[:, -round(MATERIAL_SECONDS * clip.sample_rate) :]
    sizes = _lengths(clip)
    if sizes.overlap < _SHORTEST_SAMPLES or not material.any():
        return None
    random = np.random.default_rng([seed, 7])
    level = _level(material[:, -round(_LEVEL_SECONDS * clip.sample_rate) :])
    wanted = sizes.overlap + length
    result = _next(material, material[:, -sizes.overlap :], sizes, level, random)
    while result.shape[1] < wanted:
        on_step(min(result.shape[1], wanted), wanted)
        before = result[:, -sizes.overlap :]
        piece = _next(material, before, sizes, level, random)
        law = window.law_for(before, piece[:, : sizes.overlap])
        result = window.crossfade(result, piece, overlap=sizes.overlap, law=law)
    on_step(wanted, wanted)
    return np.ascontiguousarray(result[:, :wanted], dtype=np.float32)


def lead_in(clip: Clip) -> int:
    """Return how many samples of what is spun lie over the end of the clip."""
    return _lengths(clip).overlap


def _lengths(clip: Clip) -> _Lengths:
    material = min(clip.length, round(MATERIAL_SECONDS * clip.sample_rate))
    overlap = min(round(_OVERLAP_SECONDS * clip.sample_rate), material // 4)
    shortest, longest = (round(each * clip.sample_rate) for each in _PIECE_SECONDS)
    search = min(round(_SEARCH_SECONDS * clip.sample_rate), overlap // 2)
    most = max(material - 2 * search, 2 * overlap)
    return _Lengths(min(shortest, max(most // 2, 2 * overlap)), min(longest, most), overlap, search)


def _next(
    material: Samples, before: Samples, sizes: _Lengths, level: float, random: Random
) -> Samples:
    """Return a piece whose beginning fits over `before`, at the level of the clip's end."""
    length = int(random.integers(sizes.shortest, max(sizes.longest, sizes.shortest + 1)))
    length = min(length, material.shape[1])
    last = material.shape[1] - length
    starts = [int(random.integers(last + 1)) for _ in range(_DRAWS)]
    found = [material[:, start : start + length] for start in starts]
    distances = [abs(np.log((_level(each) + 1e-9) / (level + 1e-9))) for each in found]
    start = _in_phase(material, before, starts[int(np.argmin(distances))], sizes.search)
    piece = material[:, start : start + length]
    gain = np.clip(level / max(_level(piece), 1e-9), 0.5, 2.0)
    return np.asarray(np.float32(gain) * piece, np.float32)


def _in_phase(material: Samples, before: Samples, start: int, search: int) -> int:
    """Return the place near `start` whose wave is most like `before`."""
    first = max(0, start - search)
    last = min(start + search, material.shape[1] - before.shape[1])
    if last <= first:
        return int(max(0, min(start, material.shape[1] - before.shape[1])))
    stretch = material[:, first : last + before.shape[1]].mean(axis=0)
    likeness = signal.correlate(stretch, before.mean(axis=0), mode="valid", method="fft")
    return first + int(likeness.argmax())


def _level(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if samples.size else 0.0
