"""Random music with its ground truth, played by the engine's own sampler from any sound bank.

For training the note verifier. Knows how music is put together well enough that what is heard in it
is like what is heard in music: loops of four chords, figures, chords, strums, basses, leads, drums.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from server.engines.arranger.sampler import Sampler
from server.engines.arranger.score import ANALYSIS_RATE
from server.media import resample
from server.media.clip import Clip, Samples

RATE = 44100
DRUM_BANK = 128

_CHORD_PROGRAMS = (0, 1, 2, 4, 5, 6, 7, 11, 16, 17, 18, 24, 25, 26, 27, 28, 29, 30)
_BASS_PROGRAMS = (32, 33, 34, 35, 36, 37, 38, 39, 43)
_LEAD_PROGRAMS = (
    10,
    11,
    12,
    22,
    40,
    41,
    42,
    46,
    48,
    56,
    57,
    60,
    64,
    65,
    66,
    68,
    71,
    73,
    75,
    80,
    81,
)
_PAD_PROGRAMS = (48, 49, 50, 51, 52, 88, 89, 90, 91, 95)
_SCALE = (0, 2, 4, 5, 7, 9, 11)
_TRIADS = ((0, 4, 7), (0, 3, 7), (0, 3, 7), (0, 4, 7), (0, 4, 7), (0, 3, 7))
_MODES = {
    "arpeggio": 0.15,
    "chords": 0.12,
    "strum": 0.13,
    "solo": 0.1,
    "bass": 0.1,
    "mix": 0.3,
    "riff": 0.1,
}
_JITTER_SECONDS = 0.006
_KICK, _SNARE, _HAT = 36, 38, 42
_LOWEST, _HIGHEST = 24, 103

Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class Played:
    """One note to be played; drums are played and not part of the truth."""

    start_seconds: float
    seconds: float
    pitch: int
    velocity: float
    program: int
    bank: int = 0


@dataclass(frozen=True, slots=True)
class _Plan:
    """Tempo, length and harmony that the players share; a chord a bar, tones of an octave."""

    beat: float
    bars: int
    chords: tuple[tuple[int, ...], ...]

    def voicing(self, bar: int, low: int, count: int) -> list[int]:
        """Return the lowest `count` chord tones from `low` up."""
        tones = {tone % 12 for tone in self.chords[bar % len(self.chords)]}
        return [pitch for pitch in range(low, low + 48) if pitch % 12 in tones][:count]

    def root(self, bar: int, low: int) -> int:
        """Return the chord's root in the octave above `low`."""
        return low + (self.chords[bar % len(self.chords)][0] - low) % 12


_Figure = list[tuple[float, float, int]]
"""Start and length in beats, pitch."""


def compose(random: Random, seconds: float) -> list[Played]:
    """Return random music of about that length, by start."""
    beat = 60.0 / random.uniform(70, 160)
    key = int(random.integers(12))
    degrees = random.choice(6, 4)
    chords = tuple(tuple(key + _SCALE[d] + step for step in _TRIADS[d]) for d in degrees)
    plan = _Plan(beat, int(np.ceil(seconds / (4 * beat))), chords)
    mode = str(random.choice(list(_MODES), p=list(_MODES.values())))
    notes = [note for player in _players(mode, random) for note in player(plan, random)]
    return sorted((note for note in notes if note.start_seconds < seconds), key=_start)


def _start(note: Played) -> float:
    return note.start_seconds


_Player = Callable[[_Plan, Random], list[Played]]


def _players(mode: str, random: Random) -> list[_Player]:
    solo: dict[str, list[_Player]] = {
        "arpeggio": [_arpeggio],
        "chords": [_chords],
        "strum": [_strum],
        "solo": [_lead],
        "bass": [_bass],
        "riff": [_arpeggio, _bass],
        "mix": [_bass, _arpeggio if random.random() < 0.5 else _chords],
    }
    players = solo[mode]
    if mode in {"mix", "chords", "arpeggio"} and random.random() < 0.6:
        players = [*players, _lead]
    if mode == "mix" and random.random() < 0.5:
        players = [*players, _pad]
    if mode == "mix" or random.random() < 0.15:
        players = [*players, _drums]
    return players


# Players


def _arpeggio(plan: _Plan, random: Random) -> list[Played]:
    low, count = int(random.integers(40, 60)), int(random.integers(3, 7))
    division = int(random.choice([2, 2, 3, 4]))
    pattern = random.integers(0, count, 16)
    figure: _Figure = []
    for bar in range(plan.bars):
        tones = plan.voicing(bar, low, count)
        for step in range(4 * division):
            if random.random() < 0.9:
                length = int(random.choice([1, 1, 2, 3])) / division
                figure.append((4 * bar + step / division, length, tones[pattern[step % 16]]))
    return _played(figure, plan, random, _CHORD_PROGRAMS)


def _chords(plan: _Plan, random: Random, spread: float = 0.0) -> list[Played]:
    rhythms = ((0, 1, 1.5, 2.5, 3, 3.5), (0, 1, 2, 3), (0, 2))
    rhythm = rhythms[int(random.integers(len(rhythms)))]
    low, count = int(random.integers(40, 60)), int(random.integers(3, 7))
    figure: _Figure = []
    for bar in range(plan.bars):
        for start, end in zip(rhythm, (*rhythm[1:], 4), strict=True):
            length = (end - start) * random.uniform(0.6, 1.0)
            figure += [
                (4 * bar + start + place * spread / plan.beat, length, pitch)
                for place, pitch in enumerate(plan.voicing(bar, low, count))
            ]
    return _played(figure, plan, random, _CHORD_PROGRAMS)


def _strum(plan: _Plan, random: Random) -> list[Played]:
    return _chords(plan, random, 0.012)


def _pad(plan: _Plan, random: Random) -> list[Played]:
    figure = [
        (4.0 * bar, 4.0, pitch) for bar in range(plan.bars) for pitch in plan.voicing(bar, 57, 3)
    ]
    return _played(figure, plan, random, _PAD_PROGRAMS)


def _bass(plan: _Plan, random: Random) -> list[Played]:
    lengths = [0.5] if random.random() < 0.4 else [0.25, 0.5, 0.5, 1.0, 1.0, 1.5]
    figure: _Figure = []
    time = 0.0
    while time < 4 * plan.bars:
        length = float(random.choice(lengths))
        leap = int(random.choice([0, 0, 0, 7, 12]))
        figure.append((time, 0.9 * length, plan.root(int(time) // 4, 28) + leap))
        time += length
    return _played(figure, plan, random, _BASS_PROGRAMS)


def _lead(plan: _Plan, random: Random) -> list[Played]:
    scale = {tone % 12 for chord in plan.chords for tone in chord}
    figure: _Figure = []
    pitch, time = 72, 0.0
    while time < 4 * plan.bars:
        length = float(random.choice([0.25, 0.25, 0.5, 0.5, 1.0, 2.0]))
        near = [other for other in range(pitch - 5, pitch + 6) if other % 12 in scale]
        pitch = int(np.clip(random.choice(near), 60, 88))
        if random.random() < 0.85:
            figure.append((time, 0.95 * length, pitch))
        time += length
    return _played(figure, plan, random, _LEAD_PROGRAMS)


def _drums(plan: _Plan, random: Random) -> list[Played]:
    strokes = []
    for step in range(8 * plan.bars):
        start = step * plan.beat / 2
        kinds = [_HAT] + [_KICK] * (step % 8 in {0, 5}) + [_SNARE] * (step % 4 == 2)
        for kind in kinds:
            velocity = float(random.uniform(0.3, 0.6)) if kind == _HAT else 0.8
            strokes.append(Played(start, 0.1, kind, velocity, 0, DRUM_BANK))
    return strokes


def _played(
    figure: _Figure, plan: _Plan, random: Random, programs: tuple[int, ...]
) -> list[Played]:
    """Return the figure on one of the programs, timed and struck like a person would."""
    program = int(random.choice(programs))
    notes = []
    for start, length, pitch in figure:
        if _LOWEST <= pitch <= _HIGHEST:
            time = max(0.0, start * plan.beat + random.normal(0, _JITTER_SECONDS))
            velocity = float(random.uniform(0.4, 0.87))
            notes.append(Played(time, max(length * plan.beat, 0.06), pitch, velocity, program))
    return notes


# Sound


def render(notes: list[Played], sampler: Sampler, seconds: float, random: Random) -> Samples:
    """Return the music as it might reach us, mono `[N]` at the analysis rate.

    Sometimes driven, sometimes dull, sometimes noisy, at any level.
    """
    mix = np.zeros(round(seconds * RATE), np.float32)
    for note in notes:
        if not sampler.soundfont.has(note.bank, note.program):
            continue
        wave = sampler.note(
            note.program, note.pitch, note.velocity, note.seconds, bank=note.bank
        ).mean(axis=0)
        start = round(note.start_seconds * RATE)
        part = wave[: mix.shape[0] - start]
        mix[start : start + part.shape[0]] += part
    clip = resample.resample(Clip(mix[None], RATE), ANALYSIS_RATE)
    return _worn(_normalized(clip.mono()).astype(np.float64), random)


def _worn(wave: NDArray[np.float64], random: Random) -> Samples:
    if random.random() < 0.3:
        wave = np.tanh(wave * random.uniform(1, 6))
    if random.random() < 0.3:
        cutoff = random.uniform(2000, 8000) / (ANALYSIS_RATE / 2)
        wave = signal.sosfilt(signal.butter(2, cutoff, output="sos"), wave)
    if random.random() < 0.3:
        wave = wave + random.normal(0, 10 ** (random.uniform(-50, -28) / 20), wave.shape[0])
    return np.asarray(_normalized(wave) * random.uniform(0.1, 0.95), np.float32)


def _normalized(wave: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.asarray(wave / max(float(np.abs(wave).max()), 1e-9))
