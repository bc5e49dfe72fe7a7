"""The flow model: a transformer that predicts the velocity of a latent at a flow step.

Le Lan et al., "High Fidelity Text-Guided Music Generation and Editing via Single-Stage Flow
Matching", 2024.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiocraft.models import solvers
from audiocraft.models.fused import FusedFlow
from audiocraft.models.inpainting import Kept, held
from audiocraft.models.solvers import Draw, OnStep, Regularization, Velocity
from audiocraft.models.windows import Windows, windowed
from audiocraft.modules.conditioners import ConditioningAttributes, ConditioningProvider
from audiocraft.modules.transformer import StreamingTransformer, TransformerConfig

_EMBEDDING = 256

Estimates = Callable[[Tensor], None]
"""Called with the result `[B, C, T]` as a solve foresees it on its way."""

Evaluation = Callable[..., Velocity]
"""`evaluation(condition, mask, grid, guided=…)` returns a velocity field over `grid`'s steps."""


def _nothing(done: int, total: int) -> None:
    """Ignore progress."""


@dataclass(frozen=True, kw_only=True)
class Solve:
    """How to integrate: everything that one call may choose, and nothing that outlives it."""

    solver: str = "midpoint"
    steps: int = 64
    source_flowstep: float = 0.0
    target_flowstep: float = 1.0
    regularization: Regularization | None = None

    def __post_init__(self) -> None:
        if self.solver not in ("euler", "midpoint"):
            raise ValueError(f"solver must be euler or midpoint, not {self.solver!r}")

    @property
    def evaluations(self) -> int:
        """How often the model is called, and progress told."""
        return self.steps * (self.regularization.iterations if self.regularization else 1)

    @property
    def is_upwards(self) -> bool:
        """Whether it goes towards the data; only then is the velocity guided."""
        return self.target_flowstep > self.source_flowstep


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Who follows a solve.

    Attributes:
        on_step: called with (done, total) after every evaluation; may raise to stop.
        estimates: called once with the result as foreseen after `estimate_at` of the evaluations.
    """

    on_step: OnStep = _nothing
    estimates: Estimates | None = None
    estimate_at: float = 0.6


UNWATCHED = Watch()


class TimestepEmbedding(nn.Module):
    """Flow step `[B, 1]` to `[B, 1, dim]`: 256 sinusoids, cosines first, and two linears."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(_EMBEDDING, dim, bias=False), nn.SiLU(), nn.Linear(dim, dim, bias=False)
        )

    def forward(self, flowstep: Tensor) -> Tensor:
        """Embed."""
        half = _EMBEDDING // 2
        exponents = torch.arange(half, dtype=torch.float32, device=flowstep.device) / half
        phase = flowstep.float() * torch.exp(-math.log(10000.0) * exponents)
        waves = torch.cat((phase.cos(), phase.sin()), dim=-1)
        y: Tensor = self.mlp(waves).unsqueeze(1)
        return y


class FlowModel(nn.Module):
    """Velocity field over latents `[B, latent_dim, T]` under a text condition.

    Attributes:
        cfg_coef: strength of guidance; 0 follows the description as it is.
        evaluation: what computes velocities in a solve: `naive`, or what `fuse` has put there.
    """

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(
        self,
        config: TransformerConfig,
        condition_provider: ConditioningProvider,
        *,
        latent_dim: int = 128,
        cfg_coef: float = 4.0,
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.cfg_coef = cfg_coef
        self.condition_provider = condition_provider
        self.timestep_embedder = TimestepEmbedding(config.dim)
        self.in_proj = nn.Linear(latent_dim, config.dim, bias=False)
        self.transformer = StreamingTransformer(config)
        self.out_norm = nn.LayerNorm(config.dim)
        self.out_proj = nn.Linear(config.dim, latent_dim, bias=False)
        self.register_buffer("latent_mean", torch.zeros(1, latent_dim, 1))
        self.register_buffer("latent_std", torch.ones(1, latent_dim, 1))
        self.evaluation: Evaluation = self.naive

    def forward(
        self, z: Tensor, t: Tensor, condition_src: Tensor, condition_mask: Tensor
    ) -> Tensor:
        """Return the velocity `[B, C, T]` at flow steps `t` `[B, 1]`.

        `condition_src` is `[B, S, dim]`, `condition_mask` additive `[B, 1, 1, S]` (0 or -inf).
        """
        # the norm of a mixture of unit noise and unit data at this flow step
        scale = (t.square() + (1 - t).square()).sqrt().unsqueeze(-1)
        x = self.in_proj((z / scale).transpose(1, 2))
        x = self.transformer(x, self.timestep_embedder(t), condition_src, condition_mask)
        v: Tensor = self.out_proj(self.out_norm(x)).transpose(1, 2)
        return v * math.sqrt(2)

    def fuse(self, *, precision: torch.dtype | None = None, is_sole: bool = False) -> None:
        """Evaluate faster from now on; to be called again when the weights have been moved.

        With a `precision` the products are computed in it, as the original does on a card. They
        are then held twice, unless the fused evaluation is to be the sole one.
        """
        self.evaluation = FusedFlow(self, precision=precision).velocity
        if is_sole and precision is not None:
            self.transformer.to("meta")

    def normalize(self, latent: Tensor) -> Tensor:
        """Return the codec's latent in the model's scale."""
        return (latent - self.latent_mean) / (self.latent_std + 1e-5)

    def denormalize(self, latent: Tensor) -> Tensor:
        """Return the model's latent in the codec's scale."""
        return latent * (self.latent_std + 1e-5) + self.latent_mean

    def source_latent(self, tokens: Tensor, draw: Draw) -> Tensor:
        """Return the model's latent of encoded audio: a sample of the posterior, normalised.

        What has `latent_dim` channels already is the model's own latent and returned as it is.
        """
        if tokens.shape[1] == self.latent_dim:
            return tokens
        return self.normalize(sample_posterior(tokens, draw))

    @torch.no_grad()
    def generate(  # noqa: PLR0913, PLR0917 - the original's signature
        self,
        prompt: Tensor | None = None,
        conditions: Sequence[ConditioningAttributes] = (),
        num_samples: int | None = None,
        max_gen_len: int = 256,
        solver: str = "midpoint",
        steps: int = 64,
        source_flowstep: float = 0.0,
        target_flowstep: float = 1.0,
        regularize: bool = False,  # noqa: FBT001, FBT002 - the original's signature
        regularize_iters: int = 4,
        keep_last_k_iters: int = 2,
        lambda_kl: float = 0.2,
        callback: OnStep | None = None,
        *,
        draw: Draw = torch.randn_like,
    ) -> Tensor:
        """Integrate `prompt` `[B, latent or 2 * latent, T]`, or noise, and return `[B, C, T]`.

        Without a prompt as many latents of `max_gen_len` frames are made as there are conditions,
        or `num_samples` without any.

        Raises:
            ValueError: the parts do not fit each other, or a choice cannot be.
        """
        texts = [attributes.text.get("description") for attributes in conditions]
        texts = texts or [None] * (num_samples or 0 if prompt is None else len(prompt))
        if not texts:
            raise ValueError("conditions, a number of samples or a prompt must be given")
        if regularize and (prompt is None or solver != "euler"):
            raise ValueError("only an euler solve of a prompt can be regularised")
        if prompt is None:
            start = draw(self.latent_mean.new_empty(len(texts), self.latent_dim, max_gen_len))
        else:
            start = self.source_latent(prompt, draw)
        regularization = (
            Regularization(
                iterations=regularize_iters, keep_last=keep_last_k_iters, weight=lambda_kl
            )
            if regularize
            else None
        )
        solve = Solve(
            solver=solver,
            steps=steps,
            source_flowstep=source_flowstep,
            target_flowstep=target_flowstep,
            regularization=regularization,
        )
        watch = Watch(on_step=callback or _nothing)
        return self.integrate(start, texts, solve, draw=draw, watch=watch)

    @torch.no_grad()
    def integrate(
        self,
        start: Tensor,
        descriptions: Sequence[str | None],
        solve: Solve,
        *,
        draw: Draw,
        watch: Watch = UNWATCHED,
        windows: Windows | None = None,
        kept: Kept | None = None,
    ) -> Tensor:
        """Integrate `start` `[B or 1, C, T]` from the source to the target flow step.

        Upwards the velocity is guided by the descriptions, downwards it is not. A latent longer
        than the model's window needs `windows`. What is `kept` is painted around.

        Raises:
            ValueError: the numbers of latents and descriptions do not fit.
        """
        z = _fanned(start, len(descriptions))
        if solve.source_flowstep == solve.target_flowstep:
            return z
        grid = solvers.schedule(solve.steps, solve.source_flowstep, solve.target_flowstep)
        grid = grid.to(z.device)
        told = _Told(watch.on_step)
        condition, mask = self.condition_provider.description.condition(descriptions)
        velocity = self.evaluation(condition, mask, grid, guided=solve.is_upwards)
        if windows is not None:
            velocity = windowed(velocity, windows, between=told.again)
        if kept is not None:
            velocity = held(velocity, kept, start=z, flowstep=solve.source_flowstep)
        if watch.estimates is not None:
            velocity = _foreseen(velocity, watch.estimates, round(watch.estimate_at * solve.steps))
        return _solved(z, grid, velocity, solve, draw=draw, on_step=told)

    def naive(self, condition: Tensor, mask: Tensor, grid: Tensor, *, guided: bool) -> Velocity:
        """Return the velocity field of this model, computed plainly.

        `condition` `[n, S, dim]` and `mask` `[n, S]` have one row a description. A call may bring
        any multiple of n latents, each copy of the n in order.
        """
        del grid
        log_mask = torch.log(mask.float())[:, None, None]
        nothing = (torch.zeros_like(condition), torch.full_like(log_mask, -math.inf))

        def evaluate(z: Tensor, t: Tensor) -> Tensor:
            copies = len(z) // len(condition)
            rows, masks = condition.repeat(copies, 1, 1), log_mask.repeat(copies, 1, 1, 1)
            if not guided:
                v: Tensor = self(z, t.expand(len(z), 1), rows, masks)
                return v
            rows = torch.cat((rows, nothing[0].repeat(copies, 1, 1)))
            masks = torch.cat((masks, nothing[1].repeat(copies, 1, 1, 1)))
            both: Tensor = self(z.repeat(2, 1, 1), t.expand(2 * len(z), 1), rows, masks)
            wanted, free = both.chunk(2)
            return (1 + self.cfg_coef) * wanted - self.cfg_coef * free

        return evaluate


class _Told:
    """Passes progress on, and can say the last word again: a chance to stop between windows."""

    def __init__(self, on_step: OnStep) -> None:
        self._on_step = on_step
        self._last = (0, 1)

    def __call__(self, done: int, total: int) -> None:
        self._last = (done, total)
        self._on_step(done, total)

    def again(self) -> None:
        self._on_step(*self._last)


def _solved(
    z: Tensor, grid: Tensor, velocity: Velocity, solve: Solve, *, draw: Draw, on_step: OnStep
) -> Tensor:
    if solve.regularization is not None:
        return solvers.regularized_euler(
            z,
            grid,
            velocity,
            prompt=z,
            regularization=solve.regularization,
            draw=draw,
            on_step=on_step,
        )
    integrate = {"euler": solvers.euler, "midpoint": solvers.midpoint}[solve.solver]
    return integrate(z, grid, velocity, on_step=on_step)


def _foreseen(velocity: Velocity, estimates: Estimates, at_call: int) -> Velocity:
    """Return the same velocity; at one call the end of a straight path along it is told."""
    calls = 0

    def watched(z: Tensor, flowstep: Tensor) -> Tensor:
        nonlocal calls
        v = velocity(z, flowstep)
        calls += 1
        if calls == max(at_call, 1):
            estimates(z + (1 - flowstep) * v)
        return v

    return watched


def _fanned(start: Tensor, count: int) -> Tensor:
    if len(start) == count:
        return start
    if len(start) != 1:
        raise ValueError(f"{len(start)} latents cannot follow {count} descriptions")
    return start.repeat(count, 1, 1)


def sample_posterior(posterior: Tensor, draw: Draw) -> Tensor:
    """Return `mean + (softplus(scale) + 1e-4) * noise` of `[B, 2C, T]`."""
    mean, scale = posterior.chunk(2, dim=1)
    return draw(mean) * (functional.softplus(scale) + 1e-4) + mean
