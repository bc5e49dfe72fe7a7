"""A source as loud as a result: of two sounds the louder one is preferred, whatever it plays."""

from dataclasses import dataclass

import numpy as np

from server.media import loudness
from server.media.clip import Clip

CEILING_DB = -1.0
"""True peak that no copy exceeds, so that it survives lossy formats."""


@dataclass(frozen=True, slots=True, eq=False)
class Levelled:
    """A copy of a source.

    Attributes:
        clip: it, with one gain all over.
        gain_db: that gain.
        loudness_lufs: of the copy; None of silence.
        true_peak_db: of the copy; None of silence.
        missing_db: what it would have to be louder, had it not to stay below the ceiling.
    """

    clip: Clip
    gain_db: float
    loudness_lufs: float | None
    true_peak_db: float | None
    missing_db: float


def levelled(source: Clip, result: Clip) -> Levelled:
    """Return the source in the result's channels, as loud as it or as near as peaks allow."""
    source = source.in_channels(result.channels)
    own, target = (loudness.integrated_loudness(clip) for clip in (source, result))
    peak_db = loudness.true_peak_db(source)
    if loudness.SILENCE in (own, target, peak_db):
        is_silent = loudness.SILENCE in (own, peak_db)
        return Levelled(
            source, 0.0, None if is_silent else own, None if is_silent else peak_db, 0.0
        )
    wanted_db = target - own
    gain_db = min(wanted_db, CEILING_DB - peak_db)
    samples = source.samples * np.float32(10.0 ** (gain_db / 20.0))
    return Levelled(
        source.with_samples(samples), gain_db, own + gain_db, peak_db + gain_db, wanted_db - gain_db
    )
