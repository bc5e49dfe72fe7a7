"""What a preset may say. A misspelt key or name is an error, never ignored.

Knows the words and their ranges; nothing of files (`catalog`), nothing of how a voice is played.
"""

from collections.abc import Set as AbstractSet
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from variations.sounds import EFFECTS, KITS, NEEDED, PARAMETERS, SYNTHS, Reach

STEPS_PER_BAR = 16
STEP_LEVELS = {"x": 1.0, "o": 0.6, "-": 0.35}
"""Velocity of each stroke character of a pattern row; `.` rests, `r` and `t` are rolls."""


def _one_of(known: AbstractSet[str], what: str) -> AfterValidator:
    def check(name: str) -> str:
        if name not in known:
            raise ValueError(f"unknown {what} {name!r}; known: {', '.join(sorted(known))}")
        return name

    return AfterValidator(check)


def _row(text: str) -> str:
    stray = sorted(set(text) - {*STEP_LEVELS, ".", "r", "t"})
    if len(text) != STEPS_PER_BAR or stray:
        raise ValueError(f"a pattern row is {STEPS_PER_BAR} of 'x o - . r t', not {text!r}")
    return text


Row = Annotated[str, AfterValidator(_row)]
"""One bar of sixteenths: `x` loud, `o` medium, `-` soft, `.` rest, `r` roll of two, `t` triplet.

In 12/8 the four signs of a beat fall on its thirds; two bars of 6/8 share a row; in 3/4 the third
beat of a row is left out, so that a backbeat becomes a waltz.
"""

Rows = Row | Annotated[list[Row], Field(min_length=1, max_length=16)]
"""One bar, or several that take turns."""

PartName = Annotated[str, Field(pattern=r"^[^\x00-\x1f/\\,]{1,64}$")]
"""What a player is called, also in files of single parts."""

Synth = Annotated[str, _one_of(SYNTHS, "synth")]
Kit = Annotated[str, _one_of(KITS, "kit")]
EffectName = Annotated[str, _one_of(EFFECTS, "effect")]
_NOT_PLAYERS = frozenset(
    {"drums", "halo", "source", "drums (source)", "voice (source)", "bus"},
)
"""What other parts of an arrangement are called, and what else a result is made of."""

DrumName = Literal["kick", "snare", "clap", "hat", "open_hat", "perc"]
Gain = Annotated[float, Field(ge=-60, le=24)]
Pitch = Annotated[int, Field(ge=0, le=127)]
Program = Annotated[int, Field(ge=0, le=127)]


def _reaches(reach: Reach, value: float | str) -> bool:
    if isinstance(reach, frozenset):
        return value in reach
    return not isinstance(value, str) and reach[0] <= value <= reach[1]


def _said(reach: Reach) -> str:
    if isinstance(reach, frozenset):
        return f"one of {', '.join(sorted(reach))}"
    return f"a number from {reach[0]:g} to {reach[1]:g}"


class Strict(BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Voice(Strict):
    """One player: what it sounds like and which part of the music it takes.

    `program` (General MIDI, from the sound bank) or `synth` (a synthesized voice), never both.

    Roles: `line` is one strict voice of an ensemble, listed from top to bottom; `riff` plays what
    was heard; `melody` the top of it; `bass` the bottom; `chords` the harmony, voice-led;
    `arpeggio` the harmony broken.

    Attributes:
        range: lowest and highest pitch; what lies outside is moved by octaves.
        octave: octaves to move what was heard before fitting it into the range.
        polyphony: most notes at once (`riff`), or the notes of a chord (`chords`, `arpeggio`).
        style: how `chords` are played; `walking` is a bass that walks from chord to chord.
        strum_ms: how far apart the tones of added chords are struck, low to high.
        rhythm: a bar (or several, in turn) that `chords`, `bass` and `arpeggio` are played in.
        velocity: of what is added to the heard notes.
        pedal: let chord tones ring until the chord changes.
        octave_double: double strong notes an octave lower.
        follow: `chord_root` plays the roots on the kick instead of the heard bass.
        stutter: share of the heard notes that are chopped into quick repeats.
    """

    name: PartName
    role: Literal["line", "riff", "melody", "bass", "chords", "arpeggio"]
    program: Program | None = None
    synth: Synth | None = None
    articulation: Literal["natural", "bowed", "plucked"] = "natural"
    range: tuple[Pitch, Pitch]
    gain_db: Gain = 0.0
    pan: Annotated[float, Field(ge=-1, le=1)] = 0.0
    detune_cents: Annotated[float, Field(ge=-50, le=50)] = 0.0
    octave: Annotated[int, Field(ge=-3, le=3)] = 0
    polyphony: Annotated[int, Field(ge=1, le=12)] | None = None
    style: Literal["sustain", "stab", "chip_arpeggio", "walking"] = "sustain"
    strum_ms: Annotated[float, Field(ge=0, le=40)] = 0.0
    rhythm: Rows | None = None
    velocity: Annotated[float, Field(gt=0, le=1)] = 0.5
    pedal: bool = False
    glide: bool = False
    octave_double: bool = False
    follow: Literal["chord_root"] | None = None
    stutter: Annotated[float, Field(ge=0, le=1)] = 0.0

    @model_validator(mode="after")
    def _one_source_of_sound(self) -> "Voice":
        if (self.program is None) == (self.synth is None):
            raise ValueError(f"voice {self.name!r} needs either program or synth")
        return self

    @model_validator(mode="after")
    def _range_holds_an_octave(self) -> "Voice":
        if self.range[1] - self.range[0] < 11:
            raise ValueError(f"the range of voice {self.name!r} must span an octave")
        return self


class Drums(Strict):
    """A kit and what it plays.

    `source = "follow"` takes the strokes that were heard, and the pattern where there are none;
    `"pattern"` always takes the pattern. `swing` delays every second sixteenth by that share.
    """

    kit: Kit
    source: Literal["follow", "pattern"] = "follow"
    pattern: dict[DrumName, Rows] = Field(default_factory=dict)
    gain_db: Gain = 0.0
    swing: Annotated[float, Field(ge=0, le=0.5)] = 0.0


class Stroke(Strict):
    """What an ensemble without drums does with a drummer's hit."""

    part: str
    articulation: Literal["natural", "plucked", "spiccato"] = "natural"
    degree: int | Literal["chord"] = 0
    gain_db: Gain = 0.0


class Halo(Strict):
    """Sustain layer for what transcription missed; `registers` are (below pitch, program)."""

    gain_db: Gain = -8.0
    registers: list[tuple[Pitch, Program]]


class Effect(Strict):
    """One bus effect by name, with its parameters."""

    kind: EffectName
    parameters: dict[str, float | str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_what_it_names(self) -> "Effect":
        known = PARAMETERS[self.kind]
        for name, value in self.parameters.items():
            if name not in known:
                raise ValueError(
                    f"effect {self.kind!r} has no parameter {name!r}; known: {', '.join(known)}"
                )
            if not _reaches(known[name], value):
                raise ValueError(f"{name} of effect {self.kind!r} is {_said(known[name])}")
        missing = NEEDED.get(self.kind, frozenset()) - self.parameters.keys()
        if missing:
            raise ValueError(f"effect {self.kind!r} needs {', '.join(sorted(missing))}")
        return self


class Arrangement(Strict):
    """How the arranger plays a preset.

    `strokes` is for ensembles without drums. `fill` lets idle `line` voices take chord tones.
    """

    voices: Annotated[list[Voice], Field(max_length=32)]
    drums: Drums | None = None
    strokes: dict[Literal["kick", "snare", "hat"], Stroke] = Field(default_factory=dict)
    halo: Halo | None = None
    fill: bool = False
    hold_seconds: Annotated[float, Field(ge=0, le=16)] = 4.0
    effects: list[Effect] = Field(default_factory=list)

    @model_validator(mode="after")
    def _names_fit(self) -> "Arrangement":
        names = [voice.name for voice in self.voices]
        if len(set(names)) < len(names):
            raise ValueError(f"two voices have the same name: {', '.join(sorted(names))}")
        if _NOT_PLAYERS & set(names):
            raise ValueError(f"no voice can be called {' or '.join(sorted(_NOT_PLAYERS))}")
        for stroke in self.strokes.values():
            if stroke.part not in names:
                raise ValueError(f"a stroke names part {stroke.part!r}, which is no voice")
        return self


class Variation(Strict):
    """A preset: the words for a text model, the numbers of an edit, the parts for the arranger."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$")]
    prompt: Annotated[str, Field(min_length=20, max_length=400)]
    flowstep: Annotated[float, Field(gt=0, le=1)] = 0.12
    steps: Annotated[int, Field(ge=2, le=512)] = 25
    arrangement: Arrangement

    @model_validator(mode="after")
    def _somebody_plays(self) -> "Variation":
        if not self.arrangement.voices:
            raise ValueError("a preset needs at least one voice")
        return self
