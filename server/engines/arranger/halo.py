"""The sustain layer: one looped tone per semitone, as loud as that semitone sounds in the source.

It fills what transcription missed, far below the parts. Knows `Heard.sustain` and the sampler.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from server.engines.arranger.articulation import fitted, flattened
from server.engines.arranger.filters import RATE
from server.engines.arranger.interpolation import between
from server.engines.arranger.sampler import Sampler, Touch
from server.engines.arranger.score import FRAME_RATE, LOWEST_PITCH, Heard
from server.media.clip import Samples
from variations.schema import Halo

_QUIET = 0.03
"""Share of the loudest semitone below which a semitone is silent."""

_SMOOTHING_FRAMES = 7
_BRIDGE_FRAMES = 11
_SHORTEST_SECONDS = 0.1
_TONE_SECONDS = 2.0
_CROSSFADE = 1764
_FADE = 800
_FRAME_SAMPLES = round(RATE / FRAME_RATE)
"""A whole number: both rates are that of a compact disc or a half of it."""

_LOWEST_COLUMN, _HIGHEST_COLUMN = 12, 76
_VELOCITY = 0.63


def halo(
    spec: Halo,
    heard: Heard,
    sampler: Sampler,
    *,
    length: int,
    cents: float,
    take: Callable[[], None],
) -> Samples:
    """Return the layer, `[2, length]`, at no particular level. `take` is called between semitones.

    Beyond the end of what was heard there is silence.
    """
    layer = np.zeros((2, length), dtype=np.float32)
    if not heard.sustain.size:
        return layer
    levels = ndimage.uniform_filter1d(heard.sustain, _SMOOTHING_FRAMES, axis=0, mode="nearest")
    threshold = _QUIET * float(levels.max())
    for column in range(_LOWEST_COLUMN, min(_HIGHEST_COLUMN, levels.shape[1])):
        spans = list(_spans(levels[:, column], threshold))
        if spans and threshold > 0:
            take()
            tone = _tone(spec, LOWEST_PITCH + column, sampler, cents)
            for first, last in spans:
                _add(layer, tone, levels[:, column], first, last)
    return layer


def _spans(level: NDArray[np.float32], threshold: float) -> Iterator[tuple[int, int]]:
    """Yield first and last frame of each passage in which a semitone sounds."""
    sounds = ndimage.maximum_filter1d((level > threshold).astype(np.int8), _BRIDGE_FRAMES)
    edges = np.flatnonzero(np.diff(sounds, prepend=0, append=0))
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if (last - first) / FRAME_RATE >= _SHORTEST_SECONDS:
            yield first, last


def _tone(spec: Halo, pitch: int, sampler: Sampler, cents: float) -> Samples:
    """Return a few seconds of a steady tone that can be repeated without a seam."""
    ordered = sorted(spec.registers)
    program = next((program for below, program in ordered if pitch < below), ordered[-1][1])
    raw = sampler.note(
        program,
        pitch,
        _VELOCITY,
        _TONE_SECONDS,
        cents=cents,
        touch=Touch(skip_seconds=0.12, attack=0.005, release=0.02),
    )
    body = flattened(fitted(raw, round(_TONE_SECONDS * RATE)))
    angle = np.linspace(0.0, np.pi / 2, _CROSSFADE, dtype=np.float32)
    end = body[:, -_CROSSFADE:] * np.cos(angle) + body[:, :_CROSSFADE] * np.sin(angle)
    return np.concatenate([body[:, _CROSSFADE:-_CROSSFADE], end], axis=1)


def _add(layer: Samples, tone: Samples, level: NDArray[np.float32], first: int, last: int) -> None:
    start = first * _FRAME_SAMPLES
    stop = min(layer.shape[1], last * _FRAME_SAMPLES)
    length = stop - start
    if length < 2 * _FADE:
        return
    gain = between(level[first : last + 2], _FRAME_SAMPLES, length)
    gain[:_FADE] *= np.linspace(0.0, 1.0, _FADE, dtype=np.float32)
    gain[-_FADE:] *= np.linspace(1.0, 0.0, _FADE, dtype=np.float32)
    repeats = -(-length // tone.shape[1])
    layer[:, start:stop] += np.tile(tone, repeats)[:, :length] * gain
