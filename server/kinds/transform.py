"""Job kind `transform`: the same music, played by something else."""

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from server import errors
from server.engines.protocols import Brief, Transforms
from server.jobs.context import Context
from server.jobs.kind import JobSpec, Number
from server.jobs.record import Role
from server.kinds import choices, companions, parts, passages, recipe, signing, takes
from server.kinds.choices import CUSTOM, Choice, Choices, Prompt, VariationName
from server.kinds.companions import Wanted
from server.kinds.fields import EngineName, Format, Seconds, Seed, Tempo, random_seed
from server.kinds.parts import KeyName, Layers, Parts
from server.kinds.passages import Passage
from server.kinds.signing import Maker
from server.kinds.takes import Take
from server.media import codec
from server.media.bounded import READERS
from server.media.clip import Clip
from server.media.key import named

NAME = "transform"
QUEUE = "audio"
CAPABILITY = "transforms"
SUMMARY = "Plays the same music with something else: tempo, chords and length are kept."

DEFAULT_FLOWSTEP = 0.12

ONE_AT_A_TIME = "There is one variation at a time here; POST /jobs takes a list in variations."
"""Older clients expect one sound, so a list is refused rather than cut short."""

NO_PREVIEW = "There was no preview: the engine gave none."


class Spec(JobSpec):
    """What a transform needs to know.

    `flowstep` is the pivot of an edit: higher stays closer to the source, 1.0 is identity. A seed
    of -1 or none draws one from 0 to 99999; several variations share it.
    """

    source: str = Field(description="Id of the artifact to transform.")
    variation: VariationName = Field(
        CUSTOM, description="A preset's name, or custom with custom_prompt."
    )
    custom_prompt: Prompt | None = Field(
        None, description="Free words; they replace the preset's prompt."
    )
    variations: Choices | None = Field(
        None,
        description="Instead of variation: up to 16 presets, or objects with variation and "
        "custom_prompt. One file each, in order; what they share is computed once. In a form: "
        "JSON, names with commas between, or the field again and again.",
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
    seed: Seed = Field(default_factory=random_seed)
    bpm: Tempo | None = Field(None, description="The tempo, if the DAW knows it.")
    key: KeyName = Field(
        None, description="The key, if the DAW knows it: A minor, Am, F#m, Bb major, C."
    )
    keep_drums: bool | None = Field(
        None,
        description="true leaves the source's drums in place and adds no kit, false replaces them. "
        "Unset: as the preset has it.",
    )
    layers: Layers = Field(
        default_factory=dict,
        description="strength of single layers of the source: pitched, drums, vocals; 0 keeps a "
        "layer. In a form: JSON.",
    )
    parts: Parts = Field(
        default_factory=dict,
        description="By the name of a part, such as violin 1, drums or halo: mute, seed (rolls it "
        "again), gain_db. In a form: JSON.",
    )
    stems: bool = Field(default=False, description="Each part as a file of its own as well.")
    midi: bool | None = Field(
        None, description="What was played as a MIDI file. Unset: where the engine knows its notes."
    )
    compare: bool = Field(
        default=False,
        description="The source as a file as well, as loud as the result, to compare the two.",
    )
    start_seconds: Seconds | None = Field(
        None, description="Only what follows it changes; every sample before stays as it is."
    )
    end_seconds: Seconds | None = Field(
        None, description="Only what precedes it changes; every sample from there on stays."
    )
    preview: bool = Field(
        default=False,
        description="Show an unfinished result while the job runs, if the engine gives one.",
    )
    engine: EngineName = "auto"
    format: Format = "wav"

    @field_validator("variations", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return choices.listed(value)

    @model_validator(mode="after")
    def _chosen_once(self) -> "Spec":
        if self.variations is None:
            choices.check_words(self.choices[0])
            return self
        # a stored order names both: a list, and the single variation that was left at its default
        if self.variation != CUSTOM or self.custom_prompt is not None:
            words = "Send either variations or a single variation with its custom_prompt."
            raise errors.InvalidInput(words, field="variations")
        choices.check_list(self.variations)
        return self

    @model_validator(mode="after")
    def _of_known_parts(self) -> "Spec":
        parts.check_known(self.parts, self.choices)
        return self

    @model_validator(mode="after")
    def _forward_in_time(self) -> "Spec":
        passages.check_times(self.start_seconds, self.end_seconds)
        return self

    def check_source(self, seconds: float) -> None:
        """Refuse a passage that is not in a source of that length, and too many stems of it.

        Raises:
            errors.InvalidInput: with the field's name.
            errors.TooLong: the stems would be too much sound.
        """
        passages.check_within(self.start_seconds, self.end_seconds, source_seconds=seconds)
        if self.stems:
            parts.check_stems(self.choices, seconds)

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """What is wanted, one result each."""
        if self.variations is not None:
            return self.variations
        return (Choice(variation=self.variation, custom_prompt=self.custom_prompt),)

    @property
    def labels(self) -> list[str]:
        """What tells the files of the results apart."""
        return takes.labels(self.choices, is_list=self.variations is not None)

    def brief(self, choice: Choice) -> Brief:
        """Return one of the choices as an engine reads it."""
        preset = choice.preset
        return Brief(
            variation=preset,
            prompt=choice.prompt,
            is_custom=bool(choice.words),
            flowstep=self.flowstep or (preset.flowstep if preset else DEFAULT_FLOWSTEP),
            strength=self.strength,
            solver=self.solver,
            steps=preset.steps if preset else None,
            seed=self.seed,
            bpm=self.bpm,
            key=named(self.key) if self.key else None,
            keep_drums=self.keep_drums,
            layers=self.layers,
            parts=parts.of_choice(self.parts, choice),
            wants_stems=self.stems,
        )

    @property
    def asked(self) -> dict[str, bool]:
        """Whether each parameter was asked for that not every engine has a use for."""
        return {
            "bpm": self.bpm is not None,
            "key": self.key is not None,
            "keep_drums": self.keep_drums is not None,
            "layers": bool(self.layers),
            "parts": bool(self.parts),
            "stems": self.stems,
            "midi": bool(self.midi),
        }


def run(spec: Spec, ctx: Context) -> None:
    """Decode, transform, put back, measure what was kept, store."""
    engine: Transforms = ctx.engine(spec.engine, CAPABILITY)
    ctx.report(0.01, stage="reading")
    source = READERS.decode(ctx.read(spec.source), max_seconds=ctx.source_seconds)
    where = passages.passage(source, spec.start_seconds, spec.end_seconds)
    previews = _Previews(spec, where, ctx)
    results = engine.transform(
        where.excerpt,
        [spec.brief(choice) for choice in spec.choices],
        on_step=ctx.stage("transforming", 0.02, 0.92),
        on_preview=previews if spec.preview else None,
    )
    made = [
        Take(choice, result, where.placed(result.clip), where)
        for choice, result in zip(spec.choices, results, strict=True)
    ]
    maker = signing.maker(ctx, results[0], seed=spec.seed)
    finished = _finished(spec, made, where, maker, ctx)
    _store(spec, made, [data for data, _ in finished], ctx)
    reports = [report for _, report in finished]
    _store_companions(spec, made, reports, maker, ctx)
    ctx.conclude(
        seed=spec.seed,
        report=_report(spec, reports, engine=maker.engine, is_previewed=previews.came),
        recipe=recipe.of(
            NAME,
            spec,
            ctx.job.engine,
            model=results[0].model,
            prompts=[choice.prompt for choice in spec.choices],
        ),
    )


def first_variation(spec: Any) -> str:
    """Return what a stored order asks for first; older clients know of one result alone."""
    return str((spec.get("variations") or [spec])[0]["variation"])


class _Previews:
    """Stores what an engine has to be heard before its end, and shows it at once."""

    def __init__(self, spec: Spec, where: Passage, ctx: Context) -> None:
        self.came = False
        self._spec = spec
        self._where = where
        self._ctx = ctx

    def __call__(self, clips: Sequence[Clip]) -> None:
        self.came = True
        for label, clip in zip(self._spec.labels, clips, strict=True):
            whole = self._where.placed(clip).clip
            data, name = codec.encode(whole, "wav"), f"preview{label}.wav"
            takes.store(whole, data, self._ctx, name=name, fmt="wav", role=Role.PREVIEW)
        self._ctx.show()


def _finished(
    spec: Spec, made: Sequence[Take], where: Passage, maker: Maker, ctx: Context
) -> list[tuple[bytes, dict[str, Any]]]:
    """Return a file and its report for each result; the source is heard once for all of them."""
    # the web process imports this module for its Spec alone; scipy stays out of it
    from server.media.analysis import Original  # noqa: PLC0415

    on_step = ctx.stage("measuring", 0.92, 0.97)
    original = Original(where.changed(where.source))
    finished = []
    for done, take in enumerate(made, start=1):
        kept = take.compared(original)
        data = takes.write(take, spec.format, maker, take.level(kept))
        finished.append((data, takes.report(take, kept, data, maker)))
        on_step(done, len(made))
    return finished


def _report(
    spec: Spec, reports: list[dict[str, Any]], *, engine: str, is_previewed: bool
) -> dict[str, Any]:
    """Return the job's report: the only one, or the first one with all of them beneath it."""
    notices = parts.unheeded(spec.asked, engine)
    if spec.preview and not is_previewed:
        notices.append(NO_PREVIEW)
    for report in reports:
        report["notices"] += notices
    if spec.variations is None:
        return reports[0]
    return {**reports[0], "variations": reports}


def _store(spec: Spec, made: Sequence[Take], files: Sequence[bytes], ctx: Context) -> None:
    ctx.report(0.97, stage="storing")
    stored = [
        takes.store(
            take.placed.clip,
            data,
            ctx,
            name=f"transformed{label}.{spec.format}",
            fmt=spec.format,
        )
        for label, take, data in zip(spec.labels, made, files, strict=True)
    ]
    ctx.remember(last_input=spec.source, last_processed=stored[0].id)


def _store_companions(
    spec: Spec,
    made: Sequence[Take],
    reports: Sequence[dict[str, Any]],
    maker: Maker,
    ctx: Context,
) -> None:
    """Store the files beside the results, and say in their reports what they are."""
    wanted = Wanted(midi=spec.midi, stems=spec.stems, comparison=spec.compare, format=spec.format)
    total, done = companions.count(made, wanted), 0
    on_step = ctx.stage("storing", 0.97, 1.0)
    for label, take, report in zip(spec.labels, made, reports, strict=True):
        report["notices"] += companions.missing(take, wanted, maker.engine)
        for file in companions.beside(take, label, wanted, maker):
            file.save(ctx)
            companions.report(file.role, report, {"name": file.name, **file.facts})
            report["notices"] += file.notices
            done += 1
            on_step(done, total)
