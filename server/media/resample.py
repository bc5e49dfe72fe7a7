"""Change of sample rate, by soxr's "high quality" recipe.

Knows one rule about length: a clip of `N` samples at rate `a` has `round(N * b / a)` at rate `b`,
halves up, and at least one sample where there was one.
"""

import soxr

from server.media import window
from server.media.clip import Clip


def resampled_length(length: int, old_rate: int, new_rate: int) -> int:
    """Return how many samples `length` samples at the old rate become; exact, in integers."""
    rounded = (2 * length * new_rate + old_rate) // (2 * old_rate)
    return max(rounded, min(length, 1))


def resample(clip: Clip, sample_rate: int) -> Clip:
    """Return the clip at another rate; the very same clip when the rate is already that."""
    if sample_rate == clip.sample_rate:
        return clip
    length = resampled_length(clip.length, clip.sample_rate, sample_rate)
    converted = soxr.resample(clip.samples.T, clip.sample_rate, sample_rate, quality="HQ").T
    return Clip(window.fit_length(converted, length), sample_rate)
