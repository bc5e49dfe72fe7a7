"""Synthesized imitations of instruments, for voices a preset names and where a bank is missing.

Bars, pans, organs, strings, reeds, brass and voices, mono, one tone at a time. They keep pitch,
attack and character apart; nobody will take them for recordings.
"""

from dataclasses import replace

import numpy as np

from server.engines.arranger.filters import RATE, banded, swept_lowpass
from server.engines.arranger.oscillators import (
    adsr,
    fallen,
    noise,
    phases,
    samples_in,
    sine,
    string,
    wave,
)
from server.engines.arranger.tones import Tone, control_times, detuned, struck, vibrated
from server.media.clip import Samples


def _bell(tone: Tone, partials: tuple[tuple[float, float, float], ...]) -> Samples:
    """Return inharmonic partials, each `(ratio, level, ring seconds)`, that ring on."""
    ring = max(seconds for _, _, seconds in partials)
    length = samples_in(min(max(tone.seconds, 0.4) + 0.5, 3.5 * ring))
    body = np.zeros(length, dtype=np.float32)
    for ratio, level, seconds in partials:
        if tone.hertz * ratio < RATE * 0.4:
            loudness = level * tone.velocity ** (0.3 * max(ratio - 1, 0))
            body += (
                np.float32(loudness)
                * sine(phases(tone.hertz * ratio, length))
                * fallen(length, seconds)
            )
    return struck(body, replace(tone, seconds=length / RATE), 8.0, release=0.2) * np.float32(
        0.6 * tone.velocity
    )


def metallophone(tone: Tone) -> Samples:
    """A struck bar: the free bar's partials, with a beating twin as in a gamelan."""
    twin = 1.0 + 3.5 / tone.hertz
    return _bell(tone, ((1.0, 0.6, 0.9), (twin, 0.4, 0.9), (2.76, 0.3, 0.25), (5.4, 0.15, 0.08)))


def steel_pan(tone: Tone) -> Samples:
    """A tuned pan: octave and twelfth bloom a little after the fundamental."""
    return _bell(tone, ((1.0, 0.8, 0.45), (2.0, 0.5, 0.3), (3.0, 0.2, 0.18), (4.07, 0.12, 0.1)))


def music_bell(tone: Tone) -> Samples:
    """A small comb tooth or celesta bar."""
    return _bell(tone, ((1.0, 0.9, 0.7), (3.0, 0.12, 0.3), (6.27, 0.2, 0.06)))


def organ(tone: Tone) -> Samples:
    """Five drawbars."""
    envelope = adsr(tone.seconds, attack=0.006, decay=0.05, sustain=0.95, release=0.05)
    drawbars = ((0.5, 0.4), (1.0, 0.8), (1.498, 0.35), (2.0, 0.5), (3.0, 0.25), (4.0, 0.2))
    body = np.zeros(len(envelope), dtype=np.float32)
    for ratio, level in drawbars:
        if tone.hertz * ratio < RATE * 0.4:
            body += np.float32(level) * sine(phases(tone.hertz * ratio, len(body)))
    return body * envelope * np.float32(0.35 * tone.velocity)


def _breath(tone: Tone, length: int, level: float) -> Samples:
    """Return air around a tone's second harmonic."""
    air = banded(noise(length, tone.random), tone.hertz, min(4 * tone.hertz, 15000.0), order=1)
    return np.float32(level) * air


def bowed_string(tone: Tone) -> Samples:
    """A bowed string with body resonances and late vibrato."""
    envelope = adsr(tone.seconds, attack=0.012, decay=0.15, sustain=0.8, release=0.1)
    cycles = vibrated(tone, len(envelope), cents=10, hertz=5.4, delay=0.25)
    raw = wave("saw", tone.hertz, cycles) + _breath(tone, len(cycles), 0.03)
    body = 0.5 * raw + 0.8 * banded(raw, 400, 700, order=1) + 0.5 * banded(raw, 2200, 3600, order=1)
    cutoff = np.full(len(control_times(len(raw))), 1800 + 6500 * tone.velocity)
    return swept_lowpass(body, cutoff) * envelope * np.float32(0.5 * tone.velocity)


def choir_pad(tone: Tone) -> Samples:
    """Voices on "ah": saws through the formants of a singer."""
    envelope = adsr(tone.seconds, attack=0.05, decay=0.3, sustain=0.85, release=0.35)
    raw = detuned(tone, "saw", (-7, 0, 6), len(envelope))
    sung = 1.6 * banded(raw, 560, 760, order=1) + banded(raw, 980, 1250, order=1)
    sung += 0.5 * banded(raw, 2300, 2800, order=1) + 0.12 * raw
    return sung.astype(np.float32) * envelope * np.float32(0.55 * tone.velocity)


def flute(tone: Tone) -> Samples:
    """A near-sine with breath."""
    envelope = adsr(tone.seconds, attack=0.015, decay=0.1, sustain=0.9, release=0.07)
    cycles = vibrated(tone, len(envelope), cents=7, hertz=5.0, delay=0.3)
    body = sine(cycles)
    body += np.float32(0.25) * sine(2 * cycles) + np.float32(0.08) * sine(3 * cycles)
    body += _breath(tone, len(cycles), 0.06)
    return body * envelope * np.float32(0.5 * tone.velocity)


def reed(tone: Tone) -> Samples:
    """A reed: odd harmonics first, two reeds a little apart as in an accordion."""
    envelope = adsr(tone.seconds, attack=0.012, decay=0.1, sustain=0.9, release=0.06)
    raw = detuned(tone, "square", (-4, 5), len(envelope))
    raw += np.float32(0.4) * wave("saw", tone.hertz, phases(tone.hertz, len(raw)))
    cutoff = np.full(len(control_times(len(raw))), 1500 + 4500 * tone.velocity)
    return swept_lowpass(raw, cutoff) * envelope * np.float32(0.4 * tone.velocity)


def brass(tone: Tone) -> Samples:
    """Saws that brighten as they swell."""
    envelope = adsr(tone.seconds, attack=0.012, decay=0.2, sustain=0.8, release=0.08)
    raw = detuned(tone, "saw", (-4, 4), len(envelope))
    cutoff = 500 + 5500 * tone.velocity * np.clip(control_times(len(raw)) / 0.06, 0.2, 1)
    return swept_lowpass(raw, cutoff) * envelope * np.float32(0.5 * tone.velocity)


def plucked_string(tone: Tone) -> Samples:
    """A picked string."""
    length = samples_in(min(tone.seconds + 0.25, 4.0))
    bright = 6.0 - 4.5 * tone.velocity
    body = string(tone.hertz, length, ring_seconds=3.0, damping=bright, pick=0.18)
    return struck(body, tone, 6.0, release=0.05) * np.float32(0.65 * tone.velocity)


def struck_string(tone: Tone) -> Samples:
    """A piano string."""
    length = samples_in(min(tone.seconds + 0.35, 6.0))
    body = string(tone.hertz, length, ring_seconds=5.0, damping=4.5 - 3 * tone.velocity, pick=0.12)
    return struck(body, tone, 2.5 * (262.0 / tone.hertz) ** 0.4, release=0.08) * np.float32(
        0.7 * tone.velocity
    )
