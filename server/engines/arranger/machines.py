"""Voices of particular machines: the acid bass, the Reese, the pitched cowbell.

Mono, one tone at a time, like those of `synths`; each is known by one circuit that a preset is
about.
"""

import numpy as np

from server.engines.arranger.filters import RATE, banded, swept_lowpass
from server.engines.arranger.oscillators import (
    Curve,
    adsr,
    ended,
    fallen,
    phases,
    samples_in,
    sine,
    times,
    wave,
)
from server.engines.arranger.tones import Tone, control_times, detuned
from server.media.clip import Samples

_SLIDE_SECONDS = 0.045
_ACCENT = 0.7
"""Above this velocity a step is accented: the filter opens further and shuts faster."""

_COWBELL_RATIO = 800.0 / 540.0
"""Of the two square oscillators of an analog drum machine's cowbell."""


def acid_bass(tone: Tone) -> Samples:
    """One saw through a filter that whistles; accents squeal, slides glide into the next pitch."""
    is_accent = tone.velocity > _ACCENT
    envelope = adsr(tone.seconds, attack=0.003, decay=0.3, sustain=0.6, release=0.03)
    length = len(envelope)
    raw = wave("saw", _highest(tone), phases(_slid(tone, length), length))
    fall = 0.09 if is_accent else 0.2
    opened = (900 + 2600 * tone.velocity) * np.exp(-control_times(length) / fall)
    cutoff = 240 + opened * (1.4 if is_accent else 1.0)
    squealed = swept_lowpass(raw, cutoff, resonance_db=13.0)
    rounded = swept_lowpass(squealed, 2.2 * cutoff)
    driven: Samples = np.tanh(np.float32(0.9) * rounded)
    return ended(driven * envelope * np.float32(0.65 * tone.velocity))


def _slid(tone: Tone, length: int) -> float | Curve:
    """Return the frequency, at every sample where it slides from the last pitch."""
    if tone.glide_from is None:
        return tone.hertz
    bend = np.log2(tone.glide_from / tone.hertz) * np.exp(-times(length) / _SLIDE_SECONDS)
    return np.asarray(tone.hertz * np.exp2(bend), dtype=np.float64)


def _highest(tone: Tone) -> float:
    return max(tone.hertz, tone.glide_from or 0.0)


def reese_bass(tone: Tone) -> Samples:
    """Two saws that beat slowly against each other, dark, over a sine that stands still."""
    envelope = adsr(tone.seconds, attack=0.004, decay=0.2, sustain=0.9, release=0.08)
    length = len(envelope)
    beating = detuned(tone, "saw", (-11, 11), length)
    t = control_times(length)
    swing = np.sin(np.pi * t / max(2 * tone.beat_seconds, 0.1))
    dark = swept_lowpass(beating, (380 + 700 * tone.velocity) * np.exp2(0.7 * swing))
    body = np.float32(0.75) * dark + np.float32(0.6) * sine(phases(tone.hertz, length))
    pressed: Samples = np.tanh(np.float32(1.3) * body)
    return ended(pressed * envelope * np.float32(0.7 * tone.velocity))


def cowbell(tone: Tone) -> Samples:
    """A drum machine's cowbell played as a tune: two squares about a fifth apart, a hard knock."""
    length = samples_in(min(max(tone.seconds, 0.18) + 0.1, 0.9))
    low = wave("square", tone.hertz, phases(tone.hertz, length))
    upper = tone.hertz * _COWBELL_RATIO
    high = wave("square", upper, phases(upper, length))
    rung = banded(low + np.float32(0.25) * high, 0.7 * tone.hertz, min(7 * tone.hertz, 0.4 * RATE))
    knock = np.float32(0.6) * fallen(length, 0.02) + np.float32(0.4) * fallen(length, 0.22)
    return ended(rung * knock * np.float32(0.6 * tone.velocity), seconds=0.02)
