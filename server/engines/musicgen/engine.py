"""Engine `musicgen`: goes on with music, or begins it, by a language model of a codec's tokens."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from audiocraft.models import MusicGen
from torch import Tensor

from server import errors
from server.engines.hardware.ladder import Rung
from server.engines.hardware.memory import WorkingMemory
from server.engines.musicgen import prompts
from server.engines.musicgen.prompts import STRIDE, Hearing, Prompt
from server.engines.musicgen.shelf import Opened, Shelf, hearing_of
from server.engines.protocols import Brief, Continuation, OnStep, Sampling
from server.media.clip import Clip, Samples

LONGEST_SECONDS = 3600.0
"""Of new music in one call; it is played in windows, so memory sets no limit."""

MIXED_DOWN = (
    "These weights play mono: the source was mixed down to be heard, and what is new is in the"
    " middle."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What one call plays, over a network that is open.

    Attributes:
        frames: of prompt and new music together.
        prompt: what it begins with, None for nothing.
    """

    network: Opened
    model: MusicGen
    hearing: Hearing
    brief: Brief
    sampling: Sampling
    frames: int
    prompt: Prompt | None = None

    @property
    def is_long(self) -> bool:
        """Whether one window does not suffice."""
        return self.frames > self.hearing.window


class MusicGenEngine:
    """Plays with the networks of a shelf. Same input, seed and device: same samples."""

    def __init__(self, shelf: Shelf, *, memory: WorkingMemory) -> None:
        """Take the networks, and what minds the memory of their device."""
        self._shelf = shelf
        self._memory = memory

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
        """Return the clip, its end as the model hears it, and `seconds` more.

        Raises:
            errors.InvalidInput: there are no such weights here, or it is too long.
            errors.OutOfMemory: even the smallest way of doing it did not fit.
            errors.DeviceLost: the device failed and is of no use to this process any more.
            errors.EngineFailed: what came out is no sound.
        """
        del earlier  # the prompt is all that the model was taught to hear
        network, model, hearing = self._opened(sampling, seconds)
        new = hearing.frames_of(seconds) + 1  # rounding between rates may take a part of one
        prompt = prompts.heard(clip, hearing, new_frames=new)
        order = _Order(
            network=network,
            model=model,
            hearing=hearing,
            brief=brief,
            sampling=sampling,
            frames=prompt.frames + new,
            prompt=prompt,
        )
        played = Clip(self._played(order, on_step), hearing.sample_rate)
        heard = prompt.frames * hearing.hop
        return Continuation(
            clip=prompts.joined(clip, played, prompt_samples=heard, seconds=seconds),
            notices=_notices(clip, order),
            model=network.identity,
            made=self._made(order),
        )

    def generate(
        self, brief: Brief, sampling: Sampling, *, seconds: float, on_step: OnStep
    ) -> Continuation:
        """Return `seconds` of music at the model's rate, with its channels.

        Raises:
            errors.InvalidInput: there are no such weights here, or it is too long.
            errors.OutOfMemory: even the smallest way of doing it did not fit.
            errors.DeviceLost: the device failed and is of no use to this process any more.
            errors.EngineFailed: what came out is no sound.
        """
        network, model, hearing = self._opened(sampling, seconds)
        order = _Order(
            network=network,
            model=model,
            hearing=hearing,
            brief=brief,
            sampling=sampling,
            frames=max(hearing.frames_of(seconds), 1),
        )
        played = Clip(self._played(order, on_step), hearing.sample_rate)
        samples = prompts.within(played).samples
        length = prompts.samples_of(seconds, hearing.sample_rate)
        return Continuation(
            clip=played.with_samples(samples[:, :length]),
            model=network.identity,
            made=self._made(order),
        )

    def rest(self) -> None:
        """Give back what only the last job needed."""
        self._memory.rest()

    def close(self) -> None:
        """Give the memory and the device back."""
        self._shelf.close()
        self._memory.close()

    def _opened(self, sampling: Sampling, seconds: float) -> tuple[Opened, MusicGen, Hearing]:
        if not 0 < seconds <= LONGEST_SECONDS:
            words = f"Music of 0 to {LONGEST_SECONDS:g} seconds can be played at once."
            raise errors.InvalidInput(words, field="seconds")
        network = self._shelf.named(sampling.model)
        model = network.model()
        return network, model, hearing_of(model)

    def _played(self, order: _Order, on_step: OnStep) -> Samples:
        """Return what is played, `[C, frames * hop]`.

        Raises:
            errors.EngineFailed: it is no sound.
        """
        follower = _Follower(on_step, order.frames)

        def alone() -> Samples:
            self._shelf.leave_alone(order.network.name)
            return _play(order, follower)

        rungs = [Rung("beside others", lambda: _play(order, follower)), Rung("alone", alone)]
        with self._memory.minded():
            audio = self._memory.climb("play", rungs, size=order.frames)
        if not np.isfinite(audio).all():
            raise errors.EngineFailed("The model's output is not a sound; please try another seed.")
        follower.end()
        return audio

    def _made(self, order: _Order) -> Mapping[str, Any]:
        known = order.prompt.frames if order.prompt else 0
        hearing, sampling = order.hearing, order.sampling
        beyond = max(order.frames - hearing.window, 0)
        return {
            "tokens": (order.frames - known) * order.model.lm.n_q,
            "steps": order.frames - known,
            "prompt_seconds": known * hearing.hop / hearing.sample_rate,
            "windows": 1 - (-beyond // hearing.stride),
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
            "temperature": sampling.temperature,
            "cfg_coef": sampling.cfg_coef,
            "memory": self._memory.rungs(),
        }


def _play(order: _Order, follower: "_Follower") -> Samples:
    """Return the samples of an order; every call with it gives the same."""
    model, sampling, hearing = order.model, order.sampling, order.hearing
    model.set_generation_params(
        top_k=min(sampling.top_k, model.lm.card),
        top_p=sampling.top_p,
        temperature=sampling.temperature,
        cfg_coef=sampling.cfg_coef,
        duration=order.frames / model.frame_rate,
        extend_stride=STRIDE * model.max_duration,
    )
    choices: dict[str, Any] = {
        "generator": torch.Generator(model.device).manual_seed(order.brief.seed),
        "on_step": follower,
    }
    words = [order.brief.prompt or None]
    if order.prompt is None:
        audio = model.generate(words, **choices)
    else:
        prompt = torch.from_numpy(order.prompt.samples)[None]
        audio = model.generate_continuation(prompt, hearing.sample_rate, words, **choices)
    sound = cast("Tensor", audio)[0]  # no tokens were asked for
    return np.ascontiguousarray(sound.float().cpu().numpy())


def _notices(clip: Clip, order: _Order) -> tuple[str, ...]:
    said, hearing = [], order.hearing
    if hearing.channels == 1 and clip.channels > 1:
        said.append(MIXED_DOWN)
    heard = (order.prompt.frames if order.prompt else 0) * hearing.hop / hearing.sample_rate
    if clip.seconds - heard > hearing.hop / hearing.sample_rate:
        said.append(f"Of the {clip.seconds:.1f} seconds given the last {heard:.1f} were heard.")
    return tuple(said)


class _Follower:
    """Tells of frames: not of every one, since each telling asks the record whether to stop."""

    EVERY_FRAMES = 20
    EVERY_SECONDS = 0.25

    def __init__(self, on_step: OnStep, frames: int) -> None:
        self._on_step = on_step
        self._total = frames + 1  # the last is the sound itself
        self._furthest = self._told = 0
        self._told_at = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        del total
        self._furthest = min(max(self._furthest, done), self._total - 1)
        passed = time.monotonic() - self._told_at
        if done - self._told >= self.EVERY_FRAMES or passed >= self.EVERY_SECONDS:
            self._tell(self._furthest)

    def end(self) -> None:
        """Tell that all is done."""
        self._tell(self._total)

    def _tell(self, done: int) -> None:
        self._told, self._told_at = done, time.monotonic()
        self._on_step(done, self._total)
