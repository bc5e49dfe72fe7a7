"""Tones whose pitch moves as it was written, and a judge of pitch that is not the engine's."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from server.media import resample
from server.media.clip import Clip, Samples

RATE = 22050
_SILENCE_SECONDS = 0.25

Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""MIDI pitch at the times after a tone's start."""


def gliding(curve: Curve, seconds: float = 1.5) -> Clip:
    """Return a bright tone along a curve, with a quarter of a second of silence on either side."""
    pitch = curve(np.arange(round(seconds * RATE)) / RATE)
    hertz = 440.0 * 2.0 ** ((pitch - 69.0) / 12.0)
    cycles = np.cumsum(hertz) / RATE
    tone = np.zeros(len(pitch))
    for number in range(1, 13):
        tone += (number * hertz < 0.45 * RATE) * np.sin(2 * np.pi * number * cycles) / number
    fade = round(0.02 * RATE)
    tone[:fade] *= np.linspace(0, 1, fade)
    tone[-fade:] *= np.linspace(1, 0, fade)
    padded = np.pad(0.3 * tone, round(_SILENCE_SECONDS * RATE))
    return Clip(padded[None].astype(np.float32), RATE)


def straight(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return A4 all the time."""
    return np.full(len(times), 69.0)


def slide(start: float = 69.0, semitones: float = 2.0, seconds: float = 0.4) -> Curve:
    """Return a pitch that moves once, half a second after it began."""
    return lambda times: start + semitones * np.clip((times - 0.5) / max(seconds, 1e-4), 0.0, 1.0)


def vibrato(cents: float = 60.0) -> Curve:
    """Return A4 with a vibrato that begins late."""
    return lambda times: (
        69.0
        + cents / 100 * np.clip((times - 0.2) / 0.3, 0.0, 1.0) * np.sin(2 * np.pi * 5.2 * times)
    )


def scoop(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a pitch that comes from a tone and a half below."""
    return 69.0 - 1.5 * np.clip(1 - times / 0.3, 0.0, 1.0)


def cents_off(clip: Clip, curve: Curve, *, octaves: int = 0) -> NDArray[np.float64]:
    """Return how far a sound is from a curve that starts at 0.25 s, a value every 12 ms.

    Its pitch is YIN's (de Cheveigné & Kawahara, "YIN, a fundamental frequency estimator for speech
    and music", 2002), searched within a fourth of the curve; the
    first and the last tenth of a second of the tone are left out.
    """
    mono = resample.resample(clip, RATE).mono()
    length = clip.seconds - 2 * _SILENCE_SECONDS
    times = np.arange(0.1, length - 0.1, 256 / RATE)
    wanted = curve(times) + 12 * octaves
    low, high = (440.0 * 2.0 ** ((edge - 69) / 12) for edge in (wanted.min() - 5, wanted.max() + 5))
    centres = np.rint((times + _SILENCE_SECONDS) * RATE).astype(int)
    hertz = np.array([yin(mono, centre, low, high) for centre in centres])
    return np.asarray(100.0 * (69.0 + 12.0 * np.log2(hertz / 440.0) - wanted))


def yin(mono: Samples, centre: int, low_hertz: float, high_hertz: float) -> float:
    """Return the pitch of half a window of 1024 samples around a place, in Hz, by the paper."""
    half = 512
    frame = np.pad(mono, 2 * half)[centre + half : centre + 3 * half].astype(np.float64)
    shortest, longest = int(RATE / high_hertz), min(int(RATE / low_hertz) + 1, half - 1)
    lagged = np.lib.stride_tricks.sliding_window_view(frame, half)[: longest + 2]
    differences = np.square(lagged - frame[:half]).sum(axis=1)
    mean = np.cumsum(differences[1:]) / np.arange(1, len(differences))
    steps = np.concatenate([[1.0], differences[1:] / np.maximum(mean, 1e-12)])
    asked = steps[shortest : longest + 1]
    clear = np.flatnonzero((asked < 0.1) & (asked <= np.roll(asked, -1)))
    lag = shortest + (int(clear[0]) if len(clear) else int(np.argmin(asked)))
    before, here, after = steps[lag - 1 : lag + 2]
    bend = before - 2 * here + after
    return float(RATE / (lag + (0.5 * (before - after) / bend if bend > 0 else 0.0)))
