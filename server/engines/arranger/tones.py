"""One tone to synthesize, and what several voices do with it: detune, vibrate, strike.

Knows oscillators and envelopes; the voices themselves are in `synths` and `imitations`.
"""

from dataclasses import dataclass

import numpy as np

from server.engines.arranger.filters import CONTROL_SAMPLES, RATE
from server.engines.arranger.interpolation import between
from server.engines.arranger.oscillators import (
    Curve,
    Shape,
    ended,
    fallen,
    hertz_of_pitch,
    phases,
    samples_in,
    wave,
)
from server.media.clip import Samples


@dataclass(frozen=True, slots=True)
class Tone:
    """One tone to synthesize.

    Attributes:
        hertz: its pitch.
        seconds: how long it is held.
        velocity: in (0, 1].
        random: source of phases and noise.
        glide_from: frequency it slides from, for the voices that can.
        others: further frequencies it alternates with thirty times a second (chip arpeggio).
        beat_seconds: for movement in time with the music.
    """

    hertz: float
    seconds: float
    velocity: float
    random: np.random.Generator
    glide_from: float | None = None
    others: tuple[float, ...] = ()
    beat_seconds: float = 0.5


def control_times(length: int) -> Curve:
    """Return the times of the control grid of `length` samples."""
    return np.arange(0, length, CONTROL_SAMPLES) / RATE


def detuned(tone: Tone, shape: Shape, spread_cents: tuple[float, ...], length: int) -> Samples:
    """Return several oscillators side by side in pitch, each at its own phase."""
    mixed = np.zeros(length, dtype=np.float32)
    for cents in spread_cents:
        hertz = tone.hertz * 2.0 ** (cents / 1200.0)
        mixed += wave(shape, hertz, phases(hertz, length, start=tone.random.random()))
    mixed /= np.float32(len(spread_cents) ** 0.75)
    return mixed


def vibrated(tone: Tone, length: int, *, cents: float, hertz: float, delay: float) -> Curve:
    """Return phases of a tone with a vibrato that begins late."""
    grid = control_times(length + CONTROL_SAMPLES)
    swing = np.clip((grid - delay) / 0.3, 0, 1) * cents * np.sin(2 * np.pi * hertz * grid)
    steps = tone.hertz * np.exp2(swing / 1200.0) * CONTROL_SAMPLES / RATE
    walked = np.concatenate([[0.0], np.cumsum(steps[:-1])])
    return between(walked, CONTROL_SAMPLES, length)


def struck(body: Samples, tone: Tone, ring: float, *, release: float) -> Samples:
    """Give a tone a hammer's envelope: at once there, falling, damped when let go."""
    envelope = fallen(len(body), ring)
    rise = samples_in(0.0015)
    envelope[:rise] *= np.linspace(0, 1, rise, dtype=np.float32)[: len(envelope)]
    held = min(samples_in(tone.seconds), len(body))
    envelope[held:] *= fallen(len(body) - held, release)
    return ended(body * envelope)


def tone_of(
    pitch: float,
    seconds: float,
    velocity: float,
    random: np.random.Generator,
    *,
    cents: float = 0.0,
) -> Tone:
    """Return a tone at a MIDI pitch."""
    return Tone(hertz_of_pitch(pitch, cents=cents), seconds, velocity, random)
