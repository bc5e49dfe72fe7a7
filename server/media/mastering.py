"""The last steps of every engine: the source's loudness, rate and length, and no overs."""

from server.media import loudness, resample, window
from server.media.clip import Clip

_FADE_SECONDS = 0.004
_CEILING_DB = -1.0


def match(clip: Clip, source: Clip) -> Clip:
    """Return the clip at the source's loudness."""
    return loudness.match_loudness(clip, loudness.integrated_loudness(source))


def finished(clip: Clip, *, like: Clip) -> Clip:
    """Return the clip at the rate and of exactly the length of another, faded and limited."""
    back = resample.resample(clip, like.sample_rate)
    samples = window.fit_length(back.samples, like.length)
    faded = window.fade_edges(samples, round(_FADE_SECONDS * like.sample_rate))
    return loudness.limit(Clip(faded, like.sample_rate), ceiling_db=_CEILING_DB)
