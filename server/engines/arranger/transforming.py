"""One brief of a transform: what it means for a clip, and carrying it out.

Puts hearing, writing, playing and blending in order; each of them knows its own business. What is
said of the result is the engine's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from server.engines.arranger import blend, orchestrate, prompt
from server.engines.arranger.ear import Ear
from server.engines.arranger.filters import RATE
from server.engines.arranger.prompt import Reading
from server.engines.arranger.render import Orchestra
from server.engines.arranger.score import ANALYSIS_RATE, Heard, Score
from server.engines.arranger.stages import STEPS, share
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
    """Return what a brief means for a clip."""
    strength = brief.strength
    if strength is None:
        strength = blend.strength_of(brief.flowstep)
    return Plan(brief, reading_of(brief), strength, _why_unchanged(clip, strength))


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
        heard, todo.reading.arrangement, strength=todo.strength, seed=brief.seed
    )
    on_step(_ARRANGED, STEPS)
    if not score.parts and not score.hits:
        on_step(STEPS, STEPS)
        return NOTHING_TO_PLAY
    result = _played(todo, clip, source, heard, score, orchestra, on_step)
    return Performance(result, heard, score, notices=score.notices)


def _played(
    todo: Plan,
    clip: Clip,
    source: Clip,
    heard: Heard,
    score: Score,
    orchestra: Orchestra,
    on_step: OnStep,
) -> Clip:
    rendering = orchestra.render(
        score, heard, seed=todo.brief.seed, on_step=share(on_step, _ARRANGED, _RENDERED)
    )
    played = Clip(window.fit_length(rendering.mix, source.length), RATE)
    followed = blend.follow(blend.without_offset(played), source)
    on_step(_RENDERED + 20, STEPS)
    matched = mastering.match(followed, source)
    on_step(_RENDERED + 35, STEPS)
    if todo.strength < 1.0:
        strokes = _strokes(heard, source.length)
        morphed = blend.morph(source, matched, todo.strength, strokes=strokes)
        matched = mastering.match(morphed, source)
        on_step(_RENDERED + 50, STEPS)
    result = mastering.finished(matched, like=clip)
    on_step(STEPS, STEPS)
    return result


def _strokes(heard: Heard, length: int) -> Samples:
    """Return the source's drum strokes at their own level, `[length]`; silence without a drummer.

    Without drums the percussive layer is the attacks of the very instrument that is replaced.
    """
    if not heard.drums:
        return np.zeros(length, np.float32)
    layer = Clip(heard.percussive[None, :] * np.float32(heard.percussive_gain), ANALYSIS_RATE)
    strokes: Samples = window.fit_length(resample.resample(layer, RATE).samples, length)[0]
    return strokes
