"""Drum strokes: sudden energy in the percussive layer, low for kicks and noise for the others.

Knows sound at the analysis rate; nothing of patterns or bars. Noise is what the lower
bins of a band hold: partials of other instruments are in few of them, so that their attacks hardly
count. Toms become kicks or snares and every cymbal a hat.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from server.engines.arranger.score import ANALYSIS_RATE, DrumHit, DrumKind
from server.media import spectrum
from server.media.clip import Samples

_N_FFT = 1024
_HOP = 128
_LAG = 3
_DEAD_SECONDS = 0.07
_KICK_HERTZ, _BODY_HERTZ, _HISS_HERTZ = (0.0, 150.0), (3000.0, 5500.0), (5500.0, 11100.0)
_KICK_SHARE, _SNARE_SHARE, _HAT_SHARE = 0.25, 0.4, 0.12
"""Share of the band's strongest rise that makes a stroke."""

_SNARE_BODY = 0.42
"""Noise below 5.5 kHz against that above: white noise has 0.6, cymbals have less than 0.3."""

_QUIETER_BINS = 30.0
"""Percentile of a band's bins that is taken for its noise; partials are above it."""

_STRUCK_SHARE = 0.12
_BURST_HERTZ = (5500.0, 10300.0)
_FLATNESS, _LEAST_FLATNESS = 0.47, 0.43
"""Level of those bins against the mean of all in what a burst adds: noise has 0.6. Of a band's
bursts half have 0.5 and three quarters 0.45, of a guitar's 0.43 and 0.41."""

_AUDIBLE = 0.003
_BURSTS_A_SECOND = 1.0
_BEFORE_FRAMES = 6


def find_strokes(percussive: Samples) -> tuple[DrumHit, ...]:
    """Return the strokes in a percussive layer `[N]`, by start."""
    levels = spectrum.magnitudes(percussive, n_fft=_N_FFT, hop=_HOP)
    kick = _rise(np.sqrt(np.square(_band(levels, _KICK_HERTZ)).sum(axis=0)))
    body, hiss = (_rise(_noise(_band(levels, hertz))) for hertz in (_BODY_HERTZ, _HISS_HERTZ))
    snares = [
        hit
        for hit in _strokes(body, "snare", _SNARE_SHARE)
        if _near(body, hit) > _SNARE_BODY * _near(hiss, hit)
    ]
    hits = [*_strokes(kick, "kick", _KICK_SHARE), *snares, *_strokes(hiss, "hat", _HAT_SHARE)]
    return tuple(sorted(hits, key=lambda hit: (hit.start_seconds, hit.kind)))


def are_heard(percussive: Samples, harmonic: Samples) -> bool:
    """Return whether there are drums in a sound with these layers `[N]`.

    Either much of it strikes, or there are bursts of noise at the top again and again, however
    soft. A plucked string begins with noise as well, but keeps to its partials even there.
    """
    struck, sustained = (
        float(np.square(layer).sum(dtype=np.float64)) for layer in (percussive, harmonic)
    )
    if struck > _STRUCK_SHARE * (struck + sustained + 1e-9):
        return True
    top = _band(spectrum.magnitudes(percussive, n_fft=_N_FFT, hop=_HOP), _BURST_HERTZ)
    bursts = _peaks(_rise(_noise(top)), _HAT_SHARE)
    if bursts.size <= _BURSTS_A_SECOND * percussive.shape[0] / ANALYSIS_RATE:
        return False
    loudness = float(np.sqrt((struck + sustained) / percussive.shape[0]))
    return _are_noise(top, bursts, loudness)


def _are_noise(top: Samples, bursts: NDArray[np.int64], loudness: float) -> bool:
    """Return whether what bursts add is noise, and not too soft beside the whole sound."""
    after = np.minimum(bursts + 1, top.shape[1] - 1)
    added = np.maximum(top[:, after] - top[:, np.maximum(bursts - _BEFORE_FRAMES, 0)], 0.0)
    flatness = np.percentile(added, _QUIETER_BINS, axis=0) / (
        np.sqrt(np.square(added).mean(axis=0)) + 1e-9
    )
    low, middle = np.percentile(flatness, (25, 50))
    level = float(np.median(_noise(top[:, after]))) / (_N_FFT / 2)
    return bool(middle > _FLATNESS and low > _LEAST_FLATNESS and level > _AUDIBLE * loudness)


def _band(levels: Samples, hertz: tuple[float, float]) -> Samples:
    low, high = (round(each * _N_FFT / ANALYSIS_RATE) for each in hertz)
    return levels[low:high]


def _noise(band: Samples) -> Samples:
    """Return the level of a band's noise, whatever stands out of it, `[T]`."""
    level = np.percentile(band, _QUIETER_BINS, axis=0) * np.sqrt(band.shape[0])
    return np.asarray(level, np.float32)


def _rise(level: Samples) -> Samples:
    rise = np.zeros_like(level)
    rise[_LAG:] = np.maximum(0.0, level[_LAG:] - level[:-_LAG])
    return rise


def _near(rise: Samples, hit: DrumHit) -> float:
    frame = round(hit.start_seconds * ANALYSIS_RATE / _HOP)
    return float(rise[max(0, frame - _LAG) : frame + _LAG + 1].max(initial=0.0))


def _peaks(rise: Samples, share: float) -> NDArray[np.int64]:
    strongest = float(np.percentile(rise, 99.5))
    if strongest <= 0.0:
        return np.zeros(0, np.int64)
    distance = int(_DEAD_SECONDS * ANALYSIS_RATE / _HOP)
    return np.asarray(signal.find_peaks(rise, height=share * strongest, distance=distance)[0])


def _strokes(rise: Samples, kind: DrumKind, share: float) -> list[DrumHit]:
    strongest = max(float(np.percentile(rise, 99.5)), 1e-12)
    return [
        DrumHit(frame * _HOP / ANALYSIS_RATE, kind, min(1.0, float(rise[frame]) / strongest))
        for frame in _peaks(rise, share).tolist()
    ]
