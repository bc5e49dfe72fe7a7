"""Levels of a rendered arrangement against those of what it stands in for.

Works on stereo clips of one length and rate, sample-aligned. Knows nothing of notes or instruments.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from server.engines.arranger.interpolation import between
from server.media.clip import Clip
from server.media.loudness import Gain

_FOLLOWED_SECONDS = 0.6
_LEVEL_FRAME_SECONDS = 0.02
_FOLLOWED_SHARE = 0.5
_LEAST_DB, _MOST_DB = -9.0, 6.0
_SILENT = 1e-6


def strength_of(flowstep: float) -> float:
    """Return how much changes at a flowstep: 1 at 0.05 and below, 0 (identity) at 1.

    The curve spreads the sliders' range: 0.05 is 1.0, 0.12 is 0.79, 0.15 is 0.74, 0.3 is 0.55.
    """
    position = min(max((flowstep - 0.05) / 0.95, 0.0), 1.0)
    return 1.0 - math.pow(position, 0.6)


def without_offset(clip: Clip) -> Clip:
    """Return the clip with the mean of each channel taken off."""
    mean = clip.samples.mean(axis=1, keepdims=True, dtype=np.float64)
    return clip.with_samples(clip.samples - mean.astype(np.float32))


def follow(clip: Clip, source: Clip) -> Clip:
    """Return the clip with half (in decibels) of the source's slow level curve laid over its own.

    The curves are smoothed over 0.6 s; a gain stays between -9 and +6 dB.
    """
    return following(clip, source)(clip)


def following(clip: Clip, source: Clip) -> Gain:
    """Return the gain of `follow`, for what the clip is made of."""
    own, wanted = _level_curve(clip), _level_curve(source)
    share = (wanted / own) ** _FOLLOWED_SHARE
    gains = np.clip(share, 10 ** (_LEAST_DB / 20), 10 ** (_MOST_DB / 20))
    frame = round(_LEVEL_FRAME_SECONDS * clip.sample_rate)
    edges = np.concatenate([gains[:1], (gains[:-1] + gains[1:]) / 2, gains[-1:]])
    curve = between(edges.astype(np.float32), frame, clip.length)
    return lambda part: part.with_samples(part.samples * curve)


def _level_curve(clip: Clip) -> NDArray[np.float64]:
    """Return the smoothed level of frames of 20 ms relative to the clip's own, `[frames]`."""
    frame = round(_LEVEL_FRAME_SECONDS * clip.sample_rate)
    starts = np.arange(0, clip.length, frame)
    sizes = np.diff(np.append(starts, clip.length))
    energy = np.einsum("cn,cn->n", clip.samples, clip.samples) / np.float32(clip.channels)
    frames = np.add.reduceat(energy, starts, dtype=np.float64) / sizes
    weights = signal.windows.hann(round(_FOLLOWED_SECONDS / _LEVEL_FRAME_SECONDS) + 2)[1:-1]
    smooth = np.convolve(frames, weights / weights.sum(), mode="full")
    margin = (weights.size - 1) // 2
    level = np.sqrt(np.maximum(smooth[margin : margin + frames.size], 0.0))
    return np.asarray(
        (level + _SILENT) / (math.sqrt(float(frames @ sizes) / clip.length) + _SILENT)
    )
