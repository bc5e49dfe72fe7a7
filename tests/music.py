"""Synthetic music with its ground truth: what tests listen to.

`band` is a chord loop with bass, arpeggio and drums in one of several timbres; `riff` is a picked
guitar figure by Karplus & Strong. Everything is made from the arguments and the seed alone. Each
returns a `Piece`, which knows the tempo, the beats, the chord of every beat and every note.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from server.media.clip import Clip

Timbre = Literal["keys", "reed", "bell"]
Wave = NDArray[np.float64]

NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
BEATS_A_BAR = 4

_LOOPS: dict[str, tuple[tuple[int, ...], ...]] = {
    "minor": ((0, 8, 3, 10), (0, 5, 8, 7), (0, 3, 10, 5), (0, 10, 8, 10)),
    "major": ((0, 7, 9, 5), (0, 9, 5, 7), (0, 5, 2, 7), (0, 4, 5, 7)),
}
"""Roots of a loop's four chords in semitones above the tonic."""

_MINOR_DEGREES = {"minor": (0, 5, 7), "major": (2, 4, 9)}
"""Degrees that carry a minor triad."""

_PARTIALS: dict[Timbre, tuple[float, ...]] = {
    "keys": (1.0, 0.5, 0.33, 0.2, 0.12, 0.08, 0.05),
    "reed": (1.0, 0.05, 0.5, 0.05, 0.3, 0.05, 0.18, 0.02, 0.1),
    "bell": (1.0, 0.0, 0.25, 0.45, 0.0, 0.0, 0.0, 0.15),
}


@dataclass(frozen=True, slots=True)
class Note:
    """One note as it was written. Pitches are MIDI numbers."""

    start_seconds: float
    seconds: float
    pitch: int
    velocity: float


@dataclass(frozen=True, slots=True)
class Stroke:
    """One drum stroke as it was written."""

    start_seconds: float
    kind: Literal["kick", "snare", "hat"]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Music and the truth about it.

    Attributes:
        clip: the sound.
        bpm: beats a minute; the first beat is at sample 0.
        beats: seconds of every beat in the clip.
        chords: name of each beat's chord, such as `"F#m"`.
        notes: by start.
        strokes: by start.
    """

    clip: Clip
    bpm: float
    beats: NDArray[np.float64]
    chords: tuple[str, ...]
    notes: tuple[Note, ...]
    strokes: tuple[Stroke, ...] = ()


def hertz(pitch: float) -> float:
    """Return the frequency of a MIDI number."""
    return float(440.0 * 2.0 ** ((pitch - 69) / 12))


def sine(
    frequency: float,
    seconds: float = 1.0,
    *,
    level: float = 0.5,
    sample_rate: int = 44100,
    channels: int = 1,
) -> Clip:
    """Return a steady tone, the same in all channels."""
    times = np.arange(round(seconds * sample_rate)) / sample_rate
    wave = level * np.sin(2 * np.pi * frequency * times)
    return Clip(np.tile(wave.astype(np.float32), (channels, 1)), sample_rate)


def noise(
    seconds: float = 1.0,
    *,
    seed: int = 0,
    level: float = 0.1,
    sample_rate: int = 44100,
    channels: int = 2,
) -> Clip:
    """Return white noise, independent in each channel; `level` is its standard deviation."""
    shape = (channels, round(seconds * sample_rate))
    wave = np.random.default_rng(seed).normal(0.0, level, shape)
    return Clip(wave.astype(np.float32), sample_rate)


def silence(seconds: float = 1.0, *, sample_rate: int = 44100, channels: int = 2) -> Clip:
    """Return nothing to hear."""
    return Clip(np.zeros((channels, round(seconds * sample_rate)), np.float32), sample_rate)


# The band


def band(
    bpm: float = 120.0,
    key: int = 9,
    seconds: float = 30.0,
    seed: int = 0,
    *,
    mode: Literal["minor", "major"] = "minor",
    timbre: Timbre = "keys",
    sample_rate: int = 44100,
    drums: bool = True,
) -> Piece:
    """Return a stereo piece of bass, held chords, an arpeggio of quavers and drums.

    The key (0 is C), the mode and the seed fix the notes; the timbre only fixes how they sound, so
    two timbres of otherwise equal arguments are the same music. Tempo changes scale time and
    nothing else.
    """
    random = np.random.default_rng(seed)
    loop = _LOOPS[mode][seed % len(_LOOPS[mode])]
    order = random.permutation(4)
    bars = _bars(seconds, bpm)
    beat = 60.0 / bpm
    degrees = [loop[bar % 4] for bar in range(bars)]
    notes = [
        note
        for bar, degree in enumerate(degrees)
        for note in _bar(bar * 4 * beat, beat, key + degree, _third(degree, mode), order)
    ]
    strokes = _strokes(bars, beat, random.random(16)) if drums else []
    chords = [NAMES[(key + d) % 12] + "m" * (_third(d, mode) == 3) for d in degrees]
    mix = _play(notes, strokes, timbre, seconds, sample_rate)
    return _piece(Clip(mix, sample_rate), bpm, chords, notes, strokes)


def _third(degree: int, mode: str) -> int:
    return 3 if degree in _MINOR_DEGREES[mode] else 4


def _bar(start: float, beat: float, root: int, third: int, order: NDArray[np.int64]) -> list[Note]:
    """Write one bar: bass on every second beat, a held triad, eight quavers of arpeggio."""
    root %= 12
    triad = (root, root + third, root + 7)
    bass = [Note(start + 2 * half * beat, 1.9 * beat, 36 + root, 0.9) for half in range(2)]
    held = [Note(start, 3.9 * beat, 60 + (pitch % 12), 0.35) for pitch in triad]
    steps = [72 + pitch for pitch in (*triad, root + 12)]
    quavers = [
        Note(start + step * beat / 2, 0.45 * beat, steps[order[step % 4]], 0.55)
        for step in range(8)
    ]
    return sorted([*bass, *held, *quavers], key=lambda note: (note.start_seconds, note.pitch))


def _strokes(bars: int, beat: float, dice: NDArray[np.float64]) -> list[Stroke]:
    """Write kick, snare and hat over sixteenths; the dice add a few ghost kicks."""
    bar: list[tuple[int, Literal["kick", "snare", "hat"]]] = [(0, "kick"), (8, "kick")]
    bar += [(4, "snare"), (12, "snare")]
    bar += [(step, "hat") for step in range(0, 16, 2)]
    bar += [(step, "kick") for step in (3, 6, 10, 14) if dice[step] > 0.7]
    return [
        Stroke((16 * number + step) * beat / 4, kind)
        for number in range(bars)
        for step, kind in sorted(bar)
    ]


def _play(
    notes: list[Note], strokes: list[Stroke], timbre: Timbre, seconds: float, sample_rate: int
) -> NDArray[np.float32]:
    """Render in stereo, low notes in the middle and high ones to the sides, `[2, N]`."""
    mix = np.zeros((2, round(seconds * sample_rate)))
    for note in notes:
        wave = note.velocity * _tone(
            note.pitch, round(note.seconds * sample_rate), timbre, sample_rate
        )
        side = 0.0 if note.pitch < 55 else 0.3 * (-1) ** note.pitch
        _add(mix, wave, note.start_seconds * sample_rate, side)
    for stroke in strokes:
        _add(mix, _drum(stroke.kind, sample_rate), stroke.start_seconds * sample_rate, 0.0)
    return (0.7 * mix / max(float(np.abs(mix).max()), 1e-9)).astype(np.float32)


def _add(mix: Wave, wave: Wave, position: float, side: float) -> None:
    start = round(position)
    part = wave[: max(0, mix.shape[1] - start)]
    mix[:, start : start + part.shape[0]] += np.outer(
        (1.0 - side, 1.0 + side)[: mix.shape[0]], part
    )


@lru_cache(maxsize=512)
def _tone(pitch: int, length: int, timbre: Timbre, sample_rate: int) -> Wave:
    """Return one note: a few partials under an envelope that a player of the timbre would make."""
    times = np.arange(length) / sample_rate
    wave = np.zeros(length)
    for number, level in enumerate(_PARTIALS[timbre], start=1):
        if level and number * hertz(pitch) < 0.45 * sample_rate:
            fading = 0.0 if timbre == "reed" else 0.8 * number
            angle = 2 * np.pi * number * hertz(pitch) * times
            wave += level * np.sin(angle) * np.exp(-fading * times)
    attack = np.minimum(1.0, times / (0.012 if timbre == "reed" else 0.003))
    release = np.minimum(1.0, (length / sample_rate - times) / 0.02)
    return np.asarray(wave * attack * release)


@lru_cache(maxsize=16)
def _drum(kind: str, sample_rate: int) -> Wave:
    times = np.arange(round(0.25 * sample_rate)) / sample_rate
    if kind == "kick":
        angle = 2 * np.pi * (50 * times + 4.0 * (1 - np.exp(-times / 0.03)))
        return np.asarray(1.2 * np.sin(angle) * np.exp(-times / 0.07))
    hiss = np.random.default_rng(len(kind)).normal(0.0, 1.0, times.shape[0])
    if kind == "snare":
        return np.asarray(0.35 * hiss * np.exp(-times / 0.05))
    bright = np.diff(hiss, prepend=0.0)
    return np.asarray(0.15 * bright * np.exp(-times / 0.02))


# The guitar

_SHAPES = (
    ("Am", (45, 52, 57, 60, 64)),
    ("F", (41, 48, 53, 57, 60)),
    ("C", (48, 52, 55, 60, 64)),
    ("G", (43, 50, 55, 59, 62)),
)
"""Chords of the riff and the pitches of their strings, lowest first."""

_PICKING = (0, 2, 3, 4, 3, 2, 3, 1)
"""Which string each quaver of a bar plucks."""


def riff(
    bpm: float = 120.0,
    seconds: float = 8.0,
    seed: int = 0,
    *,
    cents: float = 0.0,
    transpose: int = 0,
    sample_rate: int = 44100,
) -> Piece:
    """Return a mono picked guitar: quavers over Am F C G, strings ringing through each bar.

    `cents` detunes the instrument; `transpose` moves the music by semitones.
    """
    beat, bars = 60.0 / bpm, _bars(seconds, bpm)
    notes = [
        Note(
            (bar * 4 + step / 2) * beat,
            (4 - step / 2) * beat,
            _SHAPES[bar % 4][1][string] + transpose,
            0.9 if step in (0, 4) else 0.7,
        )
        for bar in range(bars)
        for step, string in enumerate(_PICKING)
    ]
    mix = np.zeros((1, round(seconds * sample_rate)))
    for note in notes:
        length = round(note.seconds * sample_rate)
        string_wave = _string(hertz(note.pitch + cents / 100), length, seed, sample_rate)
        _add(mix, note.velocity * string_wave, note.start_seconds * sample_rate, 0.0)
    samples = (0.7 * mix / max(float(np.abs(mix).max()), 1e-9)).astype(np.float32)
    chords = [_transposed(_SHAPES[bar % 4][0], transpose) for bar in range(bars)]
    return _piece(Clip(samples, sample_rate), bpm, chords, notes, [])


def _transposed(chord: str, semitones: int) -> str:
    root = chord.removesuffix("m")
    return NAMES[(NAMES.index(root) + semitones) % 12] + chord[len(root) :]


@lru_cache(maxsize=256)
def _string(frequency: float, length: int, seed: int, sample_rate: int) -> Wave:
    """Pluck one string; Karplus & Strong, "Digital synthesis of plucked-string" (1983).

    The loop's delay is the period exactly: a two-tap interpolation after a symmetric three-tap
    damping, which itself delays by one sample.
    """
    period = sample_rate / frequency
    whole = int(period) - 1
    fraction = period - 1 - whole
    damping = np.convolve([1 - fraction, fraction], [0.06, 0.88, 0.06])
    feedback = np.zeros(whole + damping.shape[0])
    feedback[0] = 1.0
    feedback[whole:] -= 0.998 * damping
    burst = np.zeros(length)
    pluck = np.random.default_rng(seed).uniform(-1.0, 1.0, round(period))[:length]
    burst[: pluck.shape[0]] = pluck - pluck.mean()
    release = np.minimum(1.0, (length - np.arange(length)) / (0.01 * sample_rate))
    return np.asarray(signal.lfilter([1.0], feedback, burst) * release)


def _bars(seconds: float, bpm: float) -> int:
    return int(np.ceil(seconds * bpm / 60 / BEATS_A_BAR - 1e-6))


def _piece(
    clip: Clip, bpm: float, bar_chords: list[str], notes: list[Note], strokes: list[Stroke]
) -> Piece:
    """Keep what begins within the clip, and spread the chords of bars over beats."""
    count = int(np.ceil(clip.seconds * bpm / 60 - 1e-6))
    beats = np.arange(count, dtype=np.float64) * (60.0 / bpm)
    return Piece(
        clip=clip,
        bpm=bpm,
        beats=beats,
        chords=tuple(bar_chords[index // BEATS_A_BAR] for index in range(len(beats))),
        notes=tuple(note for note in notes if note.start_seconds < clip.seconds),
        strokes=tuple(stroke for stroke in strokes if stroke.start_seconds < clip.seconds),
    )
