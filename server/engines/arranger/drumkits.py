"""Drum kits: what each name in `variations.sounds.KITS` sounds like, one stroke at a time.

Knows synthesized drums and which strokes of a sound bank's kit stand for them. Bass drums can be
tuned: an untuned one fights the harmony. Knows nothing of patterns or mixing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from server.engines.arranger.filters import RATE, banded, passed
from server.engines.arranger.oscillators import (
    ended,
    fallen,
    hertz_of_pitch,
    noise,
    phases,
    samples_in,
    sine,
    times,
    wave,
)
from server.engines.arranger.score import DrumKind
from server.media.clip import Samples

_UNTUNED_HERTZ = 49.0
_LOWEST_KICK_PITCH = 29
_CYMBAL_HERTZ = (205.3, 304.4, 369.6, 522.7, 540.0, 800.0)
"""The six square oscillators of an analog drum machine's metal."""

_ONE_BIT = np.array([-1, 1], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Blow:
    """One stroke: velocity in (0, 1], the bass drum's frequency, a source of noise."""

    velocity: float
    hertz: float
    random: np.random.Generator


Drum = Callable[[Blow], Samples]


def kick_hertz(root: int | None) -> float:
    """Return the bass drum's frequency for a pitch class: F1 to E2 in its lowest octave."""
    if root is None:
        return _UNTUNED_HERTZ
    return hertz_of_pitch(_LOWEST_KICK_PITCH + (root - _LOWEST_KICK_PITCH) % 12)


def _falling(blow: Blow, seconds: float, *, above: float, fall: float, ring: float) -> Samples:
    """Return a sine that starts `above` Hz higher and falls to the drum's pitch."""
    length = samples_in(seconds)
    hertz = blow.hertz + above * np.exp(-times(length) / fall)
    return sine(phases(hertz, length)) * fallen(length, ring)


def _hiss(blow: Blow, seconds: float, ring: float) -> Samples:
    length = samples_in(seconds)
    return noise(length, blow.random) * fallen(length, ring)


def _tone(hertz: float, seconds: float, ring: float) -> Samples:
    length = samples_in(seconds)
    return sine(phases(hertz, length)) * fallen(length, ring)


def _metal(seconds: float, ring: float, edge_hertz: float) -> Samples:
    """Return the filtered sum of six squares, an analog cymbal."""
    length = samples_in(seconds)
    metal = sum(wave("square", hertz, phases(hertz, length)) for hertz in _CYMBAL_HERTZ)
    return passed(np.asarray(metal, dtype=np.float32), "highpass", edge_hertz) * fallen(
        length, ring
    )


def _driven(samples: Samples, amount: float) -> Samples:
    driven: Samples = np.tanh(np.float32(amount) * samples)
    return driven


def _clapped(blow: Blow, low_hertz: float, high_hertz: float) -> Samples:
    """Return four bursts of noise close together and a tail."""
    length = samples_in(0.3)
    t = times(length)
    bursts = sum(np.where(t >= at, np.exp(-(t - at) / 0.008), 0.0) for at in (0.0, 0.011, 0.022))
    hands = bursts + np.where(t >= 0.03, np.exp(-(t - 0.03) / 0.09), 0.0)
    air = banded(noise(length, blow.random), low_hertz, high_hertz)
    return air * np.asarray(hands, dtype=np.float32)


def _chipped(blow: Blow, seconds: float, ring: float, step: int) -> Samples:
    """Return the one-bit noise of an NES, its volume in sixteen steps."""
    length = samples_in(seconds)
    bits = np.repeat(blow.random.choice(_ONE_BIT, length // step + 1), step)[:length]
    return bits * np.round(15 * fallen(length, ring)) / np.float32(15)


def _rung(partials: tuple[tuple[float, float], ...], seconds: float) -> Samples:
    """Return struck metal, `(hertz, ring seconds)` a partial."""
    rung = sum(_tone(hertz, seconds, ring) for hertz, ring in partials)
    return np.asarray(rung, dtype=np.float32) / np.float32(len(partials))


def _joined(*sounds: Samples) -> Samples:
    """Add sounds that start together."""
    joined = np.zeros(max(map(len, sounds)), dtype=np.float32)
    for sound in sounds:
        joined[: len(sound)] += sound
    return joined


def _kick(*, above: float, fall: float, ring: float, drive: float, click: float) -> Drum:
    def kick(blow: Blow) -> Samples:
        body = _driven(_falling(blow, 6 * ring, above=above, fall=fall, ring=ring), drive)
        return _joined(body, np.float32(click) * _hiss(blow, 0.02, 0.003))

    return kick


def _snare(*, hertz: float, body: float, low: float, high: float, ring: float) -> Drum:
    def snare(blow: Blow) -> Samples:
        skin = np.float32(body) * _joined(
            _tone(hertz, 0.25, 0.05), np.float32(0.5) * _tone(1.74 * hertz, 0.15, 0.03)
        )
        wires = np.float32(0.45) * banded(_hiss(blow, 4 * ring + 0.02, ring), low, high)
        return _joined(skin, wires)

    return snare


def _hat(*, ring: float, edge: float, high: float = 16000.0, level: float = 0.35) -> Drum:
    def hat(blow: Blow) -> Samples:
        return np.float32(level) * banded(_hiss(blow, 5 * ring, ring), edge, high)

    return hat


def _tom(hertz: float, *, ring: float = 0.13, slap: float = 0.1) -> Drum:
    def tom(blow: Blow) -> Samples:
        skin = Blow(blow.velocity, hertz, blow.random)
        body = _falling(skin, 6 * ring, above=0.45 * hertz, fall=0.03, ring=ring)
        return _joined(np.float32(0.8) * body, np.float32(slap) * _hiss(blow, 0.03, 0.006))

    return tom


def _clap(blow: Blow) -> Samples:
    return np.float32(0.6) * _clapped(blow, 900, 3500)


def _metal_hat(seconds: float, ring: float) -> Drum:
    return lambda _: np.float32(0.3) * _metal(seconds, ring, 7000)


def _chip(seconds: float, ring: float, step: int, level: float) -> Drum:
    return lambda blow: np.float32(level) * _chipped(blow, seconds, ring, step)


def _chip_kick(blow: Blow) -> Samples:
    length = samples_in(0.16)
    hertz = blow.hertz + 260 * np.exp(-times(length) / 0.02)
    thump = wave("square", 400.0, phases(hertz, length)) * fallen(length, 0.05)
    return np.float32(0.6) * thump + np.float32(0.25) * _chipped(blow, 0.16, 0.012, 24)


def _clank(blow: Blow) -> Samples:
    metal = _rung(((187, 0.12), (431, 0.2), (977, 0.15), (2311, 0.1), (4127, 0.05)), 0.7)
    return _joined(_driven(2 * metal, 1.5), np.float32(0.4) * _hiss(blow, 0.05, 0.01))


def _steam(ring: float) -> Drum:
    return lambda blow: np.float32(0.3) * banded(_hiss(blow, 5 * ring, ring), 3500, 9000)


def _tick(hertz: float) -> Drum:
    return lambda _: np.float32(0.5) * wave("square", hertz, phases(hertz, samples_in(0.012)))


def _zap(blow: Blow) -> Samples:
    length = samples_in(0.12)
    hertz = 300 + 5000 * np.exp(-times(length) / 0.02)
    torn = np.repeat(blow.random.random(length // 90 + 1) > 0.25, 90)[:length]
    swept = wave("square", 6000.0, phases(hertz, length))
    return np.float32(0.4) * swept * torn * fallen(length, 0.05)


def _brushed(seconds: float, ring: float, level: float) -> Drum:
    """Return wires drawn over a skin: a soft beginning, no tone."""

    def brushed(blow: Blow) -> Samples:
        sweep = banded(_hiss(blow, seconds, ring), 1400, 9000, order=1)
        rise = samples_in(0.006)
        sweep[:rise] *= np.linspace(0.2, 1.0, rise, dtype=np.float32)
        return np.float32(level) * sweep

    return brushed


def _ride(blow: Blow) -> Samples:
    """Return a stick on a large cymbal: a ping over a long quiet wash."""
    ping = _rung(((2950, 0.3), (4210, 0.35), (5870, 0.25), (7340, 0.2)), 1.1)
    wash = banded(_hiss(blow, 1.1, 0.3), 5000, 14000)
    return np.float32(0.35) * ping + np.float32(0.06) * wash


def _click(hertz: float, *, ring: float, level: float) -> Drum:
    """Return wood: a stick on a rim, a block, a clave."""
    return lambda blow: (
        np.float32(level)
        * _joined(
            _rung(((hertz, ring), (2.43 * hertz, 0.5 * ring)), 8 * ring),
            np.float32(0.3) * _hiss(blow, 0.01, 0.002),
        )
    )


Kit = Mapping[DrumKind, Drum]

KITS: Mapping[str, Kit] = {
    "808": {
        "kick": _kick(above=140, fall=0.018, ring=0.11, drive=2.0, click=0.02),
        "snare": _snare(hertz=190, body=0.6, low=1500, high=9000, ring=0.075),
        "clap": _clap,
        "hat": _metal_hat(0.08, 0.018),
        "open_hat": _metal_hat(0.5, 0.12),
        "perc": lambda _: _tone(1700, 0.06, 0.008) + _tone(2450, 0.06, 0.008) * np.float32(0.5),
    },
    "linn": {
        "kick": _kick(above=160, fall=0.012, ring=0.09, drive=1.2, click=0.15),
        "snare": _snare(hertz=185, body=0.5, low=600, high=9000, ring=0.11),
        "clap": _clap,
        "hat": _hat(ring=0.02, edge=7500),
        "open_hat": _hat(ring=0.1, edge=6500, level=0.3),
        "perc": _tom(110),
    },
    "nes": {
        "kick": _chip_kick,
        "snare": _chip(0.18, 0.05, 6, 0.6),
        "clap": _chip(0.12, 0.03, 4, 0.55),
        "hat": _chip(0.05, 0.015, 2, 0.35),
        "open_hat": _chip(0.18, 0.05, 2, 0.3),
        "perc": lambda _: np.float32(0.4) * wave("square", 220, phases(220.0, samples_in(0.06))),
    },
    "lofi": {
        "kick": _kick(above=90, fall=0.02, ring=0.09, drive=1.5, click=0.05),
        "snare": _snare(hertz=200, body=0.4, low=400, high=6000, ring=0.07),
        "clap": lambda blow: np.float32(0.5) * _clapped(blow, 700, 2800),
        "hat": _hat(ring=0.02, edge=5000, high=11000),
        "open_hat": _hat(ring=0.09, edge=5000, high=11000),
        "perc": lambda blow: np.float32(0.3) * _hat(ring=0.012, edge=2500, high=7000)(blow),
    },
    "acoustic": {
        "kick": _kick(above=70, fall=0.015, ring=0.07, drive=1.1, click=0.12),
        "snare": _snare(hertz=196, body=0.5, low=1200, high=10000, ring=0.09),
        "clap": _snare(hertz=410, body=0.2, low=1800, high=9000, ring=0.02),
        "hat": _hat(ring=0.025, edge=6500),
        "open_hat": _hat(ring=0.18, edge=5500, level=0.3),
        "perc": _tom(130, ring=0.18),
    },
    "breaks": {
        "kick": _kick(above=85, fall=0.012, ring=0.05, drive=1.8, click=0.2),
        "snare": _snare(hertz=232, body=0.7, low=900, high=11000, ring=0.06),
        "clap": _snare(hertz=260, body=0.35, low=1500, high=11000, ring=0.03),
        "hat": _hat(ring=0.03, edge=5500, level=0.4),
        "open_hat": _hat(ring=0.22, edge=4500, level=0.35),
        "perc": _snare(hertz=240, body=0.25, low=1200, high=8000, ring=0.02),
    },
    "industrial": {
        "kick": _kick(above=110, fall=0.03, ring=0.14, drive=4.0, click=0.4),
        "snare": _clank,
        "clap": lambda blow: _driven(_clapped(blow, 500, 5000), 2.0) * np.float32(0.6),
        "hat": _steam(0.03),
        "open_hat": _steam(0.18),
        "perc": lambda _: _rung(((611, 0.2), (1733, 0.12), (3391, 0.06)), 0.6),
    },
    "hand": {
        "kick": _tom(82, ring=0.16, slap=0.06),
        "snare": _tom(330, ring=0.05, slap=0.35),
        "clap": _tom(440, ring=0.03, slap=0.45),
        "hat": _hat(ring=0.035, edge=4500, level=0.25),
        "open_hat": _hat(ring=0.08, edge=4000, level=0.25),
        "perc": _tom(210, ring=0.09, slap=0.15),
    },
    "glitch": {
        "kick": _kick(above=400, fall=0.006, ring=0.05, drive=3.0, click=0.3),
        "snare": _zap,
        "clap": _chip(0.07, 0.03, 11, 0.5),
        "hat": _tick(7350),
        "open_hat": _chip(0.1, 0.05, 3, 0.3),
        "perc": _tick(2205),
    },
    "909": {
        "kick": _kick(above=190, fall=0.022, ring=0.085, drive=2.4, click=0.25),
        "snare": _snare(hertz=205, body=0.55, low=1800, high=12000, ring=0.085),
        "clap": _clap,
        "hat": _hat(ring=0.018, edge=8000),
        "open_hat": _hat(ring=0.14, edge=7000, level=0.33),
        "perc": _click(2100, ring=0.012, level=0.8),
    },
    "brushes": {
        "kick": _kick(above=45, fall=0.015, ring=0.08, drive=1.0, click=0.04),
        "snare": _brushed(0.22, 0.045, 0.5),
        "clap": _click(1150, ring=0.018, level=0.8),
        "hat": _hat(ring=0.022, edge=5500, high=13000, level=0.25),
        "open_hat": _ride,
        "perc": _brushed(0.4, 0.11, 0.22),
    },
    "phonk": {
        "kick": _kick(above=170, fall=0.016, ring=0.1, drive=5.0, click=0.1),
        "snare": _snare(hertz=215, body=0.4, low=1100, high=10000, ring=0.06),
        "clap": lambda blow: _driven(_clapped(blow, 1000, 4500), 2.5) * np.float32(0.55),
        "hat": _metal_hat(0.06, 0.014),
        "open_hat": _metal_hat(0.4, 0.09),
        "perc": _tom(140, ring=0.09, slap=0.2),
    },
    "latin": {
        "kick": _tom(62, ring=0.14, slap=0.02),
        "snare": _click(1350, ring=0.02, level=0.9),
        "clap": _tom(390, ring=0.05, slap=0.3),
        "hat": _hat(ring=0.028, edge=6500, high=15000, level=0.22),
        "open_hat": _hat(ring=0.07, edge=5500, level=0.2),
        "perc": _tom(300, ring=0.07, slap=0.15),
    },
    "cajon": {
        "kick": _tom(76, ring=0.09, slap=0.2),
        "snare": _snare(hertz=260, body=0.5, low=1500, high=9000, ring=0.035),
        "clap": lambda blow: np.float32(0.55) * _clapped(blow, 1300, 4200),
        "hat": _brushed(0.08, 0.015, 0.35),
        "open_hat": _hat(ring=0.07, edge=4500, level=0.2),
        "perc": _click(1750, ring=0.014, level=0.8),
    },
}
"""Every kit by the name presets use; each has all six drums."""

BANK_STROKES: Mapping[str, Mapping[DrumKind, tuple[int, int]]] = {
    "acoustic": {
        "kick": (0, 36),
        "snare": (0, 38),
        "clap": (0, 37),
        "hat": (0, 42),
        "open_hat": (0, 46),
        "perc": (0, 47),
    },
    "breaks": {
        "kick": (16, 36),
        "snare": (16, 40),
        "clap": (0, 37),
        "hat": (0, 42),
        "open_hat": (0, 51),
        "perc": (0, 37),
    },
    "hand": {
        "kick": (0, 64),
        "snare": (0, 62),
        "clap": (0, 60),
        "hat": (0, 70),
        "open_hat": (0, 82),
        "perc": (0, 63),
    },
    "brushes": {
        "kick": (40, 36),
        "snare": (40, 38),
        "clap": (40, 37),
        "hat": (40, 44),
        "open_hat": (40, 51),
        "perc": (40, 40),
    },
    "latin": {
        "kick": (0, 64),
        "snare": (0, 37),
        "clap": (0, 62),
        "hat": (0, 70),
        "open_hat": (0, 82),
        "perc": (0, 63),
    },
}
"""Kits that a sound bank plays where there is one: (kit program of bank 128, key) of each drum."""

PANS: Mapping[DrumKind, float] = {"hat": 0.25, "open_hat": 0.3, "perc": -0.25}
"""Where drums stand, −1 to 1; the others in the middle."""

CYMBALS: frozenset[DrumKind] = frozenset({"hat", "open_hat"})
"""What a bank records much louder than a player would strike it in a mix."""


def stroke(
    kit: str, kind: DrumKind, velocity: float, *, hertz: float, random: np.random.Generator
) -> Samples:
    """Return one synthesized stroke, `[N]`, ending at zero."""
    sound = KITS[kit][kind](Blow(velocity, hertz, random)).astype(np.float32)
    sound = passed(sound, "highpass", 20.0, order=1)
    return ended(sound * np.float32(velocity), seconds=min(0.01, len(sound) / RATE / 4))
