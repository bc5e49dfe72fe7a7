"""Job kind `continuation`: music that goes on where a sound ends, or where the musician says."""

from functools import cached_property
from typing import Literal

from pydantic import Field, field_validator, model_validator

from server import errors
from server.engines.protocols import Brief, Continuation, Continues, OnStep
from server.jobs.context import Context
from server.kinds import extensions, insertions, limits, recipe, signing, takes
from server.kinds.choices import CUSTOM, Choice, Prompt, VariationName
from server.kinds.extensions import Extended, Place
from server.kinds.fields import EngineName, Format, Seconds, Seed, Tempo, random_seed
from server.kinds.players import Player, Takes
from server.kinds.sampling import Sampled
from server.media.bounded import READERS

NAME = "continuation"
QUEUE = "audio"
CAPABILITY = "continues"
SUMMARY = "Goes on where a sound ends, or after its beginning; what is kept stays untouched."

USUAL_SECONDS = 30.0
"""Of prompt and new music together where nothing else is asked for: what a model hears at once."""

SHORTEST_PROMPT, LONGEST_PROMPT = 1.0, 30.0


class Spec(Sampled):
    """What a continuation needs to know."""

    source: str = Field(description="Id of the artifact to go on from.")
    prompt: Prompt | None = Field(
        None, description="Where the music shall go; replaces the preset's prompt. May be empty."
    )
    variation: VariationName = Field(
        CUSTOM, description="A preset's name, or custom with or without prompt."
    )
    prompt_from: Literal["end", "start"] = Field(
        "end",
        description="Which part the engine hears and goes on from. end: everything is kept. "
        "start: the first prompt_duration seconds are.",
    )
    prompt_duration: limits.Prompted = Field(
        6.0,
        description="How many seconds of the sound the engine goes on from. The arranger listens "
        "to what is before them too.",
    )
    prompt_window: tuple[Seconds, Seconds] | None = Field(
        None,
        description="Instead of prompt_from and prompt_duration: [start, end] in seconds. What is "
        "before the end is kept. In a form: that as JSON, or 4-10.",
    )
    total_seconds: limits.Length | None = Field(
        None, description="How long the whole result shall be, what is kept included."
    )
    appended_seconds: limits.Length | None = Field(
        None,
        description="Instead of total_seconds: how much is new. Neither: 30 less the prompt.",
    )
    join: Literal["exact", "beat"] = Field(
        "exact",
        description="exact: everything up to the join is kept. beat: the join moves back to the "
        "last beat, so that a loop goes on in time.",
    )
    most_takes: limits.Takes = Field(
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
        if not is_said and USUAL_SECONDS - self.prompt_seconds < limits.SHORTEST_SECONDS:
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

    def work_seconds(self, source_seconds: float | None) -> float | None:
        """Return how much is played: what is kept takes no time."""
        return self.appended_to(self.kept_seconds(source_seconds or 0.0))

    def check_result(self, source_seconds: float | None, *, most_seconds: float) -> None:
        """Refuse a result that nobody could go on from again.

        Raises:
            errors.TooLong: with the field's name.
        """
        kept = self.kept_seconds(source_seconds or 0.0)
        field = "appended_seconds" if self.total_seconds is None else "total_seconds"
        limits.check(kept + self.appended_to(kept), most_seconds=most_seconds, field=field)

    def check_source(self, seconds: float) -> None:
        """Refuse a prompt that is not in a source of that length, or a result without anything new.

        Raises:
            errors.InvalidInput: with the field's name.
        """
        length = f"the sound is {seconds:.3f} seconds long"
        if seconds < limits.SHORTEST_SECONDS:
            words = f"There must be {limits.SHORTEST_SECONDS} seconds to go on from; {length}."
            raise errors.InvalidInput(words, field="source")
        window = self.prompt_window
        if window is not None and window[1] > seconds + insertions.ROUNDING_SECONDS:
            raise errors.InvalidInput(f"It ends too late; {length}.", field="prompt_window")
        kept = self.kept_seconds(seconds)
        if self.appended_to(kept) < limits.SHORTEST_SECONDS:
            words = f"The first {kept:.3f} seconds are kept, so there would be nothing new."
            raise errors.InvalidInput(words, field="total_seconds")

    @cached_property
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


def run(spec: Spec, ctx: Context) -> None:
    """Decode, listen, play until it does not stop by itself, join, store."""
    player = Player(spec.engine, CAPABILITY, ctx)
    listened = ctx.stage("listening", 0.02, 0.08)
    source = READERS.decode(ctx.read(spec.source), max_seconds=ctx.source_seconds)
    spec.check_source(source.seconds)  # what a header says of a length may be a little off
    where = extensions.place(
        source,
        end_seconds=spec.kept_seconds(source.seconds),
        heard_seconds=spec.prompt_seconds,
        on_beat=spec.join == "beat",
        bpm=spec.bpm,
    )
    listened(1, 1)
    length = _length(spec, where)
    played = _played(spec, where, length, player)
    ctx.report(0.9, stage="joining")
    made = extensions.extended(where, played.chosen.played.clip, length)
    ctx.report(0.95, stage="storing")
    data = _file(spec, where, made, played, ctx)
    name = f"continued.{spec.format}"
    stored = takes.store(made.clip, data, ctx, name=name, fmt=spec.format)
    ctx.remember(last_input=spec.source, last_processed=stored.id)
    chosen = played.chosen.played
    report = extensions.report(where, made, played, data, engine=player.name)
    said = [*player.notices, *(player.unused(spec.model, chosen) if spec.model else ())]
    ctx.conclude(
        seed=spec.seed,
        report={
            "variation": spec.variation,
            "prompt": spec.prompt,
            **report,
            "notices": [*said, *report["notices"]],
        },
        recipe=recipe.of(
            NAME, spec, ctx.job.engine, model=chosen.model, prompts=[spec.choice.prompt]
        ),
    )


def _length(spec: Spec, where: Place) -> int:
    """Return how many samples are new; a source that was cut to a beat gets so many more."""
    rate, end = where.ground.source.sample_rate, where.ground.end
    if spec.total_seconds is not None:
        return round(spec.total_seconds * rate) - end
    return round(spec.appended_to(end / rate) * rate)


def _played(spec: Spec, where: Place, length: int, player: Player) -> Takes:
    ground = where.ground

    def play(engine: Continues, number: int, on_step: OnStep) -> Continuation:
        seconds = length / ground.source.sample_rate
        brief = spec.brief(number)
        return engine.continue_music(
            ground.prompt,
            brief,
            spec.sampling,
            seconds=seconds,
            on_step=on_step,
            earlier=ground.earlier,
        )

    return player.takes(
        play,
        lambda played: extensions.judged(ground, played, length),
        seed=spec.seed,
        most=spec.most_takes,
        share=(0.08, 0.9),
    )


def _file(spec: Spec, where: Place, made: Extended, played: Takes, ctx: Context) -> bytes:
    maker = signing.maker(ctx, played.chosen.played, seed=played.chosen.seed)
    title = spec.choice.words or (spec.variation if spec.choice.preset else NAME)
    # the chords are those of the prompt alone
    music = signing.music_of(played.chosen.played.heard, has_chords=False)
    return signing.encoded(
        made.clip,
        spec.format,
        maker.tags(title, music),
        music,
        made_on=maker.made_on,
        subtype=takes.subtype_for(where.ground.source, spec.format),
    )
