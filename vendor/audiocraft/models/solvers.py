"""Solvers of the flow: schedule, Euler, midpoint, and the regularised inversion.

Free functions of a velocity; they know no network. A flow step runs from 0 (noise) to 1 (data).
Grids are read once a solve, so that no step waits for the device.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

Velocity = Callable[[Tensor, Tensor], Tensor]
"""`velocity(z [B, C, T], flowstep []) -> [B, C, T]`."""

Draw = Callable[[Tensor], Tensor]
"""`draw(like) -> ` standard normal noise of the same shape; called in a documented order."""

OnStep = Callable[[int, int], None]

SWAY = -0.8
"""Sway coefficient: negative spends more steps near the noise (Chen et al., "F5-TTS", 2024)."""

_PATCH = 4
_EPSILON = 1e-6
_GRADIENT_STEPS = 4
_GRADIENT_LIMIT = 100.0


def schedule(steps: int, source: float, target: float, *, sway: float = SWAY) -> Tensor:
    """Return the `steps + 1` flow steps from `source` to `target` in visiting order.

    The swayed grid of [0, 1] is rescaled, not cut, into the interval; downwards it is the upward
    grid reversed.

    Raises:
        ValueError: there are no steps, or an end lies outside [0, 1].
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}")
    if not (0 <= source <= 1 and 0 <= target <= 1):
        raise ValueError("flow steps lie in [0, 1]")
    low, high = min(source, target), max(source, target)
    uniform = torch.arange(0, 1 + 1e-5, 1 / steps, dtype=torch.float32)
    swayed = uniform + sway * (torch.cos(math.pi * uniform / 2) - 1 + uniform)
    grid = low + (high - low) * swayed
    return grid if source <= target else grid.flip(0)


@dataclass(frozen=True, kw_only=True)
class Regularization:
    """Renoising of an inversion (after Garibi et al., "ReNoise", 2024).

    Attributes:
        iterations: velocities computed a step.
        keep_last: how many of the last ones are regularised and averaged.
        weight: step size along the gradient of the divergence (`lambda_kl`).
    """

    iterations: int = 4
    keep_last: int = 2
    weight: float = 0.2

    def __post_init__(self) -> None:
        # 0 would do nothing at all, 1 of 1 would divide by zero: the original runs both
        if not 0 < self.keep_last <= self.iterations or self.iterations < 2:
            raise ValueError("a regularised step needs 2 iterations and keeps at least one of them")

    @property
    def averaging(self) -> dict[int, float]:
        """Weight of each kept iteration in the step finally taken; they sum to 1."""
        first = self.iterations - self.keep_last
        total = self.keep_last * first + sum(range(self.keep_last))
        return {j: j / total for j in range(first, self.iterations)}


def euler(z: Tensor, grid: Tensor, velocity: Velocity, *, on_step: OnStep) -> Tensor:
    """Integrate with one evaluation a step."""
    flowsteps = grid.tolist()
    steps = len(flowsteps) - 1
    for i in range(steps):
        z = torch.add(z, velocity(z, grid[i]), alpha=flowsteps[i + 1] - flowsteps[i])
        on_step(i + 1, steps)
    return z


def midpoint(z: Tensor, grid: Tensor, velocity: Velocity, *, on_step: OnStep) -> Tensor:
    """Integrate with two evaluations a step; `grid` holds the half steps.

    Raises:
        ValueError: the number of half steps is odd.
    """
    flowsteps = grid.tolist()
    halves = len(flowsteps) - 1
    if halves % 2:
        raise ValueError(f"midpoint needs an even number of steps, not {halves}")
    for i in range(0, halves, 2):
        middle = torch.add(z, velocity(z, grid[i]), alpha=flowsteps[i + 1] - flowsteps[i])
        on_step(i + 1, halves)
        z = torch.add(z, velocity(middle, grid[i + 1]), alpha=flowsteps[i + 2] - flowsteps[i])
        on_step(i + 2, halves)
    return z


def regularized_euler(
    z: Tensor,
    grid: Tensor,
    velocity: Velocity,
    *,
    prompt: Tensor,
    regularization: Regularization,
    draw: Draw,
    on_step: OnStep,
) -> Tensor:
    """Invert with velocities taken at the end of each step and pulled towards those of fresh noise.

    `prompt` is the latent `[B, C, T]` the inversion started from. Each kept iteration draws twice.
    """
    flowsteps, averaging = grid.tolist(), regularization.averaging
    steps, rounds = len(flowsteps) - 1, regularization.iterations
    for i in range(steps):
        arrival, delta = flowsteps[i + 1], flowsteps[i + 1] - flowsteps[i]
        guess, mean = z, torch.zeros_like(z)
        for j in range(rounds):
            if j not in averaging:
                v = velocity(guess, grid[i + 1])
            else:
                noisy = (1 - arrival) * draw(z) + arrival * prompt + 1e-5 * draw(z)
                v, reference = velocity(torch.cat((guess, noisy)), grid[i + 1]).chunk(2)
                v = noise_regularization(v, reference, regularization.weight)
                mean = torch.add(mean, v, alpha=averaging[j])
            guess = torch.add(z, v, alpha=delta)
            on_step(i * rounds + j + 1, steps * rounds)
        z = torch.add(z, mean, alpha=delta)
    return z


def noise_regularization(e: Tensor, reference: Tensor, weight: float) -> Tensor:
    """Return `e` `[B, C, T]` moved so that its patches are distributed like the reference's.

    Four gradient steps on the summed Gaussian divergence of 4x4 patches. Frames beyond a multiple
    of four are never touched.
    """
    if min(e.shape[1:]) < _PATCH:  # not one whole patch
        return e
    patches, theirs = _patches(e), _Moments.of(_patches(reference))
    for _ in range(_GRADIENT_STEPS):
        gradient = _gradient(patches, theirs).clamp_(-_GRADIENT_LIMIT, _GRADIENT_LIMIT)
        patches = torch.sub(patches, gradient, alpha=weight)
    return _put_back(patches, e.clone())


def divergence(e: Tensor, reference: Tensor) -> Tensor:
    """Return the sum over 4x4 patches of twice the Gaussian Kullback-Leibler divergence."""
    ours, theirs = _patches(e), _patches(reference)
    ours_var, theirs_var = ours.var(-1), theirs.var(-1) + _EPSILON
    shift = ours.mean(-1) - theirs.mean(-1)
    return _divergences(ours_var, theirs_var, shift).abs().sum()


def divergence_gradient(e: Tensor, reference: Tensor) -> Tensor:
    """Return the gradient of `divergence` with respect to `e`.

    In closed form: with m and v the mean and variance of a patch of n values,
    `dv/de_i = 2 (e_i - m) / (n - 1)` and `dm/de_i = 1 / n`. Automatic differentiation gives the
    same and costs a graph of some thirty small kernels a step.
    """
    gradient = _gradient(_patches(e), _Moments.of(_patches(reference)))
    return _put_back(gradient, torch.zeros_like(e))


@dataclass(frozen=True)
class _Moments:
    """Mean and variance of patches, `[B, C/4, T/4, 1]`; the variance is kept off zero."""

    mean: Tensor
    variance: Tensor

    @classmethod
    def of(cls, patches: Tensor) -> Self:
        variance, mean = torch.var_mean(patches, -1, keepdim=True)
        return cls(mean, variance + _EPSILON)


def _gradient(patches: Tensor, theirs: _Moments) -> Tensor:
    """Return the gradient for every value of the patches `[B, C/4, T/4, 16]`."""
    count = patches.shape[-1]
    variance, mean = torch.var_mean(patches, -1, keepdim=True)
    shift = mean - theirs.mean
    sign = _divergences(variance, theirs.variance, shift).sign()
    by_variance = theirs.variance.reciprocal() - (variance + _EPSILON).reciprocal()
    slope = sign * by_variance * (2 / (count - 1))
    level = sign * shift / theirs.variance * (2 / count)
    return torch.addcmul(level, patches - mean, slope)


def _divergences(ours_var: Tensor, theirs_var: Tensor, shift: Tensor) -> Tensor:
    logs = torch.log(theirs_var) - torch.log(ours_var + _EPSILON)
    return logs + (ours_var + shift.square()) / theirs_var - 1


def _patches(x: Tensor) -> Tensor:
    batch, channels, frames = x.shape
    usable = x[:, : channels - channels % _PATCH, : frames - frames % _PATCH]
    grid = usable.reshape(batch, channels // _PATCH, _PATCH, frames // _PATCH, _PATCH)
    return grid.permute(0, 1, 3, 2, 4).flatten(-2)  # [B, C/4, T/4, 16]


def _put_back(patches: Tensor, out: Tensor) -> Tensor:
    """Write patches where they came from; channels and frames that had none stay as they are."""
    batch, rows, columns, _ = patches.shape
    grid = patches.reshape(batch, rows, columns, _PATCH, _PATCH).permute(0, 1, 3, 2, 4)
    out[:, : rows * _PATCH, : columns * _PATCH] = grid.reshape(batch, rows * _PATCH, -1)
    return out
