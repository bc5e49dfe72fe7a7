"""MelodyFlow: text to music and edits of music, over a codec and a flow model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from audiocraft.models import loaders
from audiocraft.models.encodec import EncodecModel
from audiocraft.models.flow import FlowModel, Solve
from audiocraft.models.solvers import Draw, OnStep, Regularization

_USUAL_REGULARIZATION = Regularization(iterations=2, keep_last=1, weight=0.2)


@dataclass(frozen=True, kw_only=True)
class Editing:
    """What an edit may choose.

    Attributes:
        target_flowstep: the pivot; higher stays closer to the source, 1.0 is identity.
        regularization: renoising of the inversion, for euler only.
    """

    solver: str = "euler"
    steps: int = 25
    target_flowstep: float = 0.0
    regularization: Regularization | None = _USUAL_REGULARIZATION

    def inversion(self) -> Solve:
        """From the source down to the pivot."""
        return Solve(
            solver=self.solver,
            steps=self.steps,
            source_flowstep=1.0,
            target_flowstep=self.target_flowstep,
            regularization=self.regularization,
        )

    def generation(self) -> Solve:
        """From the pivot up again."""
        return Solve(solver=self.solver, steps=self.steps, source_flowstep=self.target_flowstep)


class MelodyFlow:
    """The codec, the flow model and the choices of the next call."""

    def __init__(
        self, name: str, compression_model: EncodecModel, lm: FlowModel, max_duration: float
    ) -> None:
        """Put the parts together; `max_duration` is the window in seconds."""
        self.name = name
        self.compression_model = compression_model
        self.lm = lm
        self.max_duration = max_duration
        self.duration = max_duration
        self._generation = Solve()
        self._editing = Editing()
        self._progress_callback: Callable[[int, int], None] | None = None

    @classmethod
    def get_pretrained(
        cls, name: str | Path, device: str = "cpu", *, text_encoder: str | Path | None = None
    ) -> Self:
        """Load from a directory with both official files; `text_encoder` is the T5 directory.

        Raises:
            InvalidCheckpoint: a file is damaged, of another kind, or of an unsupported shape.
        """
        codec = loaders.load_compression_model(name, device)
        lm = loaders.load_dit_model_melodyflow(name, device)
        seconds = loaders.window_seconds(name)
        if text_encoder is not None:
            lm.condition_provider.description.use_encoder(text_encoder)
        return cls(str(name), codec, lm, seconds)

    @property
    def sample_rate(self) -> int:
        """Of the waveforms, in Hz."""
        return self.compression_model.sample_rate

    @property
    def frame_rate(self) -> float:
        """Latent frames a second."""
        return self.compression_model.frame_rate

    @property
    def audio_channels(self) -> int:
        """Channels of the waveforms."""
        return self.compression_model.channels

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.lm.latent_mean.device

    def set_generation_params(
        self, *, solver: str = "midpoint", steps: int = 64, duration: float = 10.0
    ) -> None:
        """Choose how the next `generate` integrates and how many seconds it makes."""
        self._generation = Solve(solver=solver, steps=steps)
        self.duration = duration

    def set_editing_params(
        self,
        *,
        solver: str = "midpoint",
        steps: int = 64,
        target_flowstep: float = 0.0,
        regularize: bool = False,
        regularize_iters: int = 4,
        keep_last_k_iters: int = 2,
        lambda_kl: float = 0.2,
    ) -> None:
        """Choose how the next `edit` integrates.

        Raises:
            ValueError: the regularisation cannot be, or goes with a solver that has none.
        """
        if regularize and solver != "euler":
            raise ValueError("only the euler solver can be regularised")
        regularization = Regularization(
            iterations=regularize_iters, keep_last=keep_last_k_iters, weight=lambda_kl
        )
        self._editing = Editing(
            solver=solver,
            steps=steps,
            target_flowstep=target_flowstep,
            regularization=regularization if regularize else None,
        )

    def set_custom_progress_callback(self, callback: OnStep | None = None) -> None:
        """Choose what is called with (done, total) after every evaluation of the model."""
        self._progress_callback = callback

    @torch.no_grad()
    def encode_audio(self, waveform: Tensor) -> Tensor:
        """Return the posterior `[B, 2 * latent, T]`, means before scales, of `[B, C, N]`."""
        latent, _ = self.compression_model.encode(waveform.to(self.device))
        return latent

    @torch.no_grad()
    def generate_audio(self, latent: Tensor, *, draw: Draw = torch.randn_like) -> Tensor:
        """Return the waveform `[B, C, T * hop]` of a posterior or of the model's own latent."""
        if latent.shape[1] == 2 * self.lm.latent_dim:
            return self.compression_model.decode(sample_posterior(latent, draw))
        return self.compression_model.decode(self.lm.denormalize(latent))

    def generate(
        self,
        descriptions: Sequence[str | None],
        *,
        return_tokens: bool = False,
        draw: Draw = torch.randn_like,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Return one waveform a description, `duration` seconds long; with its latents if asked."""
        frames = self._frames(self.duration)
        empty = torch.empty(len(descriptions), self.lm.latent_dim, frames, device=self.device)
        latent = self._integrate(draw(empty), descriptions, self._generation, draw)
        audio = self.generate_audio(latent)
        return (audio, latent) if return_tokens else audio

    def generate_unconditional(
        self, num_samples: int, *, draw: Draw = torch.randn_like
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Return waveforms that follow no description."""
        return self.generate([None] * num_samples, draw=draw)

    def edit(
        self,
        prompt_tokens: Tensor,
        descriptions: Sequence[str | None],
        *,
        src_descriptions: Sequence[str | None] | None = None,
        return_tokens: bool = False,
        draw: Draw = torch.randn_like,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Play `prompt_tokens` `[B, 2 * latent or latent, T]` again under other descriptions.

        One prompt may be given several descriptions; its inversion is then done once.

        Raises:
            ValueError: it is longer than the window, or the numbers of prompts and descriptions
            differ.
        """
        self._refuse_too_long(prompt_tokens.shape[-1])
        source = list(src_descriptions or [""])
        if len(source) == 1:
            source *= len(prompt_tokens)
        start = self.source_latent(prompt_tokens, draw)
        down, up = self._editing.inversion(), self._editing.generation()
        total = down.evaluations + up.evaluations
        pivot = self._integrate(start, source[: len(start)], down, draw, total=total)
        latent = self._integrate(
            pivot, descriptions, up, draw, total=total, before=down.evaluations
        )
        audio = self.generate_audio(latent)
        return (audio, latent) if return_tokens else audio

    def source_latent(self, tokens: Tensor, draw: Draw) -> Tensor:
        """Return the model's latent of encoded audio: a sample of the posterior, normalised."""
        if tokens.shape[1] == self.lm.latent_dim:
            return tokens
        return self.lm.normalize(sample_posterior(tokens, draw))

    def _integrate(
        self,
        start: Tensor,
        descriptions: Sequence[str | None],
        solve: Solve,
        draw: Draw,
        *,
        total: int | None = None,
        before: int = 0,
    ) -> Tensor:
        callback = self._progress_callback

        def report(done: int, of_this_pass: int) -> None:
            if callback is not None:
                callback(before + done, total or of_this_pass)

        return self.lm.generate(
            start=start, descriptions=descriptions, solve=solve, draw=draw, on_step=report
        )

    def _frames(self, seconds: float) -> int:
        frames = int(seconds * self.frame_rate)
        self._refuse_too_long(frames)
        return frames

    def _refuse_too_long(self, frames: int) -> None:
        longest = int(self.max_duration * self.frame_rate)
        if not 0 < frames <= longest:
            raise ValueError(f"{frames} frames do not fit the window of 1 to {longest}")

    def with_editing(self, editing: Editing) -> Self:
        """Return a model with other choices over the same weights; this one is not touched."""
        other = type(self)(self.name, self.compression_model, self.lm, self.max_duration)
        other._editing = replace(editing)  # noqa: SLF001 - the same class
        return other


def sample_posterior(posterior: Tensor, draw: Draw) -> Tensor:
    """Return `mean + (softplus(scale) + 1e-4) * noise` of `[B, 2C, T]`."""
    mean, scale = posterior.chunk(2, dim=1)
    return draw(mean) * (functional.softplus(scale) + 1e-4) + mean
