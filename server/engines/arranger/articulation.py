"""How a player touches the note: bow strokes and plucks over the sampler's own.

Recorded strings take a quarter of a second to speak, far too long for a riff. Their own rise is
skipped and flattened, and the envelope of a stroke is put in its place. Knows single notes; which
stroke a note gets follows from its length, its loudness and the note before.
"""

from enum import Enum

import numpy as np
from scipy import ndimage

from server.engines.arranger.filters import RATE, passed
from server.engines.arranger.interpolation import between
from server.engines.arranger.oscillators import ended, samples_in
from server.engines.arranger.sampler import Sampler, Touch, Vibrato
from server.engines.arranger.score import Note
from server.media.clip import Samples

_SHORT_SECONDS = 0.16
_LEGATO_SECONDS = 0.28
_LEGATO_GAP_SECONDS = 0.03
_LEGATO_LEAP = 5
_LOUD = 0.8
_STRUCK = 0.93
"""Confidence of an onset from which it is no slur."""


_FLATTENING_SECONDS = 0.03
_MOST_LIFT = 20.0
"""By how much flattening may raise a weak beginning."""

_STEP_SAMPLES = 16
"""Grid of slow curves: a third of a millisecond."""


class Bowing(Enum):
    """A bow stroke: how much of the recording is skipped, how fast it speaks, how it lets go."""

    MARCATO = (0.045, 0.010, 0.06)
    LEGATO = (0.110, 0.030, 0.06)
    SPICCATO = (0.045, 0.006, 0.05)

    @property
    def skip_seconds(self) -> float:
        """How much of the recording's beginning is left out."""
        return self.value[0]

    @property
    def rise_seconds(self) -> float:
        """How long the stroke takes to speak."""
        return self.value[1]

    @property
    def release_seconds(self) -> float:
        """In how long it falls by a factor e once the bow leaves."""
        return self.value[2]


def bowing_of(note: Note, before: Note | None) -> Bowing:
    """Return the stroke for a note: short ones bounce, smooth neighbours are slurred.

    What was surely struck in the source is bowed anew: slurred, its rhythm would be lost.
    """
    if note.seconds < _SHORT_SECONDS:
        return Bowing.SPICCATO
    is_struck = note.origin == "heard" and note.confidence >= _STRUCK
    if before is None or is_struck or note.seconds <= _LEGATO_SECONDS or note.velocity >= _LOUD:
        return Bowing.MARCATO
    gap = note.start_seconds - before.end_seconds
    near = abs(note.pitch - before.pitch) <= _LEGATO_LEAP
    return Bowing.LEGATO if near and abs(gap) < _LEGATO_GAP_SECONDS else Bowing.MARCATO


def bowed(
    sampler: Sampler,
    program: int,
    note: Note,
    bowing: Bowing,
    *,
    cents: float,
    random: np.random.Generator,
    is_still: bool = False,
) -> Samples:
    """Return a bowed note, `[2, N]`, release included; a still one without the player's vibrato."""
    velocity = min(note.velocity, 1.0)
    vibrato = _vibrato(bowing, random)
    raw = sampler.note(
        program,
        note.pitch,
        float(np.clip(0.3 + 0.6 * velocity, 0.2, 0.95)),
        note.seconds + 0.3,
        cents=cents,
        touch=Touch(None if is_still else vibrato, bowing.skip_seconds, attack=0.002, release=0.1),
    )
    length = samples_in(note.seconds + 5 * bowing.release_seconds)
    body = flattened(fitted(raw, length)) * _stroke(bowing, note.seconds, length)
    bright = passed(body, "lowpass", round(2200 + 9500 * velocity, -2), order=1)
    return ended_both(bright * np.float32(0.25 + 0.75 * velocity))


def _vibrato(bowing: Bowing, random: np.random.Generator) -> Vibrato | None:
    rate, phase = 5.1 + 0.5 * random.random(), 2 * np.pi * random.random()
    return None if bowing is Bowing.SPICCATO else Vibrato(8.0, rate_hz=rate, phase=phase)


def fitted(samples: Samples, length: int) -> Samples:
    """Cut or lengthen with silence."""
    missing = max(0, length - samples.shape[1])
    return np.pad(samples[:, :length], ((0, 0), (0, missing)))


def flattened(samples: Samples) -> Samples:
    """Take a recording's own rise and fall away: an even level, `[2, N]`.

    Weak passages are raised by at most 26 dB, so that noise before the tone stays noise.
    """
    length = samples.shape[1]
    edges = np.arange(0, length, _STEP_SAMPLES)
    power = np.add.reduceat(np.square(samples).sum(axis=0), edges) / (2 * _STEP_SAMPLES)
    width = samples_in(_FLATTENING_SECONDS) // _STEP_SAMPLES
    power = ndimage.uniform_filter1d(power, width, mode="nearest")
    level = np.sqrt(np.maximum(power, 0.0)) + np.float32(1e-9)
    usual = np.percentile(level, 90)
    gains = (usual / np.maximum(level, usual / _MOST_LIFT)).astype(np.float32)
    return np.asarray(samples * between(gains, _STEP_SAMPLES, length), dtype=np.float32)


def _stroke(bowing: Bowing, seconds: float, length: int) -> Samples:
    """Return the envelope of a stroke, `[length]`."""
    t = np.arange(0, length + _STEP_SAMPLES, _STEP_SAMPLES, dtype=np.float32) / np.float32(RATE)
    if bowing is Bowing.SPICCATO:
        shape = np.exp(-t / 0.13)
    elif bowing is Bowing.LEGATO:
        shape = 1.0 - 0.12 * np.exp(-t / 0.15)
    else:
        swell = np.sin(np.pi * np.clip(t / max(seconds, 0.3), 0, 1))
        shape = 0.68 + 0.75 * np.exp(-t / 0.08) + 0.1 * swell
    rise = np.minimum(t / bowing.rise_seconds, 1.0)
    release = np.exp(-np.maximum(t - seconds, 0.0) / bowing.release_seconds)
    strokes = np.asarray(shape * rise * release, dtype=np.float32)
    return between(strokes, _STEP_SAMPLES, length)


def natural(sampler: Sampler, program: int, note: Note, *, cents: float) -> Samples:
    """Return a note as the bank plays it, `[2, N]`."""
    velocity = float(np.clip(0.28 + 0.63 * note.velocity, 0.16, 0.95))
    return sampler.note(program, note.pitch, velocity, note.seconds, cents=cents)


def plucked(sampler: Sampler, program: int, note: Note, *, cents: float) -> Samples:
    """Return a note that is plucked and stopped: quick rise, short ring, `[2, N]`."""
    velocity = float(np.clip(0.28 + 0.63 * note.velocity, 0.16, 0.95))
    length = max(note.seconds, 0.12)
    raw = sampler.note(
        program, note.pitch, velocity, length, cents=cents, touch=Touch(attack=0.002, release=0.35)
    )
    raw *= np.exp(-np.arange(raw.shape[1], dtype=np.float32) / np.float32(0.35 * RATE))
    return raw


def ended_both(samples: Samples) -> Samples:
    """Fade the end of both channels to zero in place."""
    for channel in samples:
        ended(channel)
    return samples
