"""MelodyFlow: text to music and edits of music, over a codec and a flow model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from audiocraft.models import loaders
from audiocraft.models.encodec import EncodecModel
from audiocraft.models.flow import UNWATCHED, Estimates, FlowModel, Solve, Watch, sample_posterior
from audiocraft.models.genmodel import BaseGenModel
from audiocraft.models.inpainting import Kept
from audiocraft.models.solvers import Draw, OnStep, Regularization
from audiocraft.models.windows import Windows, cover

OVERLAP_SECONDS = 5.0
"""What two windows of a long clip share at least."""

Result = Tensor | tuple[Tensor, Tensor]


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
    regularization: Regularization | None = None

    def __post_init__(self) -> None:
        if self.regularization is not None and self.solver != "euler":
            raise ValueError("only the euler solver can be regularised")

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

    @property
    def evaluations(self) -> int:
        """How often an edit calls the model, and tells its progress."""
        return self.inversion().evaluations + self.generation().evaluations


class MelodyFlow(BaseGenModel):
    """The codec, the flow model and the choices of the next call.

    `invert` and `render` are the two halves of `edit` and take all their choices as arguments.
    """

    lm: FlowModel
    compression_model: EncodecModel

    def __init__(
        self,
        name: str,
        compression_model: EncodecModel,
        lm: FlowModel,
        max_duration: float | None = None,
    ) -> None:
        """Put the parts together; `max_duration` is the window in seconds."""
        super().__init__(name, compression_model, lm, max_duration)
        self.editing_params: dict[str, Any] = {}
        self.set_generation_params()
        self.set_editing_params()

    @classmethod
    def get_pretrained(
        cls,
        name: str | Path = "facebook/melodyflow-t24-30secs",
        device: str | torch.device | None = None,
        *,
        text_encoder: str | Path | None = None,
    ) -> Self:
        """Load from a directory or a hub id; without a device the first card, else the CPU.

        `text_encoder` is the directory of the T5 encoder; without one it is looked for under the
        checkpoint's name for it when the first text comes. On a card products are bfloat16.

        Raises:
            InvalidCheckpoint: a file is damaged, of another kind, or of an unsupported shape.
        """
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        codec = loaders.load_compression_model(name, str(device))
        lm = loaders.load_dit_model_melodyflow(name, str(device))
        if text_encoder is not None:
            lm.condition_provider.description.use_encoder(text_encoder)
        lm.fuse(precision=torch.bfloat16 if lm.latent_mean.is_cuda else None)
        return cls(str(name), codec, lm, loaders.window_seconds(name))

    def set_generation_params(
        self, solver: str = "midpoint", steps: int = 64, duration: float = 10.0
    ) -> None:
        """Choose how the next `generate` integrates and how many seconds it makes.

        Raises:
            ValueError: there is no such solver.
        """
        Solve(solver=solver, steps=steps)
        self.duration = duration
        self.generation_params = {"solver": solver, "steps": steps, "duration": duration}

    def set_editing_params(
        self,
        solver: str = "euler",
        steps: int = 25,
        target_flowstep: float = 0.0,
        regularize: bool = True,  # noqa: FBT001, FBT002 - the original's signature
        regularize_iters: int = 4,
        keep_last_k_iters: int = 2,
        lambda_kl: float = 0.2,
    ) -> None:
        """Choose how the next `edit` integrates.

        Raises:
            ValueError: the regularisation cannot be, or goes with a solver that has none.
        """
        params = {
            "solver": solver,
            "steps": steps,
            "target_flowstep": target_flowstep,
            "regularize": regularize,
            "regularize_iters": regularize_iters,
            "keep_last_k_iters": keep_last_k_iters,
            "lambda_kl": lambda_kl,
        }
        _editing(params)
        self.editing_params = params

    @torch.no_grad()
    def encode_audio(self, waveform: Tensor) -> Tensor:
        """Return the posterior `[B, 2 * latent, T]`, means before scales, of `[B, C, N]`."""
        latent, _ = self.compression_model.encode(waveform.to(self.device))
        return latent

    @torch.no_grad()
    def generate_audio(self, gen_tokens: Tensor, *, draw: Draw = torch.randn_like) -> Tensor:
        """Return the waveform `[B, C, T * hop]` of a posterior or of the model's own latent."""
        if gen_tokens.shape[1] == 2 * self.lm.latent_dim:
            return self.compression_model.decode(sample_posterior(gen_tokens, draw))
        return self.compression_model.decode(self.lm.denormalize(gen_tokens))

    def generate(
        self,
        descriptions: Sequence[str | None],
        progress: bool = False,  # noqa: FBT001, FBT002 - the original's signature
        return_tokens: bool = False,  # noqa: FBT001, FBT002
        *,
        draw: Draw = torch.randn_like,
    ) -> Result:
        """Return one waveform a description, `duration` seconds long; with its latents if asked.

        Raises:
            ValueError: the duration is longer than the window.
        """
        frames = self._frames(self.generation_params["duration"])
        empty = torch.empty(len(descriptions), self.lm.latent_dim, frames, device=self.device)
        choices = self.generation_params
        solve = Solve(solver=choices["solver"], steps=choices["steps"])
        watch = Watch(on_step=self._on_step(progress=progress))
        latent = self.lm.integrate(draw(empty), descriptions, solve, draw=draw, watch=watch)
        audio = self.generate_audio(latent)
        return (audio, latent) if return_tokens else audio

    def generate_unconditional(
        self,
        num_samples: int,
        progress: bool = False,  # noqa: FBT001, FBT002 - the original's signature
        return_tokens: bool = False,  # noqa: FBT001, FBT002
        *,
        draw: Draw = torch.randn_like,
    ) -> Result:
        """Return waveforms that follow no description."""
        return self.generate([None] * num_samples, progress, return_tokens, draw=draw)

    def edit(
        self,
        prompt_tokens: Tensor,
        descriptions: Sequence[str | None],
        src_descriptions: Sequence[str | None] | None = None,
        progress: bool = False,  # noqa: FBT001, FBT002 - the original's signature
        return_tokens: bool = False,  # noqa: FBT001, FBT002
        *,
        draw: Draw = torch.randn_like,
    ) -> Result:
        """Play `prompt_tokens` `[B, 2 * latent or latent, T]` again under other descriptions.

        One prompt may be given several descriptions; its inversion is then done once. What is
        longer than the window is done in windows that overlap.

        Raises:
            ValueError: the numbers of prompts and descriptions differ.
        """
        _refuse_unequal(len(prompt_tokens), len(descriptions))
        editing = _editing(self.editing_params)
        start = self.lm.source_latent(prompt_tokens, draw)
        on_step = self._on_step(progress=progress)
        down, total = editing.inversion().evaluations, editing.evaluations
        pivot = self.invert(
            start,
            editing,
            descriptions=src_descriptions,
            draw=draw,
            on_step=lambda done, _: on_step(done, total),
        )
        latent = self.render(
            pivot,
            descriptions,
            editing,
            watch=Watch(on_step=lambda done, _: on_step(down + done, total)),
        )
        audio = self.generate_audio(latent)
        return (audio, latent) if return_tokens else audio

    def invert(
        self,
        latent: Tensor,
        editing: Editing,
        *,
        draw: Draw,
        on_step: OnStep,
        descriptions: Sequence[str | None] | None = None,
    ) -> Tensor:
        """Return the pivot `[B, C, T]` of the model's latent: the half of an edit without prompt.

        `descriptions` say what the source is; one may stand for all, and none is usual.

        Raises:
            ValueError: the numbers of latents and descriptions differ.
        """
        texts = list(descriptions or [None])
        if len(texts) == 1:
            texts *= len(latent)
        if len(texts) != len(latent):
            raise ValueError(f"{len(texts)} descriptions cannot be those of {len(latent)} sources")
        return self.lm.integrate(
            latent,
            texts,
            editing.inversion(),
            draw=draw,
            watch=Watch(on_step=on_step),
            windows=self.windows(latent.shape[-1]),
        )

    def render(
        self,
        pivot: Tensor,
        descriptions: Sequence[str | None],
        editing: Editing,
        *,
        watch: Watch = UNWATCHED,
        rows: int | None = None,
        kept: Kept | None = None,
    ) -> Tensor:
        """Return the latents `[n, C, T]` of a pivot `[1 or n, C, T]` under n descriptions.

        What is `kept`, one latent for all, is painted around. Progress counts the evaluations of
        all descriptions; `rows` of them at most are done at a time, without any other difference.

        Raises:
            ValueError: the numbers of pivots and descriptions differ.
        """
        _refuse_unequal(len(pivot), len(descriptions))
        solve, size = editing.generation(), rows or len(descriptions)
        groups = [descriptions[at : at + size] for at in range(0, len(descriptions), size)]
        foreseen = _Gathered(watch.estimates, len(groups)) if watch.estimates else None
        done_before, latents = 0, []
        for index, texts in enumerate(groups):
            latents.append(
                self.lm.integrate(
                    pivot if len(pivot) == 1 else pivot[index * size : index * size + len(texts)],
                    texts,
                    solve,
                    draw=torch.randn_like,  # an unregularised solve draws nothing
                    watch=replace(
                        watch,
                        on_step=_shifted(watch.on_step, done_before, len(groups)),
                        estimates=foreseen,
                    ),
                    windows=self.windows(pivot.shape[-1]),
                    kept=kept,
                )
            )
            done_before += solve.evaluations
        return torch.cat(latents)

    def windows(self, frames: int) -> Windows | None:
        """Return how a latent is covered, None where one window suffices."""
        length = int(self.max_duration * self.frame_rate)
        if frames <= length:
            return None
        overlap = min(OVERLAP_SECONDS, self.max_duration / 6) * self.frame_rate
        return cover(frames, length=length, overlap=int(overlap))

    def _frames(self, seconds: float) -> int:
        frames, longest = int(seconds * self.frame_rate), int(self.max_duration * self.frame_rate)
        if not 0 < frames <= longest:
            raise ValueError(f"{frames} frames do not fit the window of 1 to {longest}")
        return frames


def _refuse_unequal(sources: int, descriptions: int) -> None:
    if sources not in (1, descriptions):
        raise ValueError(f"{sources} sources cannot follow {descriptions} descriptions")


class _Gathered:
    """Tells the estimates of several groups as one."""

    def __init__(self, tell: Estimates, groups: int) -> None:
        self._tell = tell
        self._groups = groups
        self._parts: list[Tensor] = []

    def __call__(self, estimate: Tensor) -> None:
        self._parts.append(estimate)
        if len(self._parts) == self._groups:
            self._tell(torch.cat(self._parts))


def _shifted(on_step: OnStep, before: int, groups: int) -> OnStep:
    return lambda done, total: on_step(before + done, total * groups)


def _editing(params: dict[str, Any]) -> Editing:
    regularization = None
    if params["regularize"]:
        regularization = Regularization(
            iterations=params["regularize_iters"],
            keep_last=params["keep_last_k_iters"],
            weight=params["lambda_kl"],
        )
    return Editing(
        solver=params["solver"],
        steps=params["steps"],
        target_flowstep=params["target_flowstep"],
        regularization=regularization,
    )
