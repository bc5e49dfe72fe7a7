"""Job kind `inpaint`: something else in windows of a sound, so that it belongs there."""

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from server.engines.protocols import Brief, Inpainting, Inpaints
from server.jobs.context import Context
from server.jobs.kind import JobSpec, Number
from server.kinds import choices, insertions, paintings, recipe
from server.kinds.choices import CUSTOM, Choice, Prompt, VariationName
from server.kinds.fields import EngineName, Format, Seconds, Seed, Tempo, random_seed
from server.kinds.insertions import Excerpt
from server.kinds.paintings import Canvas
from server.media.bounded import READERS

NAME = "inpaint"
QUEUE = "audio"
CAPABILITY = "inpaints"
SUMMARY = "Replaces windows of a sound by something that belongs there; the rest stays untouched."

MOST_TAKES = 8
DEFAULT_FLOWSTEP = 0.12

Pair = tuple[Seconds, Seconds]


class Spec(JobSpec):
    """What an inpainting needs to know."""

    source: str = Field(description="Id of the artifact to paint in.")
    windows: Annotated[
        tuple[Pair, ...], Field(min_length=1, max_length=insertions.MOST_WINDOWS)
    ] = Field(
        description="Windows to replace, in order: [[start, end], …] in seconds, the end excluded. "
        "In a form: that as JSON, or 4-8, 10.5-12.",
    )
    prompt: Prompt | None = Field(
        None, description="What shall be heard in the windows; replaces the preset's prompt."
    )
    variation: VariationName = Field(
        CUSTOM, description="A preset's name, or custom with a prompt."
    )
    mode: Literal["exact", "bars"] = Field(
        "exact",
        description="exact: the windows as they are. bars: their ends moved to downbeats, by half "
        "a bar and 1.5 s at most.",
    )
    takes: Annotated[int, Field(ge=1, le=MOST_TAKES)] = Field(
        1, description="How many are made; the one that joins best is the result, all are kept."
    )
    keep_groove: bool = Field(
        default=False, description="Whether what was in the windows lends its rhythm."
    )
    context_seconds: Annotated[Number, Field(ge=1, le=30, allow_inf_nan=False)] = Field(
        insertions.CONTEXT_SECONDS, description="How much the engine hears on either side."
    )
    flowstep: Annotated[Number, Field(gt=0, lt=1, allow_inf_nan=False)] | None = Field(
        None, description="With keep_groove: how close to what was there. Unset: the preset's."
    )
    solver: Literal["euler", "midpoint"] = "euler"
    seed: Seed = Field(default_factory=random_seed)
    bpm: Tempo | None = Field(None, description="The tempo, if the DAW knows it.")
    picture: bool = Field(
        default=False, description="Draw source and result with the windows marked, as report.png."
    )
    engine: EngineName = "auto"
    format: Format = "wav"

    @field_validator("windows", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return insertions.listed(value)

    @model_validator(mode="after")
    def _possible(self) -> "Spec":
        insertions.check(self.windows)
        choices.check_words(self.choice, field="prompt")
        return self

    def check_source(self, seconds: float) -> None:
        """Refuse windows that are not in a source of that length.

        Raises:
            errors.InvalidInput: with the field's name.
        """
        insertions.check_within(self.windows, source_seconds=seconds)

    @cached_property
    def choice(self) -> Choice:
        """What shall be heard."""
        return Choice(variation=self.variation, custom_prompt=self.prompt)

    @property
    def brief(self) -> Brief:
        """The choice as an engine reads it."""
        choice = self.choice
        preset = choice.preset
        return Brief(
            variation=preset,
            prompt=choice.prompt,
            is_custom=bool(choice.words),
            flowstep=self.flowstep or (preset.flowstep if preset else DEFAULT_FLOWSTEP),
            solver=self.solver,
            steps=preset.steps if preset else None,
            seed=self.seed,
            bpm=self.bpm,
            keeps_groove=self.keep_groove,
        )


def run(spec: Spec, ctx: Context) -> None:
    """Decode, listen, paint, join, choose the best, store."""
    engine: Inpaints = ctx.engine(spec.engine, CAPABILITY)
    listened = ctx.stage("listening", 0.02, 0.1)
    source = READERS.decode(ctx.read(spec.source), max_seconds=ctx.source_seconds)
    canvas = paintings.canvas(source, spec.windows, in_bars=spec.mode == "bars", bpm=spec.bpm)
    listened(1, 1)
    groups = insertions.excerpts(
        canvas.source, canvas.windows, context_seconds=spec.context_seconds
    )
    painted = _painted(spec, canvas, groups, engine, ctx)
    on_step = ctx.stage("joining", 0.85, 0.95)
    places, made = paintings.places(canvas), []
    for number, inpaintings in enumerate(zip(*painted, strict=True)):
        made.append(paintings.take(spec.seed + number, canvas, groups, inpaintings, places))
        on_step(number + 1, spec.takes)
    best = paintings.best_of(made)
    ctx.report(0.95, stage="storing")
    facts = {"variation": spec.variation, "prompt": spec.prompt, "mode": spec.mode}
    stored = paintings.store(
        canvas, made, best, ctx, fmt=spec.format, title=spec.choice.words or spec.variation
    )
    ctx.remember(last_input=spec.source, last_processed=stored.artifact_id)
    report = {**facts, **paintings.report(canvas, made, best, stored, groups)}
    if spec.picture:
        ctx.report(0.97, stage="drawing")
        paintings.draw(canvas, made[best], report, ctx)
    ctx.conclude(
        seed=spec.seed,
        report=report,
        recipe=recipe.of(
            NAME, spec, ctx.job.engine, model=made[best].model, prompts=[spec.choice.prompt]
        ),
    )


def _painted(
    spec: Spec, canvas: Canvas, groups: Sequence[Excerpt], engine: Inpaints, ctx: Context
) -> list[list[Inpainting]]:
    """Return the takes of each excerpt."""
    share = (0.85 - 0.1) / len(groups)
    return [
        engine.inpaint(
            group.of(canvas.source),
            group.inner,
            spec.brief,
            takes=spec.takes,
            on_step=ctx.stage("painting", 0.1 + place * share, 0.1 + (place + 1) * share),
        )
        for place, group in enumerate(groups)
    ]
