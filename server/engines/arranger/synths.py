"""Synthesized voices: what each name in `variations.sounds.SYNTHS` sounds like.

Knows one tone at a time, mono, at the arranger's rate. Every voice starts at once, within a few
milliseconds of its first sample, and ends at zero. `fallback_synth` names the voice that stands in
for a General MIDI program where there is no sound bank.
"""

from collections.abc import Callable, Mapping

import numpy as np

from server.engines.arranger.filters import RATE, banded, passed, swept_lowpass
from server.engines.arranger.imitations import (
    bowed_string,
    brass,
    choir_pad,
    flute,
    metallophone,
    music_bell,
    organ,
    plucked_string,
    reed,
    steel_pan,
    struck_string,
)
from server.engines.arranger.machines import acid_bass, cowbell, reese_bass
from server.engines.arranger.oscillators import (
    Curve,
    Shape,
    adsr,
    ended,
    fallen,
    noise,
    phases,
    samples_in,
    sine,
    times,
    wave,
)
from server.engines.arranger.tones import Tone, control_times, detuned, struck, vibrated
from server.media.clip import Samples

Synth = Callable[[Tone], Samples]
"""Plays one tone, `[N]`."""

_CHIP_FRAME = 60.0
"""Frames a second in which an NES changes volume or pitch."""

_ARPEGGIO_HZ = 30.0


def pad_saw(tone: Tone) -> Samples:
    """Three saws, a slow filter."""
    envelope = adsr(tone.seconds, attack=0.06, decay=0.3, sustain=0.8, release=0.45)
    raw = detuned(tone, "saw", (-9, 0, 8), len(envelope))
    t = control_times(len(raw))
    cutoff = 600 + 1700 * tone.velocity + 900 * np.exp(-t / 0.5) + 220 * np.sin(0.8 * np.pi * t)
    return swept_lowpass(raw, cutoff) * envelope * np.float32(0.55 * tone.velocity)


def super_saw(tone: Tone) -> Samples:
    """Five saws wide apart, bright."""
    envelope = adsr(tone.seconds, attack=0.006, decay=0.2, sustain=0.8, release=0.2)
    raw = detuned(tone, "saw", (-14, -7, 0, 7, 13), len(envelope))
    cutoff = 2000 + 8000 * tone.velocity * np.exp(-control_times(len(raw)) / 0.8)
    return swept_lowpass(raw, cutoff) * envelope * np.float32(0.5 * tone.velocity)


def lead_square(tone: Tone) -> Samples:
    """A pulse and a saw with late vibrato."""
    envelope = adsr(tone.seconds, attack=0.005, decay=0.25, sustain=0.7, release=0.12)
    cycles = vibrated(tone, len(envelope), cents=9, hertz=5.3, delay=0.25)
    raw = 0.6 * wave("pulse", tone.hertz, cycles) + 0.5 * wave("saw", tone.hertz, cycles * 1.0035)
    cutoff = 1500 + 5500 * tone.velocity * np.exp(-control_times(len(raw)) / 0.4)
    return swept_lowpass(raw, cutoff) * envelope * np.float32(0.7 * tone.velocity)


def arp_pluck(tone: Tone) -> Samples:
    """A short filtered pluck."""
    held = min(tone.seconds, 0.5)
    envelope = adsr(held, attack=0.002, decay=0.22, sustain=0.25, release=0.15)
    length = len(envelope)
    raw = wave("saw", tone.hertz, phases(tone.hertz, length))
    raw += np.float32(0.6) * wave("pulse", tone.hertz, phases(tone.hertz * 0.9971, length))
    cutoff = 450 + 6500 * tone.velocity * np.exp(-control_times(length) / 0.09)
    return (
        swept_lowpass(raw, cutoff, resonance_db=3.0) * envelope * np.float32(0.65 * tone.velocity)
    )


def synth_bass(tone: Tone) -> Samples:
    """Saw, square and a sine below, through an analog filter's fall."""
    envelope = adsr(tone.seconds, attack=0.003, decay=0.25, sustain=0.75, release=0.06)
    cycles = phases(tone.hertz, len(envelope))
    raw = 0.8 * wave("saw", tone.hertz, cycles) + 0.35 * wave("square", tone.hertz, cycles * 0.9977)
    cutoff = 220 + 2200 * tone.velocity * np.exp(-control_times(len(raw)) / 0.12)
    filtered = swept_lowpass(raw, cutoff, resonance_db=4.0) + np.float32(0.5) * sine(cycles)
    return filtered * envelope * np.float32(0.8 * tone.velocity)


def wobble_bass(tone: Tone) -> Samples:
    """A growl whose filter opens and shuts three times a beat."""
    envelope = adsr(tone.seconds, attack=0.003, decay=0.1, sustain=0.95, release=0.06)
    raw = detuned(tone, "saw", (-12, 0, 11), len(envelope))
    raw += np.float32(0.5) * wave("square", tone.hertz, phases(tone.hertz / 2, len(raw)))
    t = control_times(len(raw))
    swing = 0.5 + 0.5 * np.cos(2 * np.pi * 3.0 / tone.beat_seconds * t)
    filtered = swept_lowpass(raw, 120.0 * np.exp2(1.0 + 4.6 * swing), resonance_db=8.0)
    growl: Samples = np.tanh(np.float32(1.4) * filtered)
    return growl * envelope * np.float32(0.8 * tone.velocity)


def bass_808(tone: Tone) -> Samples:
    """A driven sine with a knock; slides from the last pitch where it is asked to."""
    held = max(tone.seconds, 0.3)
    length = samples_in(held + 0.25)
    t = times(length)
    bend = 1.0 + 2.2 * np.exp(-t / 0.012)
    if tone.glide_from is not None:
        slide = np.log2(tone.glide_from / tone.hertz) * np.exp(-t / 0.05)
        bend = np.exp2(slide) * (1.0 + 0.6 * np.exp(-t / 0.012))
    cycles = phases(tone.hertz * bend, length)
    envelope = fallen(length, 1.1) * np.interp(t, [0, 0.002], [0, 1]).astype(np.float32)
    release = samples_in(held)
    envelope[release:] *= fallen(length - release, 0.06)
    driven = np.tanh(np.float32(2.6 * tone.velocity) * sine(cycles) * envelope)
    return ended(np.float32(0.8) * (driven + np.float32(0.12) * sine(2 * cycles) * envelope))


def _chip(tone: Tone, shape: Shape, *, fall: float = 0.12) -> Samples:
    """Return an NES pulse: volume in sixteen steps, sixty times a second."""
    length = samples_in(tone.seconds + 0.004)
    frame = np.floor(times(length) * _CHIP_FRAME)
    loudness = np.clip(15 * tone.velocity - fall * frame, 4 * tone.velocity, 15)
    steps = np.round(loudness) / 15
    if tone.others:
        cycles, highest = _alternating(tone, length)
    else:
        cycles = vibrated(tone, length, cents=12, hertz=6.0, delay=0.2)
        highest = tone.hertz
    return ended(wave(shape, highest, cycles) * steps.astype(np.float32) * np.float32(0.45))


def _alternating(tone: Tone, length: int) -> tuple[Curve, float]:
    """Return phases that step through the tones of a chord, and the highest frequency."""
    tones = np.array(sorted((tone.hertz, *tone.others)))
    turn = np.floor(times(length) * _ARPEGGIO_HZ).astype(np.intp) % len(tones)
    return phases(tones[turn], length), float(tones[-1])


def nes_pulse(tone: Tone) -> Samples:
    """A quarter pulse."""
    return _chip(tone, "pulse")


def nes_pulse_thin(tone: Tone) -> Samples:
    """An eighth pulse."""
    return _chip(tone, "thin_pulse") * np.float32(1.3)


def nes_pulse_wide(tone: Tone) -> Samples:
    """A square."""
    return _chip(tone, "square", fall=0.06) * np.float32(0.85)


def nes_triangle(tone: Tone) -> Samples:
    """The four-bit triangle, always at one volume but for the player's accent."""
    length = samples_in(tone.seconds + 0.004)
    raw = wave("stairs", tone.hertz, phases(tone.hertz, length))
    return ended(raw * np.float32(0.5 + 0.3 * tone.velocity))


def fm_epiano(tone: Tone) -> Samples:
    """An electric piano: two operators and a tine."""
    length = samples_in(tone.seconds + 0.3)
    cycles = phases(tone.hertz, length)
    depth = np.float32(1.4 * tone.velocity) * fallen(length, 0.5) + np.float32(0.25)
    body = sine(cycles + depth * sine(cycles) / (2 * np.pi))
    if tone.hertz * 14 < RATE / 2:
        body += np.float32(0.18 * tone.velocity) * sine(14 * cycles) * fallen(length, 0.03)
    ring = 1.6 * (262.0 / tone.hertz) ** 0.5
    return struck(body, tone, ring, release=0.09) * np.float32(0.6 * tone.velocity)


def glitch_blip(tone: Tone) -> Samples:
    """A torn digital tone: its pitch jumps among octaves and fifths, its volume in steps."""
    length = samples_in(min(max(tone.seconds, 0.05), 0.4))
    jumps = tone.random.choice([1.0, 1.0, 2.0, 1.5, 0.5], size=1 + length // samples_in(0.03))
    frame = np.minimum(np.arange(length) // samples_in(0.03), len(jumps) - 1)
    frame[: samples_in(0.03)] = 0
    jumps[0] = 1.0
    raw = wave("square", 2 * tone.hertz, phases(tone.hertz * jumps[frame], length))
    return ended(raw * fallen(length, 0.15) * np.float32(0.5 * tone.velocity))


def noise_drone(tone: Tone) -> Samples:
    """A machine's hum: noise in narrow bands at the tone's harmonics, over a low saw."""
    envelope = adsr(tone.seconds, attack=0.02, decay=0.3, sustain=0.8, release=0.3)
    air = noise(len(envelope), tone.random)
    body = sum(
        (
            banded(air, ratio * tone.hertz * 0.985, ratio * tone.hertz * 1.015, order=1)
            for ratio in (1, 2, 3)
            if ratio * tone.hertz < RATE * 0.4
        ),
        start=np.zeros_like(air),
    )
    raw = 3.0 * body + 0.3 * wave("saw", tone.hertz, phases(tone.hertz, len(air)))
    hum: Samples = np.tanh(1.5 * passed(raw.astype(np.float32), "lowpass", 4000.0))
    return hum * envelope * np.float32(0.6 * tone.velocity)


SYNTHS: Mapping[str, Synth] = {
    voice.__name__: voice
    for voice in (
        acid_bass,
        arp_pluck,
        bass_808,
        bowed_string,
        brass,
        choir_pad,
        cowbell,
        flute,
        fm_epiano,
        glitch_blip,
        lead_square,
        metallophone,
        music_bell,
        nes_pulse,
        nes_pulse_thin,
        nes_pulse_wide,
        nes_triangle,
        noise_drone,
        organ,
        pad_saw,
        plucked_string,
        reed,
        reese_bass,
        steel_pan,
        struck_string,
        super_saw,
        synth_bass,
        wobble_bass,
    )
}
"""Every voice by the name presets use."""

_FALLBACKS: tuple[tuple[int, str], ...] = (
    (4, "struck_string"),
    (6, "fm_epiano"),
    (8, "plucked_string"),
    (9, "music_bell"),
    (11, "music_bell"),
    (16, "metallophone"),
    (20, "organ"),
    (24, "reed"),
    (38, "plucked_string"),
    (40, "synth_bass"),
    (45, "bowed_string"),
    (47, "plucked_string"),
    (48, "bass_808"),
    (52, "bowed_string"),
    (55, "choir_pad"),
    (64, "brass"),
    (72, "reed"),
    (80, "flute"),
    (88, "lead_square"),
    (91, "pad_saw"),
    (92, "choir_pad"),
    (104, "pad_saw"),
    (108, "plucked_string"),
    (109, "metallophone"),
    (110, "reed"),
    (111, "bowed_string"),
    (112, "reed"),
    (114, "metallophone"),
    (115, "steel_pan"),
    (120, "metallophone"),
    (128, "noise_drone"),
)
"""Which voice stands in for the programs below each number."""


def fallback_synth(program: int) -> str:
    """Return the name of the voice that stands in for a General MIDI program (0–127)."""
    return next(name for below, name in _FALLBACKS if program < below)
