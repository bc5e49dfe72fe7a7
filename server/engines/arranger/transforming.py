"""One brief of a transform: what it means for a clip, and carrying it out.

Puts hearing, writing, playing and blending in order; each of them knows its own business. What is
said of the result is the engine's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from server.engines.arranger import blend, orchestrate, prompt
from server.engines.arranger.choices import Choices, chosen
from server.engines.arranger.ear import Ear
from server.engines.arranger.filters import RATE
from server.engines.arranger.prompt import Reading
from server.engines.arranger.render import Orchestra
from server.engines.arranger.score import ANALYSIS_RATE, Heard, Score
from server.engines.arranger.stages import STEPS, share
from server.engines.arranger.stems import SOURCE, Desk, Pass
from server.engines.protocols import Brief, OnStep
from server.media import mastering, resample, window
from server.media.clip import Clip, Samples
from server.media.sheet import Sheet

SHORTEST_SECONDS = 0.5

TOO_SHORT = "The clip is shorter than half a second; it is returned as it was."
SILENT = "The clip is silent; it is returned as it was."
NOTHING_TO_PLAY = "No pitched material was heard; the clip is returned as it was."

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
    sheet: Sheet | None = None
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
    choices = chosen(brief.parts, reading.arrangement)
    return Plan(brief, reading, strength, _why_unchanged(clip, strength), choices)


def reading_of(brief: Brief) -> Reading:
    """Return how to play: a preset as it is, or the musician's words."""
    if brief.variation is not None and not brief.is_custom:
        arrangement = brief.variation.arrangement
        return Reading(arrangement=arrangement, understood=(), ignored=())
    return prompt.read(brief.prompt, preset=brief.variation)


def _why_unchanged(clip: Clip, strength: float) -> str | None:
    """Return the sentence that says why nothing is to be done; empty where that was asked for."""
    if strength <= 0.0:
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
    heard = ear.listen(source, bpm=brief.bpm, on_step=share(on_step, 0, LISTENED))
    score = orchestrate.arrange(
        heard,
        todo.reading.arrangement,
        strength=todo.strength,
        seed=brief.seed,
        choices=todo.choices,
    )
    on_step(_ARRANGED, STEPS)
    if not score.parts and not score.hits:
        on_step(STEPS, STEPS)
        return NOTHING_TO_PLAY
    result, stems = _played(todo, clip, source, heard, score, orchestra, on_step)
    return Performance(result, heard, score, stems=stems, notices=score.notices)


def _played(
    todo: Plan,
    clip: Clip,
    source: Clip,
    heard: Heard,
    score: Score,
    orchestra: Orchestra,
    on_step: OnStep,
) -> tuple[Clip, Mapping[str, Clip]]:
    wants_stems = todo.brief.wants_stems
    rendering = orchestra.render(
        score,
        heard,
        seed=todo.brief.seed,
        on_step=share(on_step, _ARRANGED, _RENDERED),
        keep_stems=wants_stems,
    )
    desk = Desk(rendering.stems, RATE, is_used=wants_stems)
    desk.follow(lambda stem: stem.with_samples(rendering.bus.passed(stem.samples)))
    played = desk.through(_of_length(source.length), Clip(rendering.mix, RATE))
    played = desk.through(blend.without_offset, played)
    played = desk.through(blend.following(played, source), played)
    on_step(_RENDERED + 20, STEPS)
    played = desk.through(mastering.matching(played, source), played)
    on_step(_RENDERED + 35, STEPS)
    if todo.strength < 1.0:
        played = _blended(desk, source, played, heard, todo.strength)
        on_step(_RENDERED + 40, STEPS)
    result, finished = mastering.finishing(played, like=clip)
    desk.follow(finished)
    stems = desk.stems(result, share(on_step, _RENDERED + 50, STEPS))
    on_step(STEPS, STEPS)
    return result, stems


def _of_length(length: int) -> Pass:
    return lambda clip: clip.with_samples(window.fit_length(clip.samples, length))


def _blended(desk: Desk, source: Clip, played: Clip, heard: Heard, strength: float) -> Clip:
    """Return the blend with the source at its loudness; what stays of the source joins the desk."""
    strokes = _strokes(heard, source.length)
    nothing = source.with_samples(np.zeros_like(source.samples))
    desk.follow(lambda stem: blend.morph(nothing, stem, strength, strokes=nothing.samples[0]))
    desk.add(SOURCE, blend.morph(source, nothing, strength, strokes=strokes))
    morphed = blend.morph(source, played, strength, strokes=strokes)
    return desk.through(mastering.matching(morphed, source), morphed)


def _strokes(heard: Heard, length: int) -> Samples:
    """Return the source's drum strokes at their own level, `[length]`; silence without a drummer.

    Without drums the percussive layer is the attacks of the very instrument that is replaced.
    """
    if not heard.drums:
        return np.zeros(length, np.float32)
    layer = Clip(heard.percussive[None, :] * np.float32(heard.percussive_gain), ANALYSIS_RATE)
    strokes: Samples = window.fit_length(resample.resample(layer, RATE).samples, length)[0]
    return strokes
