"""Job kind `continuation`: music that goes on where a sound ends, or where the musician says."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from server import errors
from server.engines.protocols import Brief
from server.jobs.kind import Number
from server.kinds import choices, insertions
from server.kinds.choices import CUSTOM, Choice, Prompt
from server.kinds.fields import EngineName, Format, Seconds, Seed, Tempo, random_seed
from server.kinds.sampling import Sampled

NAME = "continuation"
QUEUE = "audio"
CAPABILITY = "continues"
SUMMARY = "Goes on where a sound ends, or after its beginning; what is kept stays untouched."

USUAL_SECONDS = 30.0
"""Of prompt and new music together where nothing else is asked for: what a model hears at once."""

SHORTEST_PROMPT, LONGEST_PROMPT = 1.0, 30.0
SHORTEST_SECONDS = 0.25
LONGEST_SECONDS = 3600.0
MOST_TAKES = 4

Length = Annotated[Number, Field(ge=SHORTEST_SECONDS, le=LONGEST_SECONDS, allow_inf_nan=False)]


class Spec(Sampled):
    """What a continuation needs to know."""

    source: str = Field(description="Id of the artifact to go on from.")
    prompt: Prompt | None = Field(
        None, description="Where the music shall go; replaces the preset's prompt. May be empty."
    )
    variation: str = Field(CUSTOM, description="A preset's name, or custom with or without prompt.")
    prompt_from: Literal["end", "start"] = Field(
        "end",
        description="Which part the engine hears and goes on from. end: everything is kept. "
        "start: the first prompt_duration seconds are.",
    )
    prompt_duration: Annotated[
        Number, Field(ge=SHORTEST_PROMPT, le=LONGEST_PROMPT, allow_inf_nan=False)
    ] = Field(6.0, description="How many seconds of the sound the engine hears.")
    prompt_window: tuple[Seconds, Seconds] | None = Field(
        None,
        description="Instead of prompt_from and prompt_duration: [start, end] in seconds. What is "
        "before the end is kept. In a form: that as JSON, or 4-10.",
    )
    total_seconds: Length | None = Field(
        None, description="How long the whole result shall be, what is kept included."
    )
    appended_seconds: Length | None = Field(
        None,
        description="Instead of total_seconds: how much is new. Neither: 30 less the prompt.",
    )
    join: Literal["exact", "beat"] = Field(
        "exact",
        description="exact: everything up to the join is kept. beat: the join moves back to the "
        "last downbeat, so that a loop goes on in time.",
    )
    most_takes: Annotated[int, Field(ge=1, le=MOST_TAKES)] = Field(
        3, description="How often it may be played, should there be silence or a sudden end."
    )
    seed: Seed = Field(default_factory=random_seed)
    bpm: Tempo | None = Field(None, description="The tempo, if the DAW knows it.")
    engine: EngineName = "auto"
    format: Format = "wav"

    @field_validator("prompt_window", mode="before")
    @classmethod
    def _one_window(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        found = insertions.listed(value) if value.strip() else None
        is_span = isinstance(found, list) and len(found) == 1 and isinstance(found[0], list)
        return found[0] if is_span and found else found

    @field_validator("variation")
    @classmethod
    def _known_variation(cls, name: str) -> str:
        choices.check_name(name, field="variation")
        return name

    @model_validator(mode="after")
    def _possible(self) -> "Spec":
        if self.prompt_window is not None:
            start, end = self.prompt_window
            if not SHORTEST_PROMPT <= end - start <= LONGEST_PROMPT:
                words = f"A prompt is {SHORTEST_PROMPT:g} to {LONGEST_PROMPT:g} seconds long."
                raise errors.InvalidInput(words, field="prompt_window")
        if self.total_seconds is not None and self.appended_seconds is not None:
            words = "Send either total_seconds or appended_seconds."
            raise errors.InvalidInput(words, field="total_seconds")
        is_said = self.total_seconds is not None or self.appended_seconds is not None
        if not is_said and USUAL_SECONDS - self.prompt_seconds < SHORTEST_SECONDS:
            words = "So long a prompt needs total_seconds or appended_seconds."
            raise errors.InvalidInput(words, field="appended_seconds")
        return self

    @property
    def prompt_seconds(self) -> float:
        """How much the engine hears, of a source that is long enough."""
        if self.prompt_window is not None:
            return self.prompt_window[1] - self.prompt_window[0]
        return self.prompt_duration

    def kept_seconds(self, source_seconds: float) -> float:
        """Return how much of a source is kept; with `join` at a beat it may be less."""
        if self.prompt_window is not None:
            return min(self.prompt_window[1], source_seconds)
        if self.prompt_from == "start":
            return min(self.prompt_duration, source_seconds)
        return source_seconds

    def appended_to(self, kept_seconds: float) -> float:
        """Return how much is new after so much that is kept."""
        if self.total_seconds is not None:
            return self.total_seconds - kept_seconds
        if self.appended_seconds is not None:
            return self.appended_seconds
        return USUAL_SECONDS - self.prompt_seconds

    def check_source(self, seconds: float) -> None:
        """Refuse a prompt that is not in a source of that length, or a result without anything new.

        Raises:
            errors.InvalidInput: with the field's name.
        """
        length = f"the sound is {seconds:.3f} seconds long"
        if seconds < SHORTEST_SECONDS:
            words = f"There must be {SHORTEST_SECONDS} seconds to go on from; {length}."
            raise errors.InvalidInput(words, field="source")
        window = self.prompt_window
        if window is not None and window[1] > seconds + insertions.ROUNDING_SECONDS:
            raise errors.InvalidInput(f"It ends too late; {length}.", field="prompt_window")
        kept = self.kept_seconds(seconds)
        if self.appended_to(kept) < SHORTEST_SECONDS:
            words = f"The first {kept:.3f} seconds are kept, so there would be nothing new."
            raise errors.InvalidInput(words, field="total_seconds")

    @property
    def choice(self) -> Choice:
        """What shall be heard; nothing need be said."""
        return Choice(variation=self.variation, custom_prompt=self.prompt)

    def brief(self, take: int = 0) -> Brief:
        """Return what an engine reads for a take, the first of which is 0."""
        choice = self.choice
        return Brief(
            variation=choice.preset,
            prompt=choice.prompt,
            is_custom=bool(choice.words),
            seed=self.seed + take,
            bpm=self.bpm,
        )
