"""One brief of a transform: what it means for a clip, and carrying it out.

Puts hearing, writing, playing and blending in order; each of them knows its own business. What is
said of the result is the engine's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from server.engines.arranger import blend, layers, orchestrate, prompt, sheets, strengths
from server.engines.arranger.choices import Choices, chosen
from server.engines.arranger.ear import Ear
from server.engines.arranger.filters import RATE
from server.engines.arranger.prompt import Reading
from server.engines.arranger.render import Orchestra, Stage
from server.engines.arranger.score import Heard, Score
from server.engines.arranger.stages import STEPS, share
from server.engines.arranger.stems import Desk, Pass
from server.engines.arranger.strengths import Strengths
from server.engines.hardware import heap
from server.engines.protocols import Brief, OnStep
from server.media import mastering, window
from server.media.clip import Clip
from server.media.sheet import Sheet

SHORTEST_SECONDS = 0.5

TOO_SHORT = "The clip is shorter than half a second; it is returned as it was."
SILENT = "The clip is silent; it is returned as it was."
NOTHING_TO_PLAY = "No pitched material was heard; the clip is returned as it was."
ONLY_A_VOICE = (
    "Nothing but a voice was heard, and this engine plays instruments; the clip is returned as it "
    "was. A strength for vocals turns it into notes."
)

LISTENED = 350
"""Steps of listening, of `STEPS`."""

_ARRANGED, _RENDERED = 370, 930
_INAUDIBLE = 1e-4


@dataclass(frozen=True, slots=True)
class Plan:
    """What a brief means for a clip; `reason` says why nothing is to be done, None if it is."""

    brief: Brief
    reading: Reading
    strength: float
    reason: str | None
    choices: Choices = field(default_factory=Choices)


@dataclass(frozen=True, slots=True, eq=False)
class Performance:
    """What came of a plan.

    Attributes:
        clip: of the source's length and rate, in stereo.
        heard: what was heard in the source.
        score: what was played.
        sheet: the same for files and pictures.
        stems: the parts as sounds that together are the clip; empty unless they were wanted.
        notices: what the musician should know.
    """

    clip: Clip
    heard: Heard
    score: Score
    sheet: Sheet
    stems: Mapping[str, Clip] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


def plan(clip: Clip, brief: Brief) -> Plan:
    """Return what a brief means for a clip.

    Raises:
        errors.InvalidInput: the brief names a part that the arrangement does not have.
    """
    strength = brief.strength
    if strength is None:
        strength = blend.strength_of(brief.flowstep)
    reading = reading_of(brief)
    if strength > 0.0:
        brief = _as_worded(brief, reading)
    choices = chosen(brief.parts, reading.arrangement)
    return Plan(brief, reading, strength, _why_unchanged(clip, brief, strength), choices)


def reading_of(brief: Brief) -> Reading:
    """Return how to play: a preset as it is, or the musician's words."""
    if brief.variation is not None and not brief.is_custom:
        arrangement = brief.variation.arrangement
        return Reading(arrangement=arrangement, understood=(), ignored=())
    return prompt.read(brief.prompt, preset=brief.variation)


def _as_worded(brief: Brief, reading: Reading) -> Brief:
    """Return the brief with what its words leave of the source; its own choices count first."""
    keep_drums = reading.keep_drums if brief.keep_drums is None else brief.keep_drums
    return replace(brief, keep_drums=keep_drums, layers={**reading.layers, **brief.layers})


def _why_unchanged(clip: Clip, brief: Brief, strength: float) -> str | None:
    """Return the sentence that says why nothing is to be done; empty where that was asked for."""
    if strengths.asked(brief, strength).is_identity:
        return ""
    if clip.seconds < SHORTEST_SECONDS:
        return TOO_SHORT
    if float(np.abs(clip.samples).max(initial=0.0)) < _INAUDIBLE:
        return SILENT
    return None


def perform(
    todo: Plan, clip: Clip, source: Clip, ear: Ear, orchestra: Orchestra, on_step: OnStep
) -> Performance | str:
    """Return what came of a plan, or the sentence that says why nothing did.

    `source` is the clip in stereo at `RATE`.
    """
    brief = todo.brief
    heard = ear.listen(source, bpm=brief.bpm, key=brief.key, on_step=share(on_step, 0, LISTENED))
    heap.trim()
    wanted, notices = strengths.settled(brief, todo.strength, heard)
    given = strengths.for_players(heard, wanted)
    score = orchestrate.arrange(
        given, todo.reading.arrangement, strength=wanted, seed=brief.seed, choices=todo.choices
    )
    on_step(_ARRANGED, STEPS)
    reason = _why_left(heard, wanted, score, notices)
    if reason is not None:
        on_step(STEPS, STEPS)
        return reason
    stage = _Stage(clip, source, given, wanted)
    result, stems = _played(todo, stage, score, orchestra, on_step)
    notices = (*score.notices, *notices)
    return Performance(result, heard, score, sheets.of(score, heard), stems, notices)


def _why_left(
    heard: Heard, wanted: Strengths, score: Score, notices: tuple[str, ...]
) -> str | None:
    """Return the sentence that says why nothing is done after all; None if something is."""
    if heard.singing is not None and heard.singing.is_alone and wanted.vocals <= 0.0:
        return ONLY_A_VOICE
    if wanted.is_identity:
        return " ".join(notices)
    is_silent = not score.parts and (score.drums is None or not score.hits)
    takes_drums_out = wanted.pitched <= 0.0 and bool(heard.drums)
    return NOTHING_TO_PLAY if is_silent and not takes_drums_out else None


@dataclass(frozen=True, slots=True, eq=False)
class _Stage:
    """What a score is played for: the clip, the same in stereo at `RATE`, what was heard in it."""

    clip: Clip
    source: Clip
    heard: Heard
    strengths: Strengths


def _played(
    todo: Plan, stage: _Stage, score: Score, orchestra: Orchestra, on_step: OnStep
) -> tuple[Clip, Mapping[str, Clip]]:
    desk, played = _rendered(todo, stage, score, orchestra, on_step)
    on_step(_RENDERED + 10, STEPS)
    blended = _blended(desk, played, stage)
    on_step(_RENDERED + 40, STEPS)
    result, finished = mastering.finishing(blended, like=stage.clip)
    desk.follow(finished)
    stems = desk.stems(result, share(on_step, _RENDERED + 50, STEPS))
    on_step(STEPS, STEPS)
    return result, stems


def _rendered(
    todo: Plan, stage: _Stage, score: Score, orchestra: Orchestra, on_step: OnStep
) -> tuple[Desk, Clip]:
    """Return what the players play, and the desk with each of them on a lane."""
    wants_stems = todo.brief.wants_stems
    rendering = orchestra.render(
        score,
        stage.heard,
        seed=todo.brief.seed,
        on_step=share(on_step, _ARRANGED, _RENDERED),
        keep_stems=wants_stems,
    )
    heap.trim()
    desk = Desk(rendering.stems, RATE, is_used=wants_stems)
    for effect in rendering.bus.stages:
        desk.follow(partial(_on_samples, effect))
    played = desk.through(_of_length(stage.source.length), Clip(rendering.mix, RATE))
    return desk, desk.through(blend.without_offset, played)


def _on_samples(effect: Stage, clip: Clip) -> Clip:
    return clip.with_samples(effect(clip.samples))


def _of_length(length: int) -> Pass:
    def fitted(clip: Clip) -> Clip:
        if clip.length == length:
            return clip
        return clip.with_samples(window.fit_length(clip.samples, length))

    return fitted


def _blended(desk: Desk, played: Clip, stage: _Stage) -> Clip:
    """Return the blend with the source; what stays of it joins the desk."""
    apart = layers.take_apart(stage.source, stage.heard, stage.strengths)
    gone = layers.replaced(apart, stage.strengths)
    played = desk.through(blend.following(played, gone.clip), played)
    mixed = layers.joined(apart, played, stage.strengths, gone)
    gain = np.float32(mixed.gain)
    desk.follow(lambda stem: stem.with_samples(stem.samples * gain))
    for name, share_of_source in mixed.shares.items():
        desk.add(name, share_of_source)
    return mixed.clip
