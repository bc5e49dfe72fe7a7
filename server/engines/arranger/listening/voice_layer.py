"""Taking a voice out of a sound along its pitch: as well as simple means allow.

Knows contours and spectra. Its partials are masked where they are, and less of what is around them;
what stands for long before and after is an instrument's.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from server.engines.arranger.listening.contours import Contour
from server.engines.arranger.score import ANALYSIS_RATE, FRAME_RATE
from server.media import spectrum
from server.media.clip import Samples

_N_FFT, _HOP = 2048, 256
_HIGHEST_HERTZ = 6000.0
_WIDTH_HERTZ, _WIDTH_SHARE = 22.0, 0.018
_STANDS_SECONDS = 0.7
_LOWEST_HERTZ = 130.0
_ABOUT_SECONDS, _ABOUT_SHARE = 0.2, np.float32(0.6)
"""Around a voice's pitch this much of all that does not stand is the voice's: its consonants, and
partials that the mask misses. By this speech 4 dB over a band came out 2 dB clearer."""

_NEAR_SECONDS = 0.05
_LEAST_HELD = 0.4
_LEAST_REST_SECONDS = 0.25
_REST_FRAMES = 9


def take_out(samples: Samples, sung: list[Contour]) -> Samples:
    """Return the voice's layer `[N]` of mono samples; the samples less the layer are the rest."""
    sound = spectrum.stft(samples, n_fft=_N_FFT, hop=_HOP)
    mask = _partials(sung, sound.shape[1])
    near = _around(sung, sound.shape[1], _ABOUT_SECONDS).astype(np.float32)
    first = round(_LOWEST_HERTZ * _N_FFT / ANALYSIS_RATE)
    mask[first:] = np.maximum(mask[first:], _ABOUT_SHARE * near)
    mask *= _moving(np.abs(sound))
    return spectrum.istft(sound * mask, hop=_HOP, length=samples.shape[0])


def _partials(sung: list[Contour], frames: int) -> Samples:
    """Return which bins the partials of any contour lie in, `[1025, T]` from 0 to 1."""
    mask = np.zeros((_N_FFT // 2 + 1, frames), np.float32)
    hertz = np.arange(_N_FFT // 2 + 1)[:, None] * (ANALYSIS_RATE / _N_FFT)
    for contour in sung:
        kept = contour.frames < frames
        ladder = contour.hertz[kept]
        away = np.abs(hertz - ladder * np.maximum(np.round(hertz / ladder), 1.0))
        near = np.clip(2.0 - away / (_WIDTH_HERTZ + _WIDTH_SHARE * ladder), 0.0, 1.0)
        near[hertz[:, 0] > _HIGHEST_HERTZ] = 0.0
        places = contour.frames[kept]
        mask[:, places] = np.maximum(mask[:, places], near.astype(np.float32))
    return mask


def _moving(levels: Samples) -> Samples:
    """Return the share of each bin that does not stand there for long; what stands is played."""
    top = round(_HIGHEST_HERTZ * _N_FFT / ANALYSIS_RATE)
    width = 2 * round(_STANDS_SECONDS * FRAME_RATE / 4) + 1
    # Every other frame will do for a median over sixty of them.
    coarse = levels[:top, ::2]
    stands = np.repeat(ndimage.median_filter(coarse, (1, width)), 2, axis=1)[:, : levels.shape[1]]
    share = np.ones_like(levels)
    share[:top] -= np.square(np.minimum(stands / (levels[:top] + 1e-9), 1.0))
    return share


def _around(sung: list[Contour], frames: int, seconds: float) -> NDArray[np.float64]:
    """Return 1 in frames of a contour and so many seconds before and after, else 0, `[T]`."""
    near = np.zeros(frames)
    for contour in sung:
        start = int(contour.frames[0] - seconds * FRAME_RATE)
        near[max(0, start) : int(contour.frames[-1] + seconds * FRAME_RATE) + 1] = 1.0
    return near


def share(samples: Samples, layer: Samples, sung: list[Contour]) -> float:
    """Return how much of a sound is the voice's, 0 to 1.

    What else there is goes on where the voice rests: its level there, as soft as it is in a quarter
    of that time, is told from the level during the voice. Where the layer holds less than two
    fifths of what sounds meanwhile, it is that share.
    """
    frames = samples.shape[0] // _HOP
    near = _around(sung, frames, _NEAR_SECONDS) > 0
    power, taken = (
        np.square(each[: frames * _HOP], dtype=np.float64).reshape(frames, _HOP).mean(axis=1)
        for each in (samples, layer)
    )
    during = float(power[near].mean()) if near.any() else 0.0
    if during <= 0.0:
        return 0.0
    held = min(1.0, float(taken[near].mean()) / during)
    if held < _LEAST_HELD or (~near).sum() < _LEAST_REST_SECONDS * FRAME_RATE:
        return held
    smooth = ndimage.uniform_filter1d(power, _REST_FRAMES)
    return 1.0 - min(1.0, float(np.percentile(smooth[~near], 25)) / during)
