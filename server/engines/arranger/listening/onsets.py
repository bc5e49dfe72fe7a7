"""Onsets as the search for a beat wants them: what stands out, of all sound and of the bass.

Knows envelopes and sound at the analysis rate; nothing of tempi.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from server.engines.arranger.score import ANALYSIS_RATE
from server.media import rhythm, spectrum
from server.media.clip import Samples

_MEAN_SECONDS = 0.5
_BLUR_FRAMES = 2.0
_BASS_HERTZ = 180.0
_BASS_FACTOR = 8
"""The bass is heard at an eighth of the rate: its band ends far below."""

Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Onsets:
    """What starts when, all `[T]` at `rhythm.FRAME_RATE`.

    Attributes:
        sharp: what stands out of the mean of half a second, of all sound.
        whole: the same, blurred by 12 ms and with a mean of 1.
        bass: that of the low band alone; 0 throughout where it was not listened to.
    """

    sharp: Samples
    whole: Times
    bass: Times


def bass_envelope(samples: Samples) -> Samples:
    """Return how strongly something starts below 180 Hz in mono samples at the analysis rate.

    `[1 + N // 128]`, as `spectrum.onset_envelope` has it.
    """
    rate = ANALYSIS_RATE // _BASS_FACTOR
    wide = signal.butter(4, 2 * _BASS_HERTZ, fs=ANALYSIS_RATE, output="sos")
    narrow = signal.butter(4, _BASS_HERTZ, fs=rate, output="sos")
    slow = signal.sosfilt(wide, samples)[::_BASS_FACTOR]
    low = np.asarray(signal.sosfilt(narrow, slow), np.float32)
    return spectrum.onset_envelope(low, rate, hop=rhythm.HOP // _BASS_FACTOR, n_fft=256)


def onsets_of(envelope: Samples, bass: Samples | None) -> Onsets:
    """Return the onsets of two envelopes `[T]`; without a bass, none are low."""
    sharp = flattened(envelope)
    low = np.zeros_like(sharp)
    if bass is not None:
        count = min(sharp.shape[0], bass.shape[0])
        low[:count] = flattened(bass)[:count]
    return Onsets(sharp, _even(sharp), _even(low))


def flattened(envelope: Samples) -> Samples:
    """Return what stands out of the mean of half a second."""
    width = int(_MEAN_SECONDS * rhythm.FRAME_RATE)
    mean = ndimage.uniform_filter1d(envelope, width, mode="constant")
    return np.asarray(np.maximum(envelope - mean, 0.0), np.float32)


def _even(sharp: Samples) -> Times:
    blurred = ndimage.gaussian_filter1d(sharp.astype(np.float64), _BLUR_FRAMES)
    return np.asarray(blurred / max(float(blurred.mean()), 1e-9))


def at(envelope: Times | Samples, times: Times) -> Times:
    """Return the envelope at `times` in seconds, of any shape; 0 outside of the clip."""
    frames = np.arange(envelope.shape[0])
    return np.interp(times * rhythm.FRAME_RATE, frames, envelope, left=0.0, right=0.0)
