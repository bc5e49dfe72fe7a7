"""Quantizers: the nearest vector, level after level, and back."""

import math

import pytest
import torch
from audiocraft.quantization import (
    BaseQuantizer,
    DummyQuantizer,
    NoQuantizer,
    ResidualVectorQuantizer,
)
from audiocraft.quantization.core_vq import EuclideanCodebook
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.models.conftest import noise


def quantizer_of(*, dimension: int = 3, levels: int = 4, bins: int = 8) -> ResidualVectorQuantizer:
    """Return one whose vectors get smaller from level to level."""
    quantizer = ResidualVectorQuantizer(dimension, levels, bins)
    for name, value in quantizer.state_dict().items():
        if name.endswith(".embed"):
            value.copy_(noise(name, bins, dimension) * 0.7 ** int(name.split(".")[2]))
    return quantizer


def slowly(quantizer: ResidualVectorQuantizer, vector: Tensor) -> tuple[list[int], Tensor]:
    """Return the codes of one vector `[D]` and what they stand for, by looking at every vector."""
    codes: list[int] = []
    rest, total = vector.double(), torch.zeros(len(vector), dtype=torch.float64)
    for level in range(quantizer.n_q):
        book = quantizer.state_dict()[f"vq.layers.{level}._codebook.embed"].double()
        distances = [float(((rest - entry) ** 2).sum()) for entry in book]
        codes.append(distances.index(min(distances)))
        rest, total = rest - book[codes[-1]], total + book[codes[-1]]
    return codes, total


@settings(deadline=None, max_examples=20)
@given(
    levels=st.integers(1, 4),
    bins=st.integers(1, 9),
    dimension=st.integers(1, 5),
    frames=st.integers(1, 5),
)
def test_codes_are_those_of_looking_at_every_vector(
    levels: int, bins: int, dimension: int, frames: int
) -> None:
    quantizer = quantizer_of(dimension=dimension, levels=levels, bins=bins)
    latent = noise("latent", 2, dimension, frames)

    codes = quantizer.encode(latent)
    back = quantizer.decode(codes)

    assert (2, levels, frames) == codes.shape
    for row in range(2):
        for frame in range(frames):
            expected, total = slowly(quantizer, latent[row, :, frame])
            assert expected == codes[row, :, frame].tolist()
            torch.testing.assert_close(back[row, :, frame].double(), total, atol=1e-5, rtol=0)


def test_more_levels_come_nearer() -> None:
    quantizer = quantizer_of(bins=64)
    latent = noise("latent", 1, 3, 50)

    errors = []
    for levels in (1, 2, 3, 4):
        quantizer.set_num_codebooks(levels)
        errors.append(float((quantizer.decode(quantizer.encode(latent)) - latent).square().mean()))

    assert sorted(errors, reverse=True) == errors
    assert errors[3] < errors[0] / 10


def test_of_equally_near_vectors_the_first_is_taken() -> None:
    book = EuclideanCodebook(2, 5)
    book.embed.copy_(torch.tensor([[3.0, 3], [0, 1], [1, 0], [0, 1], [0, -1]]))

    codes = book.encode(torch.tensor([[0.0, 1], [0, 0], [0.5, 0.5], [3, 3]]))

    assert [1, 1, 1, 0] == codes.tolist()


@given(st.integers(1, 4), st.integers(1, 6))
def test_fewer_codebooks_are_the_first_of_all(levels: int, frames: int) -> None:
    quantizer = quantizer_of()
    latent = noise("latent", 2, 3, frames)
    every = quantizer.encode(latent)

    quantizer.set_num_codebooks(levels)

    assert (levels, 4) == (quantizer.num_codebooks, quantizer.total_codebooks)
    assert torch.equal(every[:, :levels], quantizer.encode(latent))


@pytest.mark.parametrize("levels", [0, 5, -1])
def test_codebooks_that_are_not_there_are_refused(levels: int) -> None:
    with pytest.raises(ValueError, match=f"{levels} codebooks cannot be used: there are 4"):
        quantizer_of().set_num_codebooks(levels)


def test_codes_of_more_codebooks_than_there_are_are_refused() -> None:
    with pytest.raises(ValueError, match="5 codebooks"):
        quantizer_of().decode(torch.zeros(1, 5, 2, dtype=torch.int64))


def test_few_codes_are_decoded_though_all_codebooks_are_used() -> None:
    quantizer = quantizer_of()
    codes = quantizer.encode(noise("latent", 1, 3, 4))[:, :2]

    back = quantizer.decode(codes)

    quantizer.set_num_codebooks(2)
    assert torch.equal(quantizer.decode(codes), back)


def test_a_pass_tells_codes_vectors_and_bandwidth() -> None:
    quantizer = quantizer_of()
    latent = noise("latent", 2, 3, 7)

    result = quantizer(latent, frame_rate=50)

    assert torch.equal(quantizer.encode(latent), result.codes)
    assert torch.equal(quantizer.decode(result.codes), result.x)
    assert pytest.approx(4 * math.log2(8) * 50 / 1000) == float(result.bandwidth)
    assert (0.0, {}) == (float(result.penalty), result.metrics)


def test_tensors_are_named_as_in_checkpoints() -> None:
    names = {
        f"vq.layers.{level}._codebook.{name}"
        for level in range(4)
        for name in ("inited", "cluster_size", "embed", "embed_avg")
    }

    assert names == set(quantizer_of().state_dict())
    assert not list(quantizer_of().parameters())


def test_a_dummy_hands_the_latent_through_as_its_only_codebook() -> None:
    dummy, latent = DummyQuantizer(), noise("latent", 2, 3, 7)

    result = dummy(latent, frame_rate=50)

    assert (2, 1, 3, 7) == dummy.encode(latent).shape
    assert torch.equal(latent, dummy.decode(dummy.encode(latent)))
    assert torch.equal(latent, result.x)
    assert pytest.approx(3 * 7 * 32 * 50 / 1000) == float(result.bandwidth)


@pytest.mark.parametrize("quantizer", [DummyQuantizer(), NoQuantizer()], ids=repr)
def test_without_codebooks_there_is_nothing_to_choose(quantizer: BaseQuantizer) -> None:
    assert (1, 1) == (quantizer.num_codebooks, quantizer.total_codebooks)
    with pytest.raises(AttributeError, match="no codebooks"):
        quantizer.set_num_codebooks(1)
