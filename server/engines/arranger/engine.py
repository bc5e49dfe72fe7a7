"""The arranger: hears a clip, writes a score, plays it with other instruments, on the CPU.

Puts the stages in order, shares progress out among them and reports what was heard. Each stage
knows its own business; a transform's are put in order by `transforming`.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from server.config import Settings
from server.engines.arranger import assets, reports, transforming
from server.engines.arranger.continuing import going, sketch
from server.engines.arranger.ear import Ear
from server.engines.arranger.filters import RATE
from server.engines.arranger.inpainting import paint
from server.engines.arranger.listening.transcribe import open_transcriber
from server.engines.arranger.prompt import Reading
from server.engines.arranger.render import Orchestra
from server.engines.arranger.stages import STEPS, share
from server.engines.arranger.transforming import LISTENED, Performance, Plan, plan, reading_of
from server.engines.catalog import Availability
from server.engines.hardware import heap
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
from server.media import resample, window
from server.media.clip import Clip

NO_NETWORK = "The transcription model is missing; notes are heard less reliably."
NO_BANK = "The sound bank is missing; synthesized voices stand in for sampled instruments."


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
        plans = [plan(clip, brief) for brief in briefs]
        is_work = any(todo.reason is None for todo in plans)
        source = resample.resample(clip.as_stereo(), RATE) if is_work else clip
        return [
            self._carry_out(
                todo, clip, source, _turn(on_step, number, len(plans)), is_shared=number > 0
            )
            for number, todo in enumerate(plans)
        ]

    def rest(self) -> None:
        """Give back what a job took; what may be wanted again is kept, up to its bounds."""
        heap.trim()

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
        reading, played = reading_of(brief), STEPS - LISTENED
        total = LISTENED + takes * played
        on_step(0, total)
        canvas = paint.prepare(
            clip,
            windows,
            brief,
            transcriber=self._transcriber,
            on_step=share(on_step, 0, LISTENED, of=total),
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
            for number, at in enumerate(range(LISTENED, total, played))
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
        reading = reading_of(brief)
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
            brief, reading_of(brief), self._orchestra, seconds=seconds, on_step=on_step
        )
        return self._continuation(result, reading)

    def _continuation(self, result: going.Going, reading: Reading) -> Continuation:
        return Continuation(
            clip=result.clip,
            heard={**result.heard, **self._assets_used},
            notices=(*result.notices, *self._lacks),
            made=result.made,
            **self._reading_and_model(reading),
        )

    def _inpainting(self, take: paint.Take, canvas: paint.Canvas, reading: Reading) -> Inpainting:
        return Inpainting(
            clip=take.clip,
            heard={**paint.heard_facts(canvas.context), **self._assets_used},
            notices=(*paint.notices(canvas.context), *self._lacks),
            made=take.made,
            **self._reading_and_model(reading),
        )

    def _carry_out(
        self, todo: Plan, clip: Clip, source: Clip, on_step: OnStep, *, is_shared: bool
    ) -> Transformation:
        if todo.reason is not None:
            on_step(STEPS, STEPS)
            return self._unchanged(clip, todo, todo.reason)
        on_step(0, STEPS)
        listening = self._listening(source, todo.brief, is_shared=is_shared)
        result = transforming.perform(todo, clip, source, self._ear, self._orchestra, on_step)
        if isinstance(result, str):
            return self._unchanged(clip, todo, result)
        return self._transformation(result, todo, listening)

    def _listening(self, source: Clip, brief: Brief, *, is_shared: bool) -> str:
        """Return where what is heard comes from: another brief, an earlier job, or this one."""
        if not self._ear.remembers(source, bpm=brief.bpm, key=brief.key):
            return "computed"
        return "shared" if is_shared else "remembered"

    def _unchanged(self, clip: Clip, todo: Plan, reason: str) -> Transformation:
        return Transformation(
            clip=clip.as_stereo(),
            heard=reports.settings(todo.brief, todo.strength),
            notices=(reason,) if reason else (),
            **self._reading_and_model(todo.reading),
        )

    def _transformation(self, result: Performance, todo: Plan, listening: str) -> Transformation:
        settings = reports.settings(todo.brief, todo.strength)
        return Transformation(
            clip=result.clip,
            heard={
                **reports.facts(result.heard, result.score),
                **reports.hints(todo.brief, result.heard),
                **reports.layers(todo.brief, todo.strength, result.heard),
                **self._assets_used,
                **settings,
            },
            notices=(*result.notices, *self._lacks),
            made={"listening": listening},
            sheet=result.sheet,
            stems=result.stems,
            **self._reading_and_model(todo.reading),
        )

    def _reading_and_model(self, reading: Reading) -> dict[str, Any]:
        return {
            "understood": reading.understood,
            "ignored": reading.ignored,
            "guessed": reading.guessed,
            "model": {"name": "arranger", **self._assets_used, "device": "cpu"},
        }


def _turn(on_step: OnStep, number: int, count: int) -> OnStep:
    """Return the `on_step` of one brief among several; the first one listens for all."""
    played = STEPS - LISTENED
    heard = LISTENED if number else 0

    def report(done: int, _total: int) -> None:
        on_step(number * played + max(done, heard), LISTENED + count * played)

    return report


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
