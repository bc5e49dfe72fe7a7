"""The song of `demo-ad`: verse, chorus, verse, composed here and played by sums of sines."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from server.media.clip import Clip

BPM = 112.0
RATE = 44100
BARS = (6, 8, 6)
"""Of verse, chorus and verse."""

_BEAT = 60.0 / BPM
_VERSE = ((45, "minor"), (41, "major"), (48, "major"), (43, "major"))
_CHORUS = ((41, "major"), (43, "major"), (45, "minor"), (48, "major"))
_PEAK = 0.7

Wave = NDArray[np.float64]


def compose() -> Clip:
    """Return 43 seconds of stereo; the same ones every time."""
    mix = np.zeros((2, round(sum(BARS) * 4 * _BEAT * RATE)))
    bar = 0
    for section, count in enumerate(BARS):
        chords = _CHORUS if section == 1 else _VERSE
        for number in range(count):
            root, mode = chords[number % 4]
            _play_bar(mix, bar * 4 * _BEAT, root, 3 if mode == "minor" else 4, full=section == 1)
            bar += 1
    return Clip((_PEAK * mix / np.abs(mix).max()).astype(np.float32), RATE)


def _play_bar(mix: Wave, start: float, root: int, third: int, *, full: bool) -> None:
    """Add one bar: bass and an arpeggio; the chorus has held chords and drums as well."""
    triad = (root + 12, root + 12 + third, root + 19)
    for half in range(2):
        _add(mix, _note(root - 12, 1.9), start + 2 * half * _BEAT, 0.8 if full else 0.5, 0.0)
    for step in range(8):
        pitch = (*triad, root + 24)[(0, 1, 2, 3, 2, 1, 2, 1)[step]]
        level = 0.35 if full else 0.2
        _add(mix, _note(pitch, 0.9), start + step * _BEAT / 2, level, 0.4 * (-1) ** step)
    if not full:
        return
    for place, pitch in enumerate(triad):
        _add(mix, _note(pitch + 12, 3.9), start, 0.3, 0.3 * (place - 1))
    for beat in range(4):
        _add(mix, _stroke(low=beat % 2 == 0), start + beat * _BEAT, 0.7, 0.0)
        _add(mix, _stroke(low=False)[:2000], start + (beat + 0.5) * _BEAT, 0.3, 0.2)


@lru_cache(maxsize=64)
def _note(pitch: int, beats: float) -> Wave:
    """Return a plucked note that lasts so many beats."""
    times = np.arange(round(beats * _BEAT * RATE)) / RATE
    hertz = 440.0 * 2.0 ** ((pitch - 69) / 12)
    wave = np.zeros(times.shape[0])
    for partial in range(1, 9):
        fading = np.exp(-(0.8 + 0.7 * partial) * times)
        wave += fading * np.sin(2 * np.pi * partial * hertz * times) / partial**1.2
    edges = np.minimum(times / 0.003, (times[-1] - times) / 0.02)
    return np.asarray(wave * np.clip(edges, 0.0, 1.0))


@lru_cache(maxsize=2)
def _stroke(*, low: bool) -> Wave:
    """Return a kick, or a snare."""
    times = np.arange(round(0.25 * RATE)) / RATE
    if low:
        angle = 2 * np.pi * (50 * times + 4.0 * (1 - np.exp(-times / 0.03)))
        return np.asarray(1.4 * np.sin(angle) * np.exp(-times / 0.08))
    hiss = np.random.default_rng(1).normal(0.0, 0.4, times.shape[0])
    return np.asarray(hiss * np.exp(-times / 0.06))


def _add(mix: Wave, wave: Wave, seconds: float, level: float, side: float) -> None:
    first = round(seconds * RATE)
    part = wave[: max(0, mix.shape[1] - first)]
    mix[:, first : first + part.shape[0]] += level * np.outer((1.0 - side, 1.0 + side), part)
