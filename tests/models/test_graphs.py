"""The bookkeeping of recorded evaluations, with a recording that runs where there is no card."""

from collections.abc import Callable

import pytest
import torch
from audiocraft.models.graphs import Function, Graphs, Inputs, bucket
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.models.conftest import noise


def recorded(function: Function, inputs: Inputs) -> tuple[Callable[[], None], Tensor]:
    """Record as a card does: replaying looks at the places of the inputs and nothing else."""
    output = function(inputs)

    def replay() -> None:
        output.copy_(function(inputs))

    return replay, output


def _sum(inputs: Inputs) -> Tensor:
    return inputs["moving"] + inputs["steady"]


@given(st.integers(1, 5000))
def test_a_bucket_holds_its_text_and_wastes_less_than_half(length: int) -> None:
    size = bucket(length)

    assert length <= size < max(2 * length, 17)
    assert bucket(size) == size


def test_a_recording_follows_its_inputs() -> None:
    graphs, steady = Graphs(capture=recorded), {"steady": noise("steady", 3)}

    for name in "abc":
        moving = {"moving": noise(name, 3)}

        total = graphs.run(_sum, moving, steady)

        assert torch.equal(moving["moving"] + steady["steady"], total)
    assert 1 == len(graphs)


def test_an_earlier_result_outlives_the_next() -> None:
    graphs, steady = Graphs(capture=recorded), {"steady": torch.zeros(3)}

    first = graphs.run(_sum, {"moving": torch.ones(3)}, steady)
    graphs.run(_sum, {"moving": torch.zeros(3)}, steady)

    assert torch.equal(torch.ones(3), first)


def test_a_steady_input_is_copied_only_when_it_is_another() -> None:
    graphs, moving = Graphs(capture=recorded), {"moving": torch.zeros(3)}
    steady = torch.ones(3)
    graphs.run(_sum, moving, {"steady": steady})

    steady.fill_(7)  # against the rules: to be seen if it is read again
    same = graphs.run(_sum, moving, {"steady": steady})
    other = graphs.run(_sum, moving, {"steady": steady.clone()})

    assert (1.0, 7.0) == (float(same[0]), float(other[0]))


def test_the_recording_used_least_lately_goes_first() -> None:
    sizes: list[int] = []

    def counted(function: Function, inputs: Inputs) -> tuple[Callable[[], None], Tensor]:
        sizes.append(len(inputs["moving"]))
        return recorded(function, inputs)

    graphs = Graphs(capacity=2, capture=counted)
    for size in (1, 2, 1, 3, 1, 2):
        graphs.run(_sum, {"moving": torch.ones(size)}, {"steady": torch.ones(size)})

    assert [1, 2, 3, 2] == sizes
    assert 2 == len(graphs)


def test_where_nothing_can_be_recorded_functions_are_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def impossible(function: Function, inputs: Inputs) -> tuple[Callable[[], None], Tensor]:
        raise RuntimeError("operation not permitted")

    graphs = Graphs(capture=impossible)
    totals = [
        graphs.run(_sum, {"moving": torch.ones(1)}, {"steady": torch.ones(1)}) for _ in range(2)
    ]

    assert [2.0, 2.0] == [float(total) for total in totals]
    assert ["evaluations cannot be recorded here: operation not permitted"] == caplog.messages


def test_running_out_of_memory_is_told_and_frees_what_was_recorded() -> None:
    def greedy(function: Function, inputs: Inputs) -> tuple[Callable[[], None], Tensor]:
        if len(inputs["moving"]) > 1:
            raise torch.OutOfMemoryError
        return recorded(function, inputs)

    graphs = Graphs(capture=greedy)
    graphs.run(_sum, {"moving": torch.ones(1)}, {"steady": torch.ones(1)})

    with pytest.raises(torch.OutOfMemoryError):
        graphs.run(_sum, {"moving": torch.ones(2)}, {"steady": torch.ones(2)})

    assert 0 == len(graphs)
    graphs.run(_sum, {"moving": torch.ones(1)}, {"steady": torch.ones(1)})
    assert 1 == len(graphs)
