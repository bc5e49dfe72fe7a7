"""The solvers against analytic paths, and their progress."""

import math

import pytest
import torch
from audiocraft.models import solvers
from audiocraft.models.solvers import Regularization
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.models.conftest import noise, replay

STEPS = st.integers(1, 128)
FLOWSTEP = st.floats(0, 1)


def _growth(z: Tensor, t: Tensor) -> Tensor:  # dz/dt = z, so z(1) = e z(0)
    return z


@given(STEPS, FLOWSTEP, FLOWSTEP)
def test_the_schedule_runs_from_end_to_end_without_turning(
    steps: int, source: float, target: float
) -> None:
    grid = solvers.schedule(steps, source, target)

    assert steps + 1 == len(grid)
    assert pytest.approx((source, target), abs=1e-5) == (float(grid[0]), float(grid[-1]))
    differences = grid.diff() * (1 if target >= source else -1)
    assert bool((differences >= -1e-6).all())


@given(STEPS, FLOWSTEP, FLOWSTEP)
def test_the_way_back_is_the_way_there(steps: int, source: float, target: float) -> None:
    there = solvers.schedule(steps, source, target)

    assert torch.equal(there.flip(0), solvers.schedule(steps, target, source))


@pytest.mark.parametrize(("source", "target"), [(-0.1, 1.0), (0.0, 1.1), (math.nan, 1.0)])
def test_flow_steps_outside_the_interval_are_refused(source: float, target: float) -> None:
    with pytest.raises(ValueError, match="flow steps"):
        solvers.schedule(4, source, target)


def test_midpoint_is_of_second_and_euler_of_first_order() -> None:
    z = torch.ones(1, 1, 1)

    def error(solver: object, steps: int) -> float:
        grid = torch.linspace(0, 1, steps + 1)
        end = solver(z, grid, _growth, on_step=lambda done, total: None)  # type: ignore[operator]
        return abs(float(end) - math.e)

    assert pytest.approx(2, rel=0.1) == error(solvers.euler, 50) / error(solvers.euler, 100)
    assert pytest.approx(4, rel=0.1) == error(solvers.midpoint, 50) / error(solvers.midpoint, 100)


def test_an_odd_number_of_half_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="even"):
        solvers.midpoint(torch.ones(1, 1, 1), torch.ones(4), _growth, on_step=lambda d, t: None)


@given(st.integers(2, 8), st.integers(1, 8))
def test_the_weights_of_kept_iterations_sum_to_one(iterations: int, keep: int) -> None:
    if keep > iterations:
        return
    weights = Regularization(iterations=iterations, keep_last=keep).averaging

    assert keep == len(weights)
    assert pytest.approx(1) == sum(weights.values())


@pytest.mark.parametrize(("iterations", "keep"), [(4, 0), (1, 1), (2, 3)])
def test_a_regularisation_that_cannot_be_is_refused(iterations: int, keep: int) -> None:
    with pytest.raises(ValueError, match="regularised"):
        Regularization(iterations=iterations, keep_last=keep)


def test_progress_counts_every_evaluation() -> None:
    told: list[tuple[int, int]] = []

    solvers.regularized_euler(
        torch.ones(1, 4, 4),
        solvers.schedule(3, 1.0, 0.5),
        _growth,
        prompt=torch.ones(1, 4, 4),
        regularization=Regularization(iterations=2, keep_last=1),
        draw=replay("progress"),
        on_step=lambda done, total: told.append((done, total)),
    )

    assert [(n, 6) for n in range(1, 7)] == told


def test_equal_distributions_do_not_diverge_and_others_do() -> None:
    e, other = noise("e", 1, 8, 8), 3 * noise("other", 1, 8, 8)

    assert float(solvers.divergence(e, e)) < 1e-3
    assert float(solvers.divergence(e, other)) > 1
    assert float(solvers.divergence_gradient(e, e).abs().max()) < 1e-4


def test_regularisation_lowers_the_divergence_and_leaves_the_last_frames_alone() -> None:
    e, other = noise("e", 1, 8, 11), noise("other", 1, 8, 11)

    moved = solvers.noise_regularization(e, other, 0.2)

    assert solvers.divergence(moved, other) < solvers.divergence(e, other)
    assert torch.equal(e[..., 8:], moved[..., 8:])


def _gradient_by_differentiation(e: Tensor, reference: Tensor) -> Tensor:
    leaf = e.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(solvers.divergence(leaf, reference), leaf)
    return gradient


@given(st.integers(1, 3), st.integers(4, 13), st.integers(4, 13), st.floats(0.01, 10))
def test_the_closed_gradient_is_the_differentiated_one(
    batch: int, channels: int, frames: int, scale: float
) -> None:
    e = noise("e", batch, channels, frames).double()
    other = scale * noise("other", batch, channels, frames).double()

    expected = _gradient_by_differentiation(e, other)

    torch.testing.assert_close(solvers.divergence_gradient(e, other), expected)


@given(st.integers(1, 3), st.integers(4, 13), st.integers(4, 13), st.floats(0.01, 1))
def test_regularisation_is_four_clipped_steps_down_the_differentiated_gradient(
    batch: int, channels: int, frames: int, weight: float
) -> None:
    e = noise("e", batch, channels, frames).double()
    other = 2 * noise("other", batch, channels, frames).double()

    expected = e
    for _ in range(4):
        expected = expected - weight * _gradient_by_differentiation(expected, other).clamp(
            -100, 100
        )

    moved = solvers.noise_regularization(e, other, weight)
    torch.testing.assert_close(moved, expected, atol=1e-6, rtol=1e-6)


def test_what_has_no_whole_patch_is_left_alone() -> None:
    e, other = noise("e", 1, 8, 3), noise("other", 1, 8, 3)

    assert torch.equal(e, solvers.noise_regularization(e, other, 0.2))
