"""Job kind `transform`: the same music, played by something else."""

import random
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

import variations
from server import errors
from server.engines.catalog import ENGINES
from server.engines.protocols import Brief, Transformation, Transforms
from server.jobs.context import Context
from server.jobs.kind import JobSpec, Number
from server.kinds import recipe
from server.media import codec, formats
from server.media.clip import Clip

NAME = "transform"
QUEUE = "audio"
SUMMARY = "Plays the same music with something else: tempo, chords and length are kept."

CUSTOM = "custom"
LARGEST_RANDOM_SEED = 99999


class Spec(JobSpec):
    """What a transform needs to know.

    `flowstep` is the pivot of an edit: higher stays closer to the source, 1.0 is identity. A seed
    of -1 or none draws one from 0 to 99999.
    """

    source: str = Field(description="Id of the artifact to transform.")
    variation: str = Field(CUSTOM, description="A preset's name, or custom with custom_prompt.")
    custom_prompt: Annotated[str, Field(max_length=2000)] | None = Field(
        None, description="Free words; they replace the preset's prompt."
    )
    flowstep: Annotated[Number, Field(gt=0, le=1, allow_inf_nan=False)] | None = Field(
        None,
        description="In (0, 1]; higher stays closer to the source. Unset: the preset's.",
    )
    strength: Annotated[Number, Field(ge=0, le=1, allow_inf_nan=False)] | None = Field(
        None,
        description="In [0, 1]; how much the arranger changes. Unset: from flowstep.",
    )
    solver: Literal["euler", "midpoint"] = "euler"
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = Field(
        default_factory=lambda: random.randint(0, LARGEST_RANDOM_SEED),  # noqa: S311 - no secret
        description="Same seed, same result; -1 or none draws one.",
    )
    bpm: Annotated[Number, Field(ge=20, le=400, allow_inf_nan=False)] | None = Field(
        None, description="The tempo, if the DAW knows it."
    )
    engine: str = Field("auto", description="auto, or an engine's name.")
    format: Literal["wav", "flac", "mp3", "ogg"] = "wav"

    @field_validator("seed", mode="before")
    @classmethod
    def _draw_a_seed(cls, seed: object) -> object:
        if seed in (None, -1, "", "-1"):
            return random.randint(0, LARGEST_RANDOM_SEED)  # noqa: S311 - no secret
        return seed

    @field_validator("variation")
    @classmethod
    def _known_variation(cls, name: str) -> str:
        if name != CUSTOM and name not in variations.load():
            raise _no_such_variation(name)
        return name

    @field_validator("engine")
    @classmethod
    def _known_engine(cls, name: str) -> str:
        if name != "auto" and name not in ENGINES:
            known = ", ".join(("auto", *ENGINES))
            raise ValueError(f"there is no engine of that name; known: {known}")
        return name

    @model_validator(mode="after")
    def _custom_needs_words(self) -> "Spec":
        if self.variation == CUSTOM and not (self.custom_prompt or "").strip():
            words = "The variation custom needs a custom_prompt."
            raise errors.InvalidInput(words, field="custom_prompt")
        return self


def run(spec: Spec, ctx: Context) -> None:
    """Decode, transform, measure what was kept, store."""
    engine: Transforms = ctx.engine(spec.engine, "transforms")
    ctx.report(0.01, stage="reading")
    source = codec.decode(ctx.read(spec.source), max_seconds=ctx.source_seconds)
    on_step = ctx.stage("transforming", 0.02, 0.92)
    (done,) = engine.transform(source, [_brief(spec)], on_step=on_step)
    ctx.report(0.93, stage="measuring")
    report = _report(source, done)
    ctx.report(0.97, stage="storing")
    artifact = _store(done.clip, spec, ctx)
    ctx.remember(last_input=spec.source, last_processed=artifact)
    ctx.conclude(seed=spec.seed, report=report, recipe=recipe.of(NAME, spec, ctx.job.engine))


def _brief(spec: Spec) -> Brief:
    variation = variations.load()[spec.variation] if spec.variation != CUSTOM else None
    words = (spec.custom_prompt or "").strip()
    return Brief(
        variation=variation,
        prompt=words or (variation.prompt if variation else ""),
        is_custom=bool(words),
        flowstep=spec.flowstep or (variation.flowstep if variation else 0.12),
        strength=spec.strength,
        solver=spec.solver,
        steps=variation.steps if variation else None,
        seed=spec.seed,
        bpm=spec.bpm,
    )


def _report(source: Clip, done: Transformation) -> dict[str, Any]:
    # the web process imports this module for its Spec alone; scipy stays out of it
    from server.media.analysis import compare  # noqa: PLC0415

    beats = done.heard.get("beats")
    return {
        "heard": dict(done.heard),
        "kept": compare(source, done.clip, beats=beats).as_dict(),
        "understood": list(done.understood),
        "ignored": list(done.ignored),
        "guessed": done.guessed,
        "notices": list(done.notices),
    }


def _store(clip: Clip, spec: Spec, ctx: Context) -> str:
    engine = str(ctx.job.engine)
    tags = {
        "title": spec.variation,
        "comment": f"engine: {engine}",
        "copyright": ENGINES[engine].licence,
    }
    artifact = ctx.save(
        codec.encode(clip, spec.format, tags=tags),
        name=f"transformed.{spec.format}",
        media_type=formats.FORMATS[spec.format].media_type,
        seconds=clip.seconds,
        sample_rate=clip.sample_rate,
        channels=clip.channels,
    )
    return artifact.id


def _no_such_variation(name: str) -> errors.NoSuchVariation:
    return errors.NoSuchVariation(f"Unknown variation: {name[:64]}", field="variation")
