"""A key of zeros that takes its share without being there."""

import pytest
import torch
from audiocraft.modules.attention import attention, with_padded_key
from audiocraft.modules.rope import RotaryEmbedding, rotate, rotate_in_place
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from tests.models.conftest import noise

CPU = torch.device("cpu")


def _heads(frames: int, head_dim: int, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    query, key, value = scale * noise("heads", 3, 2, 3, frames, head_dim)
    return query, key, value


@given(st.integers(1, 90), st.sampled_from([4, 8, 18, 64]), st.floats(0.1, 8))
def test_the_share_of_the_zero_key_is_that_of_one_put_in_front(
    frames: int, head_dim: int, scale: float
) -> None:
    attend = attention(CPU, torch.float32, head_dim=head_dim, zero_key=True)
    query, key, value = _heads(frames, head_dim, scale)
    # A rounded score is off by its own size, and its weight by as much as the score is off.
    score = float((query @ key.mT).abs().max()) / head_dim**0.5
    rounding = 4 * torch.finfo(torch.float32).eps * (1 + score) * float(value.abs().max())

    torch.testing.assert_close(
        attend(query, key, value).double(),
        with_padded_key(query.double(), key.double(), value.double()),
        atol=rounding,
        rtol=0,
    )


def test_without_a_zero_key_the_mixture_is_another() -> None:
    heads = _heads(9, 8, 1.0)
    attend = attention(CPU, torch.float32, head_dim=8, zero_key=False)

    assert torch.equal(functional.scaled_dot_product_attention(*heads), attend(*heads))
    assert float((attend(*heads) - with_padded_key(*heads)).abs().max()) > 1e-2


def test_an_unknown_device_is_given_the_key() -> None:
    meta = torch.device("meta")

    assert attention(meta, torch.float32, head_dim=8, zero_key=True) is with_padded_key


@pytest.mark.parametrize(("dtype", "gate"), [(torch.float32, 1e-6), (torch.bfloat16, 0.02)])
def test_rotating_in_place_is_rotating(dtype: torch.dtype, gate: float) -> None:
    cosine, sine = RotaryEmbedding(16).angles(9)
    x = noise("x", 2, 9, 3, 16)
    expected = rotate(x.transpose(1, 2), cosine, sine).transpose(1, 2)
    turned = x.to(dtype)

    rotate_in_place(turned, torch.complex(cosine, sine).unsqueeze(1))

    torch.testing.assert_close(turned.float(), expected, atol=gate, rtol=gate)
