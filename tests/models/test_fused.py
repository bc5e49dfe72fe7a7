"""The fast evaluation against the plain one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from audiocraft.models import solvers
from audiocraft.models.flow import FlowModel
from audiocraft.models.fused import FusedFlow
from audiocraft.models.graphs import Graphs
from audiocraft.models.solvers import Velocity
from audiocraft.modules.products import PackedProduct, can_pack
from audiocraft.modules.transformer import CrossAttention, TransformerConfig
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tests.models import formula
from tests.models.conftest import noise, replay
from tests.models.test_graphs import recorded

LATENT, LONGEST = 8, 6
GATE = 3e-5
CAN_PACK = can_pack(torch.device("cpu"), torch.float32, weights=1)


def model(config: TransformerConfig) -> FlowModel:
    """Return a flow model of any shape, filled by formula; texts come from the tests."""
    lm = FlowModel(config, nn.Module(), latent_dim=LATENT)  # type: ignore[arg-type]
    with torch.no_grad():
        for name, parameter in lm.named_parameters():
            parameter.copy_(formula.fill(name, tuple(parameter.shape)))
    return lm


@dataclass(frozen=True)
class Call:
    """One evaluation of one solve: `lengths` of the texts in tokens, 0 for none."""

    lengths: tuple[int, ...]
    copies: int = 1
    frames: int = 9
    guided: bool = True

    def of(self, lm: FlowModel, evaluation: Callable[..., Velocity]) -> Tensor:
        """Return the velocity."""
        mask = torch.arange(LONGEST)[None] < torch.tensor(self.lengths)[:, None]
        size = (len(self.lengths), LONGEST, lm.out_norm.weight.numel())
        device = lm.out_norm.weight.device
        condition = (noise("condition", *size) * mask.unsqueeze(-1)).to(device)
        grid = solvers.schedule(4, 0.0, 1.0).to(device)
        velocity = evaluation(condition, mask.long().to(device), grid, guided=self.guided)
        z = noise("z", self.copies * len(self.lengths), LATENT, self.frames).to(device)
        with torch.no_grad():
            return velocity(z, grid[2])


def distance(one: Tensor, other: Tensor) -> float:
    """Return the largest difference in units of the second, at least of 1."""
    return float((one - other).abs().max() / other.abs().max().clamp(min=1))


@st.composite
def configs(draw: st.DrawFn) -> TransformerConfig:
    """Draw shapes: odd numbers of layers have no skips, in the plain path as well.

    Never narrower than 8: the norm of a few numbers is nearly a sign, which no rounding survives.
    """
    heads, layers = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    return TransformerConfig(
        dim=heads * 2 * draw(st.integers(4, 12)),
        num_heads=heads,
        num_layers=layers,
        hidden_scale=draw(st.integers(1, 4)),
        skip_connections=layers % 2 == 0 and draw(st.booleans()),
        add_zero_attn=draw(st.booleans()),
    )


CALLS = st.builds(
    Call,
    st.lists(st.integers(0, LONGEST), min_size=1, max_size=4).map(tuple),
    copies=st.integers(1, 2),
    frames=st.integers(1, 70),
    guided=st.booleans(),
)

USUAL = TransformerConfig(dim=48, num_heads=4, num_layers=6)


@settings(deadline=None, max_examples=60)
@given(config=configs(), call=CALLS, way=st.sampled_from(["packed", "unpacked", "recorded"]))
def test_velocities_are_those_of_the_plain_path(
    config: TransformerConfig, call: Call, way: str
) -> None:
    lm = model(config)
    graphs = Graphs(capture=recorded) if way == "recorded" else None
    fused = FusedFlow(lm, packed=way == "packed" and CAN_PACK, graphs=graphs)

    assert distance(call.of(lm, fused.velocity), call.of(lm, lm.naive)) < GATE


@pytest.mark.parametrize(
    ("field", "wrong"), [("add_zero_attn", False), ("skip_connections", False), ("num_heads", 2)]
)
def test_the_gate_tells_another_network_over_the_same_weights(field: str, wrong: object) -> None:
    lm = model(USUAL)
    other = FlowModel(
        TransformerConfig(**(vars(USUAL) | {field: wrong})),
        nn.Module(),  # type: ignore[arg-type]
        latent_dim=LATENT,
    )
    other.load_state_dict(
        {name: lm.state_dict()[name] for name in other.state_dict() if "frequencies" not in name},
        strict=False,
    )
    call = Call((4,))

    assert distance(call.of(other, FusedFlow(other).velocity), call.of(lm, lm.naive)) > 10 * GATE


def test_the_gate_tells_a_forgotten_mask() -> None:
    lm = model(USUAL)
    short, full = Call((3, 6)), Call((6, 6))

    assert distance(full.of(lm, FusedFlow(lm).velocity), short.of(lm, lm.naive)) > 10 * GATE


def test_a_row_without_text_hears_nothing_of_its_neighbour() -> None:
    lm = model(USUAL)
    alone, beside = Call((0,), guided=False), Call((0, 5), guided=False)

    alone_v, beside_v = (call.of(lm, FusedFlow(lm).velocity) for call in (alone, beside))

    assert distance(alone_v, beside_v[:1]) < GATE


def test_what_cross_attention_adds_without_text_is_exactly_nothing() -> None:
    attention = CrossAttention(USUAL)
    for name, parameter in attention.named_parameters():
        parameter.data.copy_(formula.fill(name, tuple(parameter.shape)))
    x, source = noise("x", 2, 9, 48), torch.zeros(2, 5, 48)

    added = attention(x, source, torch.full((2, 1, 1, 5), -torch.inf))

    assert torch.equal(x, x + added)


@pytest.mark.parametrize("lengths", [(0,), (0, 0)])
def test_a_solve_without_text_never_touches_cross_attention(lengths: tuple[int, ...]) -> None:
    lm = model(USUAL)
    expected = Call(lengths).of(lm, lm.naive)
    for name, parameter in lm.named_parameters():
        if "cross_attention" in name:
            parameter.data.fill_(torch.nan)

    assert distance(Call(lengths).of(lm, FusedFlow(lm).velocity), expected) < GATE


def test_a_flow_step_is_found_where_it_lies_and_by_its_value() -> None:
    lm = model(USUAL)
    grid = solvers.schedule(4, 1.0, 0.25)
    condition, mask = noise("condition", 1, 3, 48), torch.ones(1, 3)
    velocity = FusedFlow(lm).velocity(condition, mask, grid, guided=False)
    z = noise("z", 1, LATENT, 5)

    for step in grid:
        assert torch.equal(velocity(z, step), velocity(z, step.clone()))
    with pytest.raises(ValueError, match="0.3"):
        velocity(z, torch.tensor(0.3))


def test_half_precision_is_near_and_float32_is_not_near_by_chance() -> None:
    lm = model(USUAL)
    call = Call((4, 0, 6))
    plain = call.of(lm, lm.naive)

    half = call.of(lm, FusedFlow(lm, precision=torch.bfloat16).velocity)

    assert torch.float32 == half.dtype
    assert GATE < distance(half, plain) < 0.1


@pytest.mark.skipif(not CAN_PACK, reason="this build of torch cannot pack weights")
@given(st.lists(st.integers(1, 40), min_size=1, max_size=4))
def test_a_packed_product_follows_the_number_of_positions(positions: list[int]) -> None:
    weight = noise("weight", 24, 16)
    product = PackedProduct(weight)

    for count in positions:
        x = noise("x", 1, count, 16)
        torch.testing.assert_close(product.of(x), x @ weight.t())


def test_weights_are_not_packed_without_the_memory_or_the_means() -> None:
    cpu = torch.device("cpu")

    assert not can_pack(cpu, torch.float32, weights=10**15)
    assert not can_pack(cpu, torch.bfloat16, weights=1)
    assert not can_pack(torch.device("meta"), torch.float32, weights=1)


class _NoValueLeaves(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Fails where the host asks for a value, which makes it wait for a device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero):
            raise AssertionError(func)
        return func(*args, **(kwargs or {}))


def test_no_step_of_a_solve_waits_for_the_device() -> None:
    lm = model(USUAL)
    grid = solvers.schedule(3, 1.0, 0.1)
    condition, mask = noise("condition", 2, 3, 48), torch.tensor([[1, 1, 0], [0, 0, 0]])
    velocity = FusedFlow(lm).velocity(condition, mask, grid, guided=False)
    z = noise("z", 2, LATENT, 9)

    def solved() -> Tensor:
        return solvers.regularized_euler(
            z,
            grid,
            velocity,
            prompt=z,
            regularization=solvers.Regularization(iterations=2, keep_last=1),
            draw=replay("draw"),
            on_step=lambda done, total: None,
        )

    with _NoValueLeaves():  # type: ignore[no-untyped-call]
        strict = solved()
        with pytest.raises(AssertionError, match="_local_scalar_dense"):
            velocity(z, grid[1].clone())

    assert torch.equal(strict, solved())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a card")
@pytest.mark.parametrize(("precision", "gate"), [(None, 2e-3), (torch.bfloat16, 0.1)])
def test_velocities_on_a_card_are_those_of_the_plain_path(
    precision: torch.dtype | None, gate: float
) -> None:
    lm = model(TransformerConfig(dim=128, num_heads=2, num_layers=6))
    calls = [Call((4, 0, 6), guided=guided) for guided in (True, False, True)]
    expected = [call.of(lm, lm.naive) for call in calls]
    nn.Module.to(lm, "cuda")
    fused = FusedFlow(lm, precision=precision)

    for call, plain in zip(calls, expected, strict=True):
        assert distance(call.of(lm, fused.velocity).cpu(), plain) < gate
