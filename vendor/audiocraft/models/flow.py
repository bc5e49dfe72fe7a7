"""The flow model: a transformer that predicts the velocity of a latent at a flow step.

Le Lan et al., "High Fidelity Text-Guided Music Generation and Editing via Single-Stage Flow
Matching", 2024.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audiocraft.models import solvers
from audiocraft.models.solvers import Draw, OnStep, Regularization
from audiocraft.modules.conditioners import ConditioningProvider
from audiocraft.modules.transformer import StreamingTransformer, TransformerConfig

_EMBEDDING = 256


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

    @property
    def evaluations(self) -> int:
        """How often the model is called, and progress told."""
        return self.steps * (self.regularization.iterations if self.regularization else 1)


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
    """Velocity field over latents `[B, latent_dim, T]` under a text condition."""

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

    def forward(self, z: Tensor, t: Tensor, condition: Tensor, log_mask: Tensor) -> Tensor:
        """Return the velocity `[B, C, T]` at flow steps `t` `[B, 1]`.

        `condition` is `[B, S, dim]`, `log_mask` the additive mask `[B, 1, 1, S]` (0 or -inf).
        """
        # the norm of a mixture of unit noise and unit data at this flow step
        scale = (t.square() + (1 - t).square()).sqrt().unsqueeze(-1)
        x = self.in_proj((z / scale).transpose(1, 2))
        x = self.transformer(x, self.timestep_embedder(t), condition, log_mask)
        v: Tensor = self.out_proj(self.out_norm(x)).transpose(1, 2)
        return v * math.sqrt(2)

    def normalize(self, latent: Tensor) -> Tensor:
        """Return the codec's latent in the model's scale."""
        return (latent - self.latent_mean) / (self.latent_std + 1e-5)

    def denormalize(self, latent: Tensor) -> Tensor:
        """Return the model's latent in the codec's scale."""
        return latent * (self.latent_std + 1e-5) + self.latent_mean

    @torch.no_grad()
    def generate(
        self,
        *,
        start: Tensor,
        descriptions: Sequence[str | None],
        solve: Solve,
        draw: Draw,
        on_step: OnStep = _nothing,
    ) -> Tensor:
        """Integrate `start` `[B or 1, C, T]` from the source to the target flow step.

        Upwards the velocity is guided by the descriptions, downwards it is not.

        Raises:
            ValueError: the solver is unknown, or the numbers of latents and descriptions do not
            fit.
        """
        z = _fanned(start, len(descriptions))
        if solve.source_flowstep == solve.target_flowstep:
            return z
        grid = solvers.schedule(solve.steps, solve.source_flowstep, solve.target_flowstep)
        grid = grid.to(z.device)
        velocity = self._velocity(
            descriptions, guided=solve.target_flowstep > solve.source_flowstep
        )
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
        step = {"euler": solvers.euler, "midpoint": solvers.midpoint}.get(solve.solver)
        if step is None:
            raise ValueError(f"solver must be euler or midpoint, not {solve.solver!r}")
        return step(z, grid, velocity, on_step=on_step)

    def _velocity(self, descriptions: Sequence[str | None], *, guided: bool) -> solvers.Velocity:
        condition, mask = self.condition_provider.description.condition(descriptions)
        log_mask = torch.log(mask.float())[:, None, None]
        nothing = (torch.zeros_like(condition), torch.full_like(log_mask, -math.inf))

        def evaluate(z: Tensor, t: Tensor) -> Tensor:
            # a regularised call brings every latent twice; each copy has the same description
            copies = len(z) // len(condition)
            rows, masks = condition.repeat(copies, 1, 1), log_mask.repeat(copies, 1, 1, 1)
            if not guided:
                v: Tensor = self(z, t.expand(len(z), 1), rows, masks)
                return v
            rows, masks = torch.cat((rows, nothing[0])), torch.cat((masks, nothing[1]))
            both: Tensor = self(z.repeat(2, 1, 1), t.expand(2 * len(z), 1), rows, masks)
            wanted, free = both.chunk(2)
            return (1 + self.cfg_coef) * wanted - self.cfg_coef * free

        return evaluate


def _fanned(start: Tensor, count: int) -> Tensor:
    if len(start) == count:
        return start
    if len(start) != 1:
        raise ValueError(f"{len(start)} latents cannot follow {count} descriptions")
    return start.repeat(count, 1, 1)
