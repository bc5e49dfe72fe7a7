"""The arranger: hears a clip, writes a score, plays it with other instruments, on the CPU.

Puts the stages in order, shares progress out among them and reports what was heard. Each stage
knows its own business: `listen`, `prompt`, `orchestrate`, `render`, `blend`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from server.config import Settings
from server.engines.arranger import assets, blend, orchestrate, prompt, reports
from server.engines.arranger.continuing import going, sketch
from server.engines.arranger.ear import Ear
from server.engines.arranger.inpainting import paint
from server.engines.arranger.listening.transcribe import open_transcriber
from server.engines.arranger.prompt import Reading
from server.engines.arranger.render import Orchestra
from server.engines.arranger.score import Heard, Score
from server.engines.arranger.stages import STEPS, share
from server.engines.catalog import Availability
from server.engines.protocols import (
    Brief,
    Continuation,
    Inpainting,
    OnPreview,
    OnStep,
    Sampling,
    Transformation,
    tell_nobody,
)
from server.media import mastering, resample, window
from server.media.clip import Clip, Samples

RATE = 44100
"""The rate everything is played and blended at."""

SHORTEST_SECONDS = 0.5
_LISTENED, _ARRANGED, _RENDERED = 350, 370, 930
_SILENT = 1e-4
_ANALYSED_RATE = 22050
_NOTHING: Mapping[str, Any] = MappingProxyType({})

TOO_SHORT = "The clip is shorter than half a second; it is returned as it was."
SILENT = "The clip is silent; it is returned as it was."
NOTHING_TO_PLAY = "No pitched material was heard; the clip is returned as it was."
NO_NETWORK = "The transcription model is missing; notes are heard less reliably."
NO_BANK = "The sound bank is missing; synthesized voices stand in for sampled instruments."


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a brief means for a clip; `reason` says why nothing is to be done, None if it is."""

    brief: Brief
    reading: Reading
    strength: float
    reason: str | None


@dataclass(frozen=True, slots=True, eq=False)
class _Stage:
    """A source at the working rate, what was heard in it, and how it shall be played."""

    source: Clip
    heard: Heard
    score: Score
    strength: float


class Arranger:
    """Transforms by playing what it hears. Same clip, brief and seed: the same samples."""

    def __init__(
        self,
        *,
        data_dir: Path,
        sound_bank: Path | None = None,
        transcription_model: Path | None = None,
    ) -> None:
        """Find the two assets and open them; without them the stand-ins play, and say so."""
        model = assets.find_transcription_model(transcription_model)
        bank = assets.find_sound_bank(data_dir, sound_bank)
        self._transcriber = open_transcriber(model.path)
        self._ear = Ear(self._transcriber)
        self._orchestra = Orchestra(bank.path)
        self._assets_used = {
            "transcription": "basic-pitch" if model.is_available else "spectral",
            "sound_bank": assets.bank_title(bank.path),
        }
        lacks = {NO_NETWORK: model.is_available, NO_BANK: bank.is_available}
        self._lacks = tuple(notice for notice, is_there in lacks.items() if not is_there)

    def transform(
        self,
        clip: Clip,
        briefs: Sequence[Brief],
        *,
        on_step: OnStep,
        on_preview: OnPreview | None = None,
    ) -> list[Transformation]:
        """Return the same music played by something else, in stereo; it is listened to once.

        A strength of 0 (a flowstep of 1) returns the source's own samples. So does a clip in which
        nothing can be heard, with a notice that says why. There are no previews: half a rendering
        is half of the voices, not a rough version of all.
        """
        del on_preview
        plans = [_plan(clip, brief) for brief in briefs]
        is_work = any(plan.reason is None for plan in plans)
        source = resample.resample(clip.as_stereo(), RATE) if is_work else clip
        return [
            self._carry_out(
                plan, clip, source, _turn(on_step, number, len(plans)), is_shared=number > 0
            )
            for number, plan in enumerate(plans)
        ]

    def inpaint(
        self,
        clip: Clip,
        windows: Sequence[window.Window],
        brief: Brief,
        *,
        takes: int,
        on_step: OnStep,
    ) -> list[Inpainting]:
        """Return takes of new music for the windows, over what the song goes on doing there.

        A take holds the source itself, at most two channels of it, except for the windows and a
        tenth of a second on either side. It is listened to once for all takes.

        Raises:
            errors.InvalidInput: a window is too long or leaves the clip; names `windows`.
        """
        reading, played = _reading(brief), STEPS - _LISTENED
        total = _LISTENED + takes * played
        on_step(0, total)
        canvas = paint.prepare(
            clip,
            windows,
            brief,
            transcriber=self._transcriber,
            on_step=share(on_step, 0, _LISTENED, of=total),
        )
        return [
            self._inpainting(
                paint.paint(
                    canvas,
                    reading,
                    self._orchestra,
                    seed=brief.seed + number,
                    on_step=share(on_step, at, at + played, of=total),
                ),
                canvas,
                reading,
            )
            for number, at in enumerate(range(_LISTENED, total, played))
        ]

    def continue_music(
        self,
        clip: Clip,
        brief: Brief,
        sampling: Sampling,
        *,
        seconds: float,
        on_step: OnStep,
        earlier: Clip | None = None,
    ) -> Continuation:
        """Return the clip and at least `seconds` more, in time and over the chords heard.

        What is new is written to the end of a bar and rings out beyond it. The clip comes back as
        it is, but for the end over which what is new fades in. The tokens' sampling means nothing
        here.

        Raises:
            errors.InvalidInput: it would be too long, names `seconds`.
            errors.EngineFailed: the clip is silent.
        """
        del sampling
        reading = _reading(brief)
        result = going.go_on(
            clip,
            brief,
            reading,
            seconds=seconds,
            transcriber=self._transcriber,
            orchestra=self._orchestra,
            on_step=on_step,
            earlier=earlier,
        )
        return self._continuation(result, replace(reading, guessed=None))

    def generate(
        self, brief: Brief, sampling: Sampling, *, seconds: float, on_step: OnStep
    ) -> Continuation:
        """Return at least `seconds` of music from words alone: a sketch, and it says so.

        Written to the end of a bar, which rings out beyond it. Stereo at 44.1 kHz.

        Raises:
            errors.InvalidInput: it would be too long, names `seconds`.
        """
        del sampling
        result, reading = sketch.sketch(
            brief, _reading(brief), self._orchestra, seconds=seconds, on_step=on_step
        )
        return self._continuation(result, reading)

    def _continuation(self, result: going.Going, reading: Reading) -> Continuation:
        return Continuation(
            clip=result.clip,
            heard={**result.heard, **self._assets_used},
            understood=reading.understood,
            ignored=reading.ignored,
            guessed=reading.guessed,
            notices=(*result.notices, *self._lacks),
            model={"name": "arranger", **self._assets_used, "device": "cpu"},
            made=result.made,
        )

    def _inpainting(self, take: paint.Take, canvas: paint.Canvas, reading: Reading) -> Inpainting:
        return Inpainting(
            clip=take.clip,
            heard={**paint.heard_facts(canvas.context), **self._assets_used},
            understood=reading.understood,
            ignored=reading.ignored,
            guessed=reading.guessed,
            notices=(*paint.notices(canvas.context), *self._lacks),
            model={"name": "arranger", **self._assets_used, "device": "cpu"},
            made=take.made,
        )

    def _carry_out(
        self, plan: _Plan, clip: Clip, source: Clip, on_step: OnStep, *, is_shared: bool
    ) -> Transformation:
        if plan.reason is not None:
            on_step(STEPS, STEPS)
            return self._unchanged(clip, plan, plan.reason)
        on_step(0, STEPS)
        listening = self._listening(source, plan.brief.bpm, is_shared=is_shared)
        stage = self._prepare(plan, source, on_step)
        if not stage.score.parts and not stage.score.hits:
            on_step(STEPS, STEPS)
            return self._unchanged(clip, plan, NOTHING_TO_PLAY)
        result = self._play(stage, clip, plan.brief.seed, on_step)
        return self._transformation(
            result,
            plan,
            heard={**reports.facts(stage.heard, stage.score), **self._assets_used},
            notices=(*stage.score.notices, *self._lacks),
            made={"listening": listening},
        )

    def _listening(self, source: Clip, bpm: float | None, *, is_shared: bool) -> str:
        """Return where what is heard comes from: another brief, an earlier job, or this one."""
        if not self._ear.remembers(source, bpm=bpm):
            return "computed"
        return "shared" if is_shared else "remembered"

    def _prepare(self, plan: _Plan, source: Clip, on_step: OnStep) -> _Stage:
        brief, reading = plan.brief, plan.reading
        heard = self._ear.listen(source, bpm=brief.bpm, on_step=share(on_step, 0, _LISTENED))
        score = orchestrate.arrange(
            heard, reading.arrangement, strength=plan.strength, seed=brief.seed
        )
        on_step(_ARRANGED, STEPS)
        return _Stage(source, heard, score, plan.strength)

    def _unchanged(self, clip: Clip, plan: _Plan, reason: str) -> Transformation:
        notices = (reason,) if reason else ()
        return self._transformation(clip.as_stereo(), plan, notices=notices)

    def _transformation(
        self,
        clip: Clip,
        plan: _Plan,
        *,
        notices: tuple[str, ...],
        heard: Mapping[str, Any] = _NOTHING,
        made: Mapping[str, Any] = _NOTHING,
    ) -> Transformation:
        reading = plan.reading
        return Transformation(
            clip=clip,
            heard={**heard, **reports.settings(plan.brief, plan.strength)},
            understood=reading.understood,
            ignored=reading.ignored,
            guessed=reading.guessed,
            notices=notices,
            model={"name": "arranger", **self._assets_used, "device": "cpu"},
            made=made,
        )

    def _play(self, stage: _Stage, clip: Clip, seed: int, on_step: OnStep) -> Clip:
        rendering = self._orchestra.render(
            stage.score, stage.heard, seed=seed, on_step=share(on_step, _ARRANGED, _RENDERED)
        )
        source = stage.source
        played = Clip(window.fit_length(rendering.mix, source.length), RATE)
        followed = blend.follow(blend.without_offset(played), source)
        on_step(_RENDERED + 20, STEPS)
        matched = mastering.match(followed, source)
        on_step(_RENDERED + 35, STEPS)
        if stage.strength < 1.0:
            strokes = _strokes(stage.heard, source.length)
            morphed = blend.morph(source, matched, stage.strength, strokes=strokes)
            matched = mastering.match(morphed, source)
            on_step(_RENDERED + 50, STEPS)
        result = mastering.finished(matched, like=clip)
        on_step(STEPS, STEPS)
        return result


def _plan(clip: Clip, brief: Brief) -> _Plan:
    strength = brief.strength
    if strength is None:
        strength = blend.strength_of(brief.flowstep)
    return _Plan(brief, _reading(brief), strength, _why_unchanged(clip, strength))


def _reading(brief: Brief) -> Reading:
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
    if float(np.abs(clip.samples).max(initial=0.0)) < _SILENT:
        return SILENT
    return None


def _turn(on_step: OnStep, number: int, count: int) -> OnStep:
    """Return the `on_step` of one brief among several; the first one listens for all."""
    played = STEPS - _LISTENED
    heard = _LISTENED if number else 0

    def report(done: int, _total: int) -> None:
        on_step(number * played + max(done, heard), _LISTENED + count * played)

    return report


def _strokes(heard: Heard, length: int) -> Samples:
    """Return the source's drum strokes at their own level, `[length]`; silence without a drummer.

    Without drums the percussive layer is the attacks of the very instrument that is replaced.
    """
    if not heard.drums:
        return np.zeros(length, np.float32)
    layer = Clip(heard.percussive[None, :] * np.float32(heard.percussive_gain), _ANALYSED_RATE)
    strokes: Samples = window.fit_length(resample.resample(layer, RATE).samples, length)[0]
    return strokes


def open_engine(settings: Settings, *, on_step: OnStep = tell_nobody) -> Arranger:
    """Return the engine with the assets the settings name or the machine has."""
    on_step(0, 1)
    arranger = Arranger(
        data_dir=settings.data_dir,
        sound_bank=settings.sound_bank,
        transcription_model=settings.transcription_model,
    )
    on_step(1, 1)
    return arranger


def availability(settings: Settings) -> Availability:
    """Say that it works everywhere, and with which command it would play better."""
    found = (
        assets.find_transcription_model(settings.transcription_model),
        assets.find_sound_bank(settings.data_dir, settings.sound_bank),
    )
    missing = [asset for asset in found if not asset.is_available]
    names = " and ".join(asset.name for asset in missing)
    return Availability(
        available=True,
        reason=f"It plays without the {names}." if missing else "",
        advice=" ".join(dict.fromkeys(asset.advice for asset in missing)),
    )
