"""What a preset may say. A misspelt key is an error, never ignored."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Gain = Annotated[float, Field(ge=-60, le=24)]
Pitch = Annotated[int, Field(ge=0, le=127)]
Program = Annotated[int, Field(ge=0, le=127)]


class Strict(BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Voice(Strict):
    """One player: what it sounds like and which part of the music it takes.

    `program` (General MIDI, from the sound bank) or `synth` (a synthesized voice), never both.
    """

    name: str
    role: Literal["line", "riff", "melody", "bass", "chords", "arpeggio"]
    program: Program | None = None
    synth: str | None = None
    articulation: Literal["natural", "bowed", "plucked"] = "natural"
    range: tuple[Pitch, Pitch]
    gain_db: Gain = 0.0
    pan: Annotated[float, Field(ge=-1, le=1)] = 0.0
    detune_cents: float = 0.0
    octave: int = 0
    polyphony: Annotated[int, Field(ge=1, le=12)] | None = None
    style: Literal["sustain", "stab", "chip_arpeggio"] = "sustain"
    velocity: Annotated[float, Field(gt=0, le=1)] = 0.5
    pedal: bool = False
    glide: bool = False
    octave_double: bool = False
    follow: Literal["chord_root"] | None = None

    @model_validator(mode="after")
    def _one_source_of_sound(self) -> "Voice":
        if (self.program is None) == (self.synth is None):
            raise ValueError(f"voice {self.name!r} needs either program or synth")
        return self


class Drums(Strict):
    """A kit and what it plays. Pattern rows are 16 steps a bar: x loud, o medium, - soft, r roll, t triplet."""

    kit: str
    source: Literal["follow", "pattern"] = "follow"
    pattern: dict[str, str | list[str]] = Field(default_factory=dict)
    gain_db: Gain = 0.0
    swing: Annotated[float, Field(ge=0, le=0.5)] = 0.0


class Stroke(Strict):
    """What an ensemble without drums does with a drummer's hit."""

    part: str
    articulation: Literal["natural", "plucked", "spiccato"] = "natural"
    degree: int | Literal["chord"] = 0
    gain_db: Gain = 0.0


class Halo(Strict):
    """Sustain layer that fills what transcription missed; `registers` are (below pitch, program)."""

    gain_db: Gain = -8.0
    registers: list[tuple[Pitch, Program]]


class Effect(Strict):
    """One bus effect by name, with its parameters."""

    kind: str
    parameters: dict[str, float | str] = Field(default_factory=dict)


class Arrangement(Strict):
    """How the arranger plays a preset."""

    voices: list[Voice]
    drums: Drums | None = None
    strokes: dict[Literal["kick", "snare", "hat"], Stroke] = Field(default_factory=dict)
    halo: Halo | None = None
    fill: bool = False
    hold_seconds: Annotated[float, Field(ge=0, le=16)] = 4.0
    effects: list[Effect] = Field(default_factory=list)


class Variation(Strict):
    """A preset: the words for a text model, the numbers of an edit, the parts for the arranger."""

    name: str
    prompt: str
    flowstep: Annotated[float, Field(gt=0, le=1)] = 0.12
    steps: Annotated[int, Field(ge=2, le=512)] = 25
    arrangement: Arrangement
