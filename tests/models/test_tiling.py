"""The codec in tiles: the same sound, whatever the length, the shape and the tile."""

import functools
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from audiocraft.models.encodec import EncodecModel
from audiocraft.modules.seanet import SEANetConfig
from audiocraft.modules.tiling import CACHED_ELEMENTS, Rates, run_in_tiles
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tests.models import formula
from tests.models.conftest import noise

GATE = 1e-5
"""Of the largest value: what float rounding may change."""

LATENT, FILTERS = 6, 4


@dataclass(frozen=True)
class Shape:
    """What a codec may differ in."""

    ratios: tuple[int, ...] = (5, 4, 2)
    channels: int = 2
    lstm: int = 2
    n_residual_layers: int = 1
    pad_mode: str = "reflect"
    activation: str = "snake"
    true_skip: bool = True
    kernel_size: int = 7
    causal: bool = False
    trim_right_ratio: float = 1.0


@functools.lru_cache(maxsize=4)
def codec_of(shape: Shape) -> EncodecModel:
    """Return a codec of that shape whose tensors are a formula of their names."""
    shared: dict[str, Any] = {**vars(shape), "n_filters": FILTERS}
    encoder = SEANetConfig(dimension=2 * LATENT, **shared)
    codec = EncodecModel(encoder, SEANetConfig(dimension=LATENT, **shared), sample_rate=8000)
    for name, tensor in codec.state_dict().items():
        fan_in = tensor[0].numel() if tensor.dim() > 1 and "alpha" not in name else 1
        # the formula spreads by 0.1; this lets every layer pass on about what it was given
        tensor.copy_(
            formula.fill(name, tuple(tensor.shape)) * (10 / fan_in**0.5 if fan_in > 1 else 1)
        )
    return codec.eval().requires_grad_(requires_grad=False)


def difference(expected: Tensor, found: Tensor) -> float:
    """Return the largest difference as a share of the largest value."""
    assert expected.shape == found.shape
    return float((expected - found).abs().max() / expected.abs().max())


shapes = st.builds(
    Shape,
    ratios=st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple),
    channels=st.integers(1, 2),
    lstm=st.integers(0, 2),
    n_residual_layers=st.integers(0, 3),
    pad_mode=st.sampled_from(["reflect", "constant", "replicate"]),
    activation=st.sampled_from(["snake", "ELU"]),
    true_skip=st.booleans(),
    kernel_size=st.integers(1, 7),
) | st.builds(
    Shape,
    ratios=st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple),
    activation=st.just("ELU"),
    pad_mode=st.sampled_from(["reflect", "constant"]),
    causal=st.just(value=True),
    trim_right_ratio=st.sampled_from([0.0, 0.5, 1.0]),
)
rows = st.integers(1, 3)
tiles = st.integers(1, 12)


@settings(deadline=None, max_examples=30)
@given(shapes, rows, st.integers(1, 700), tiles)
def test_encoding_in_tiles_is_encoding(shape: Shape, rows: int, samples: int, tile: int) -> None:
    codec = codec_of(shape)
    audio = noise("audio", rows, shape.channels, samples)

    tiled, _ = codec.encode(audio, tile_frames=tile)

    assert GATE > difference(codec.encoder.model(audio), tiled)


@settings(deadline=None, max_examples=30)
@given(shapes, rows, st.integers(1, 40), tiles)
def test_decoding_in_tiles_is_decoding(shape: Shape, rows: int, frames: int, tile: int) -> None:
    codec = codec_of(shape)
    latent = noise("latent", rows, LATENT, frames)

    tiled = codec.decode(latent, tile_frames=tile)

    assert GATE > difference(codec.decoder.model(latent), tiled)


def test_a_long_clip_runs_through_the_caches_of_a_cpu_in_tiles_with_the_same_result() -> None:
    codec = codec_of(Shape(lstm=0))
    samples = 2 * CACHED_ELEMENTS // FILTERS + 17
    audio = noise("audio", 1, 2, samples)

    latent, _ = codec.encode(audio)
    decoded = codec.decode(latent[:, :LATENT])

    assert GATE > difference(codec.encoder.model(audio), latent)
    assert GATE > difference(codec.decoder.model(latent[:, :LATENT]), decoded)


@pytest.mark.parametrize("ratio", [2, 5, 8])
def test_with_too_little_context_the_result_is_another(ratio: int) -> None:
    codec = codec_of(Shape(ratios=(ratio,), n_residual_layers=3))
    down, up = codec.encoder.model[:-3], codec.decoder.model[2:]
    audio, latent = noise("audio", 1, 2, 40 * ratio), noise("features", 1, 2 * FILTERS, 40)

    for layers, x in ((down, audio), (up, latent)):
        rates = Rates.of(layers)
        less = replace(rates, context=rates.context - 1 if ratio == 2 else 0)

        assert GATE > difference(layers(x), run_in_tiles(layers, x, rates=rates, tile=7))
        assert 10 * GATE < difference(layers(x), run_in_tiles(layers, x, rates=less, tile=7))


def test_the_full_size_codec_needs_two_frames_of_context() -> None:
    config = SEANetConfig(
        dimension=128,
        channels=2,
        n_filters=64,
        n_residual_layers=1,
        ratios=(8, 8, 6, 5),
        activation="snake",
        lstm=2,
    )
    with torch.device("meta"):
        codec = EncodecModel(replace(config, dimension=256), config, sample_rate=48000)

    assert Rates(inputs=1920, outputs=1, context=2) == Rates.of(codec.encoder.model[:13])
    assert Rates(inputs=1, outputs=1920, context=2) == Rates.of(codec.decoder.model[2:])


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers how large the largest tensor was that was made."""

    elements: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor):
            self.elements = max(self.elements, made.numel())
        return made


def largest(codec: EncodecModel, frames: int, tile: int | None) -> int:
    """Return the elements of the largest tensor made in encoding and decoding two rows."""
    audio = noise("audio", 2, 2, frames * codec.hop_length)
    with Largest() as seen:  # type: ignore[no-untyped-call]
        latent, _ = codec.encode(audio, tile_frames=tile)
        codec.decode(latent[:, :LATENT], tile_frames=tile)
    return int(seen.elements)


def test_tiles_bound_what_is_in_memory() -> None:
    codec = codec_of(Shape(lstm=0))
    audio_elements = 2 * 2 * codec.hop_length

    whole = [largest(codec, frames, None) / frames for frames in (150, 400)]
    tiled = [largest(codec, frames, 10) / frames for frames in (150, 400)]

    assert min(whole) >= 2 * FILTERS * 40
    assert max(tiled) <= audio_elements  # nothing is larger than the sound itself


@pytest.mark.parametrize("tile", [None, 9])
def test_half_precision_is_near_and_stays_inside(tile: int | None) -> None:
    codec = codec_of(Shape())
    audio, latent = noise("audio", 2, 2, 1003), noise("latent", 2, LATENT, 26)

    encoded, _ = codec.encode(audio, tile_frames=tile, precision=torch.bfloat16)
    decoded = codec.decode(latent, tile_frames=tile, precision=torch.bfloat16)

    assert (torch.float32, torch.float32) == (encoded.dtype, decoded.dtype)
    assert 1e-4 < difference(codec.encoder.model(audio), encoded) < 0.05
    assert 1e-4 < difference(codec.decoder.model(latent), decoded) < 0.05
    assert all(p.dtype == torch.float32 for p in codec.parameters())


@pytest.mark.parametrize("tile", [0, -1])
def test_a_tile_of_nothing_is_refused(tile: int) -> None:
    codec = codec_of(Shape())

    with pytest.raises(ValueError, match="cannot be"):
        codec.encode(noise("audio", 1, 2, 100), tile_frames=tile)


def test_the_input_is_left_as_it_was() -> None:
    codec = codec_of(Shape())
    audio = noise("audio", 1, 2, 400)
    kept = audio.clone()

    codec.encode(audio)

    assert torch.equal(kept, audio)


def test_no_tensor_of_a_codec_is_held_under_two_names() -> None:
    names = codec_of(Shape()).state_dict()

    assert {name.split(".")[1] for name in names} == {"model"}
    assert isinstance(codec_of(Shape()).encoder.model, nn.Sequential)
