"""The vocabulary of the arranger: what was heard, and what shall be played.

Plain frozen values; every other module of the engine speaks in them. Times are seconds from the
first sample of the clip, pitches are MIDI note numbers, velocities lie in (0, 1].
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from server.engines.arranger.choices import Choices
from server.media.key import PITCH_NAMES, Key
from server.media.sheet import Bend
from variations.schema import Drums, Effect, Halo, Voice

ANALYSIS_RATE = 22050
FRAME_HOP = 256
FRAME_RATE = ANALYSIS_RATE / FRAME_HOP
"""Frames per second of every posterior and of `Heard.sustain`."""

AUDIBLE_PULSE = 2.8
"""Onsets that agree less on a grid have no pulse: clips in free time reach 2.7, eight even quavers
3.2, and of 230 random pieces 95 in a hundred more."""

LOWEST_PITCH = 21
"""MIDI number of the first of the 88 columns of a posterior (A0)."""

QUALITIES: dict[str, tuple[int, ...]] = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "m7": (0, 3, 7, 10),
    "maj7": (0, 4, 7, 11),
    "sus4": (0, 5, 7),
    "sus2": (0, 2, 7),
    "dim": (0, 3, 6),
    "5": (0, 7),
}
"""Chord qualities and their intervals in semitones above the root."""

DrumKind = Literal["kick", "snare", "clap", "hat", "open_hat", "perc"]


@dataclass(frozen=True, slots=True)
class Note:
    """One note. `origin` tells what was heard in the source from what the arranger added.

    `bend` is how its pitch moves against `pitch`; empty where it stays.
    """

    start_seconds: float
    seconds: float
    pitch: int
    velocity: float
    confidence: float = 1.0
    origin: Literal["heard", "fill"] = "heard"
    bend: Bend = ()

    @property
    def end_seconds(self) -> float:
        """When it stops."""
        return self.start_seconds + self.seconds


@dataclass(frozen=True, slots=True)
class Chord:
    """The harmony of one beat; `root` is None where there is none."""

    start_seconds: float
    end_seconds: float
    root: int | None
    quality: str
    bass: int | None
    confidence: float

    @property
    def name(self) -> str:
        """`"Am7"`, or `"N"` for no chord."""
        return "N" if self.root is None else PITCH_NAMES[self.root] + self.quality

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        """Its tones as 0–11, root first; empty where there is no chord."""
        if self.root is None:
            return ()
        return tuple((self.root + interval) % 12 for interval in QUALITIES[self.quality])


@dataclass(frozen=True, slots=True)
class DrumHit:
    """One stroke."""

    start_seconds: float
    kind: DrumKind
    velocity: float


@dataclass(frozen=True, slots=True)
class Meter:
    """How beats make bars: `beats` a bar, each of `division` equal parts (2, or 3 as in 6/8)."""

    beats: int = 4
    division: Literal[2, 3] = 2

    @property
    def signature(self) -> tuple[int, int]:
        """The time signature as it is printed: (3, 4), or (6, 8) for two beats of three."""
        return (self.beats, 4) if self.division == 2 else (3 * self.beats, 8)

    @property
    def name(self) -> str:
        """`"3/4"`."""
        return "{}/{}".format(*self.signature)


FOUR_FOUR = Meter()


_ALONE = 0.92


@dataclass(frozen=True, slots=True, eq=False)
class Singing:
    """A human voice in the source.

    Attributes:
        confidence: 0 to 1 that there is one.
        share: of the pitched sound's energy that is voice; near 1 there is nothing else.
        layer: `[N]` the voice as far as it can be told apart, at `ANALYSIS_RATE` and at the level
            of the listened-to sound; `Heard.percussive_gain` brings it to that of the clip.
        notes: those of `Heard.notes` that are the voice's.
    """

    confidence: float
    share: float
    layer: NDArray[np.float32]
    notes: tuple[Note, ...] = ()

    @property
    def is_alone(self) -> bool:
        """Whether there is nothing else that is pitched."""
        return self.share >= _ALONE


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What the engine heard in a clip.

    Attributes:
        seconds: duration of the clip.
        bpm: beats per minute of the grid.
        tempo_confidence: how much better onsets agree on the grid than onsets at random would; see
            `AUDIBLE_PULSE`.
        is_steady: whether one constant grid fits the whole clip.
        beats: `[B]` seconds, strictly rising, covering the clip.
        downbeat: which of the first bar's beats starts a bar.
        notes: by start.
        chords: one a beat, without gaps, from 0 to `seconds`.
        key: None where nothing pitched was heard.
        tuning_cents: offset of the source from A = 440 Hz.
        drums: strokes by start; empty where there is no percussion.
        pitchedness: sounding notes per second weighted by velocity; below 0.2 counts as unpitched.
        sustain: `[T, 88]` level of each semitone at `FRAME_RATE` frames a second.
        percussive: `[N]` percussive layer at `ANALYSIS_RATE`.
        percussive_gain: multiply `percussive` by this to be at the level it has in the clip.
        meter: how beats make bars.
        swing: by which share of half a beat the second half of it comes late; 1/3 is a triplet's.
        singing: None where no voice was heard.
        meter_confidence: how much more the music repeats after its bar than after another one's; 0
            where nothing tells, and `meter` is the usual one.
        fine_swing: by which share of a sixteenth every second sixteenth comes late.
        hinted_bpm: the tempo that was told, if one was.
        follows_hint: whether `bpm` is the one that was told.
    """

    seconds: float
    bpm: float
    tempo_confidence: float
    is_steady: bool
    beats: NDArray[np.float64]
    downbeat: int
    notes: tuple[Note, ...]
    chords: tuple[Chord, ...]
    key: Key | None
    tuning_cents: float
    drums: tuple[DrumHit, ...]
    pitchedness: float
    sustain: NDArray[np.float32]
    percussive: NDArray[np.float32]
    percussive_gain: float
    meter: Meter = FOUR_FOUR
    swing: float = 0.0
    singing: Singing | None = None
    meter_confidence: float = 0.0
    fine_swing: float = 0.0
    hinted_bpm: float | None = None
    follows_hint: bool = True

    @property
    def has_pulse(self) -> bool:
        """Whether there is a tempo: heard, or told; without one the beats are a mere ruler."""
        is_told = self.hinted_bpm is not None and self.follows_hint
        return is_told or self.tempo_confidence >= AUDIBLE_PULSE

    @property
    def is_pitched(self) -> bool:
        """Whether there is harmony to keep."""
        return self.pitchedness >= 0.2 and bool(self.notes)

    @property
    def beat_seconds(self) -> float:
        """Length of a beat."""
        return 60.0 / self.bpm


@dataclass(frozen=True, slots=True)
class Part:
    """One player's notes, by start."""

    voice: Voice
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """Everything the renderer needs; it looks at nothing else.

    Attributes:
        seconds: length of the result.
        parts: pitched players.
        hits: drum strokes for `drums` (the kit); kicks also drive a `duck` effect.
        drums: the kit, or None.
        kick_root: pitch class kicks and 808s are tuned to, or None.
        halo: sustain layer driven by `Heard.sustain`, or None.
        effects: bus effects in order.
        beat_seconds: for tempo-synchronous effects.
        tuning_cents: everything is rendered at the source's tuning, so that blends do not beat.
        choices: what is wanted of single parts. A part that is mute is written all the same.
    """

    seconds: float
    parts: tuple[Part, ...]
    hits: tuple[DrumHit, ...] = ()
    drums: Drums | None = None
    kick_root: int | None = None
    halo: Halo | None = None
    effects: tuple[Effect, ...] = ()
    beat_seconds: float = 0.5
    tuning_cents: float = 0.0
    notices: tuple[str, ...] = field(default=())
    choices: Choices = field(default_factory=Choices)
