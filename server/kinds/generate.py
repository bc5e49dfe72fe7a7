"""Job kind `generate`: music from words alone, in one passage or scene by scene."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from server import errors
from server.engines.catalog import ENGINES
from server.engines.protocols import Brief, Continuation, Continues, Generates, OnStep
from server.jobs.context import Context
from server.kinds import continuation, extensions, limits, recipe, scenes, signing, takes
from server.kinds.choices import CUSTOM, Prompt
from server.kinds.extensions import Extended, Place
from server.kinds.fields import EngineName, Format, Seed, Tempo, random_seed
from server.kinds.players import Player, Takes
from server.kinds.sampling import Sampled
from server.kinds.scenes import Scene, Scenes
from server.media.clip import Clip

NAME = "generate"
QUEUE = "audio"
CAPABILITY = "generates"
SUMMARY = "Makes music from words alone: one passage, or scenes that go on from each other."

USUAL_SECONDS = 30.0

_PLAYING = (0.04, 0.9)


class Spec(Sampled):
    """What music from words needs to know."""

    prompt: Prompt | None = Field(
        None, description="What shall be heard; replaces the preset's prompt."
    )
    variation: str = Field(CUSTOM, description="A preset's name, or custom with a prompt.")
    seconds: limits.Length | None = Field(None, description="How long it shall be. Unset: 30.")
    segments: Scenes | None = Field(
        None,
        description="Instead of prompt, variation and seconds: scenes in order, each an object of "
        "seconds and prompt or variation. Each goes on from the music so far. In a form: as JSON.",
    )
    prompt_duration: limits.Prompted = Field(
        6.0, description="How many seconds of the music so far each further segment hears."
    )
    normalize: Literal["peak", "none"] = Field(
        "peak", description="peak: the highest peak is brought to -1 dBTP."
    )
    most_takes: limits.Takes = Field(
        3, description="How often it may be played, should there be silence or a sudden end."
    )
    seed: Seed = Field(default_factory=random_seed)
    bpm: Tempo | None = Field(None, description="The tempo it shall have.")
    engine: EngineName = "auto"
    format: Format = "wav"

    @field_validator("segments", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return scenes.listed(value)

    @model_validator(mode="after")
    def _said_once(self) -> "Spec":
        if self.segments is None:
            scenes.check(self.scenes)
            return self
        if self.variation != CUSTOM or self.prompt is not None or self.seconds is not None:
            words = "Send either segments, or prompt, variation and seconds."
            raise errors.InvalidInput(words, field="segments")
        scenes.check(self.segments, field="segments")
        return self

    @property
    def scenes(self) -> tuple[Scene, ...]:
        """What is wanted, in order."""
        if self.segments is not None:
            return self.segments
        seconds = self.seconds or USUAL_SECONDS
        return (Scene(seconds=seconds, prompt=self.prompt, variation=self.variation),)

    @property
    def total_seconds(self) -> float:
        """How long all of it is."""
        return sum(scene.seconds for scene in self.scenes)

    def work_seconds(self, source_seconds: float | None) -> float | None:
        """Return how much is played."""
        del source_seconds
        return self.total_seconds

    def check_result(self, source_seconds: float | None, *, most_seconds: float) -> None:
        """Refuse more music than a sound may be long.

        Raises:
            errors.TooLong: with the field's name.
        """
        del source_seconds
        field = "seconds" if self.segments is None else "segments"
        limits.check(self.total_seconds, most_seconds=most_seconds, field=field)

    def seed_of(self, scene: int) -> int:
        """Return the seed of the first take of a scene; no two takes of a job share one."""
        return self.seed + scene * self.most_takes

    def brief(self, scene: int, take: int, *, bpm: float | None) -> Brief:
        """Return what an engine reads for a take of a scene."""
        choice = self.scenes[scene].choice
        return Brief(
            variation=choice.preset,
            prompt=choice.prompt,
            is_custom=bool(choice.words),
            seed=self.seed_of(scene) + take,
            bpm=bpm,
        )

    def ends(self, sample_rate: int) -> list[int]:
        """Return the samples at which the scenes end; they add up to the total to the sample."""
        lengths = [scene.seconds for scene in self.scenes]
        return [round(sum(lengths[: place + 1]) * sample_rate) for place in range(len(lengths))]


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """One scene.

    Attributes:
        clip: the music up to its end.
        takes: what was played for it.
        where: what it goes on from; None for the first.
        extended: how it was put there; None for the first.
    """

    clip: Clip
    takes: Takes
    where: Place | None = None
    extended: Extended | None = None

    @property
    def notices(self) -> tuple[str, ...]:
        """What the musician should know of it."""
        said = [*self.takes.chosen.played.notices, *self.takes.notices]
        return (*said, *(self.extended.notices if self.extended else ()))


def run(spec: Spec, ctx: Context) -> None:
    """Play the first scene, go on with the others, level, store."""
    player = Player(spec.engine, CAPABILITY, ctx)
    played = [_first(spec, player)]
    if len(spec.scenes) > 1:
        going_on = Player(player.name, continuation.CAPABILITY, ctx)
        for scene in range(1, len(spec.scenes)):
            played.append(_next(spec, scene, played, going_on))
    ctx.report(0.92, stage="storing")
    clip = _levelled(spec, played[-1].clip)
    data = _file(spec, clip, played[0].takes, ctx)
    name = f"generated.{spec.format}"
    stored = takes.store(clip, data, ctx, name=name, fmt=spec.format)
    ctx.remember(last_input=stored.id, last_processed=stored.id)
    worded = None if spec.segments is None else tuple(each.worded for each in spec.segments)
    ctx.conclude(
        seed=spec.seed,
        report=_report(spec, clip, played, player),
        recipe=recipe.of(
            NAME,
            spec.model_copy(update={"segments": worded}),
            ctx.job.engine,
            model=played[0].takes.chosen.played.model,
            prompts=[] if worded else [spec.scenes[0].choice.prompt],
        ),
    )


def _share(spec: Spec, scene: int) -> tuple[float, float]:
    """Return the part of the progress that a scene has."""
    start, end = _PLAYING
    lengths = [each.seconds for each in spec.scenes]
    edges = [sum(lengths[:place]) / sum(lengths) for place in (scene, scene + 1)]
    return start + (end - start) * edges[0], start + (end - start) * edges[1]


def _first(spec: Spec, player: Player) -> Played:
    # the web process imports this module for its Spec alone; scipy stays out of it
    from server.media import endings, extending  # noqa: PLC0415

    seconds = spec.scenes[0].seconds

    def play(engine: Generates, number: int, on_step: OnStep) -> Continuation:
        brief = spec.brief(0, number, bpm=spec.bpm)
        return engine.generate(brief, spec.sampling, seconds=seconds, on_step=on_step)

    def judge(played: Continuation) -> Sequence[endings.Fault]:
        length = spec.ends(played.clip.sample_rate)[0]
        return endings.faults(played.clip, length=length)

    made = player.takes(play, judge, seed=spec.seed, most=spec.most_takes, share=_share(spec, 0))
    clip = made.chosen.played.clip
    return Played(extending.exactly(clip, spec.ends(clip.sample_rate)[0]), made)


def _next(spec: Spec, scene: int, before: Sequence[Played], player: Player) -> Played:
    clip = before[-1].clip
    tempo = spec.bpm or before[0].takes.chosen.played.heard.get("bpm")
    where = extensions.place(
        clip, end_seconds=clip.seconds, heard_seconds=spec.prompt_duration, bpm=tempo
    )
    ends = spec.ends(clip.sample_rate)
    length = ends[scene] - ends[scene - 1]

    def play(engine: Continues, number: int, on_step: OnStep) -> Continuation:
        brief = spec.brief(scene, number, bpm=tempo)
        seconds = length / clip.sample_rate
        return engine.continue_music(
            where.ground.prompt,
            brief,
            spec.sampling,
            seconds=seconds,
            on_step=on_step,
            earlier=where.ground.earlier,
        )

    made = player.takes(
        play,
        lambda played: extensions.judged(where.ground, played, length),
        seed=spec.seed_of(scene),
        most=spec.most_takes,
        share=_share(spec, scene),
    )
    extended = extensions.extended(where, made.chosen.played.clip, length)
    return Played(extended.clip, made, where, extended)


def _levelled(spec: Spec, clip: Clip) -> Clip:
    from server.media import joining, loudness  # noqa: PLC0415 - as above

    if spec.normalize == "peak":
        return loudness.match_peak(clip, joining.CEILING_DB)
    return loudness.limit(clip, ceiling_db=joining.CEILING_DB)


def _file(spec: Spec, clip: Clip, made: Takes, ctx: Context) -> bytes:
    maker = signing.maker(ctx, made.chosen.played, seed=made.chosen.seed)
    title = spec.scenes[0].choice.words or spec.scenes[0].variation
    is_whole = len(spec.scenes) == 1
    # what is told of the first scene need not be true of the others
    music = signing.music_of(made.chosen.played.heard if is_whole else {})
    said = maker.tags(title, music)
    return signing.encoded(clip, spec.format, said, music, made_on=maker.made_on)


def _report(spec: Spec, clip: Clip, played: Sequence[Played], player: Player) -> dict[str, Any]:
    first = played[0].takes.chosen.played
    notices = [*player.notices, *(player.unused(spec.model, first) if spec.model else ())]
    notices += [said for each in played for said in each.notices]
    return {
        "engine": player.name,
        "licence": ENGINES[player.name].licence,
        "total_seconds": clip.seconds,
        "normalize": spec.normalize,
        "segments": [_scene(spec, place, each) for place, each in enumerate(played)],
        "heard": dict(first.heard),
        "understood": list(first.understood),
        "ignored": list(first.ignored),
        "guessed": first.guessed,
        "notices": list(dict.fromkeys(notices)),
        "made": dict(first.made),
    }


def _scene(spec: Spec, place: int, played: Played) -> dict[str, Any]:
    scene, rate = spec.scenes[place], played.clip.sample_rate
    ends = [0, *spec.ends(rate)]
    facts: dict[str, Any] = {
        "start_seconds": ends[place] / rate,
        "seconds": (ends[place + 1] - ends[place]) / rate,
        "variation": scene.variation,
        "prompt": scene.choice.prompt,
        "understood": list(played.takes.chosen.played.understood),
        "takes": [each.as_dict() for each in played.takes.made],
        "best": played.takes.best,
    }
    if played.where is not None and played.extended is not None:
        facts["join"] = extensions.join_of(played.where, played.extended)
        facts["fit"] = extensions.fit(played.where, played.extended)
    return facts
