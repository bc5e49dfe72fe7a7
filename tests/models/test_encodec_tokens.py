"""Codecs with codebooks give the codes, and from codes the sound, that were recorded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from audiocraft.models import loaders
from audiocraft.models.checkpoints import Checkpoint
from audiocraft.models.encodec import (
    CompressionModel,
    EncodecModel,
    InterleaveStereoCompressionModel,
)
from audiocraft.quantization import QuantizedResult
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.models import codecs, formula, recorded, shapes
from tests.models.conftest import noise

GATE = 3e-5
"""What rounding may change in a recorded sound; all of them stay below 1."""

HOP = 640


@pytest.fixture(scope="module", name="tokens")
def _tokens(tmp_path_factory: pytest.TempPathFactory) -> EncodecModel:
    return loaders.load_compression_model(codecs.write_tokens(tmp_path_factory.mktemp("tokens")))


@pytest.fixture(scope="module", name="transformers")
def _transformers(tmp_path_factory: pytest.TempPathFactory) -> EncodecModel:
    folder = codecs.write_transformers(tmp_path_factory.mktemp("transformers"))
    return loaders.load_compression_model(folder)


def stored(name: str) -> dict[str, Tensor]:
    with np.load(recorded.DATA / name) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def furthest(expected: Tensor, found: Tensor) -> float:
    assert expected.shape == found.shape
    return float((expected - found).abs().max())


def test_codes_are_the_recorded_ones(tokens: EncodecModel) -> None:
    known = stored("encodec.npz")

    codes, scale = tokens.encode(known["audio_odd"])

    assert scale is None
    assert torch.equal(known["codes_odd"], codes)
    assert torch.int64 == codes.dtype


def test_latents_and_sounds_of_codes_are_the_recorded_ones(tokens: EncodecModel) -> None:
    known = stored("encodec.npz")

    assert torch.equal(known["quantized"], tokens.decode_latent(known["codes"]))
    assert GATE > furthest(known["codes_random_decoded"], tokens.decode(known["codes_random"]))


def test_a_codec_of_the_transformers_library_gives_what_it_gave_there(
    transformers: EncodecModel,
) -> None:
    known = stored("encodec_hf.npz")

    assert torch.equal(known["codes_odd"], transformers.encode(known["audio_odd"])[0])
    assert GATE > furthest(known["decoded"], transformers.decode(known["codes"]))


@pytest.mark.parametrize(
    "change",
    [
        {"seanet.pad_mode": "constant"},
        {"encodec.causal": True},
        {"seanet.activation_params": {"alpha": 0.9}},
    ],
    ids=str,
)
def test_a_codec_computed_otherwise_does_not_give_them(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    config = shapes.TOKENS
    for path, value in change.items():
        config = formula.changed(config, path, value)
    other = loaders.load_compression_model(codecs.write_tokens(tmp_path, config))
    known = stored("encodec.npz")

    assert not torch.equal(known["codes_odd"], other.encode(known["audio_odd"])[0])
    off = furthest(known["codes_random_decoded"], other.decode(known["codes_random"]))
    assert off > 100 * GATE


def test_a_codec_says_what_it_is(tokens: EncodecModel, transformers: EncodecModel) -> None:
    for codec, cardinality in ((tokens, 64), (transformers, 2048)):
        assert isinstance(codec, CompressionModel)
        assert (32000, 1, 50.0) == (codec.sample_rate, codec.channels, codec.frame_rate)
        assert (4, 4) == (codec.num_codebooks, codec.total_codebooks)
        assert cardinality == codec.cardinality


@settings(deadline=None, max_examples=12)
@given(samples=st.integers(1, 4 * HOP), rows=st.integers(1, 2), levels=st.integers(1, 4))
def test_there_is_a_code_a_level_for_every_begun_frame(
    tokens: EncodecModel, samples: int, rows: int, levels: int
) -> None:
    wav = noise("wav", rows, 1, samples)
    tokens.set_num_codebooks(4)
    every, _ = tokens.encode(wav)

    tokens.set_num_codebooks(levels)
    codes, _ = tokens.encode(wav)
    back = tokens.decode(codes)

    tokens.set_num_codebooks(4)
    frames = -(-samples // HOP)
    assert (rows, levels, frames) == codes.shape
    assert torch.equal(every[:, :levels], codes)
    assert (rows, 1, frames * HOP) == back.shape
    assert 0 <= int(codes.min()) <= int(codes.max()) < 64


@settings(deadline=None, max_examples=8)
@given(samples=st.integers(1, 12 * HOP), tile=st.integers(1, 8))
def test_tiles_give_the_same_codes_and_sound(tokens: EncodecModel, samples: int, tile: int) -> None:
    wav = noise("tiled", 2, 1, samples)

    codes, _ = tokens.encode(wav)

    assert torch.equal(codes, tokens.encode(wav, tile_frames=tile)[0])
    assert GATE > furthest(tokens.decode(codes), tokens.decode(codes, tile_frames=tile))


def test_forward_is_there_and_back_at_the_same_length(tokens: EncodecModel) -> None:
    wav = noise("forward", 2, 1, 3 * HOP - 7)
    codes, _ = tokens.encode(wav)

    result = tokens(wav)

    assert isinstance(result, QuantizedResult)
    assert torch.equal(codes, result.codes)
    assert torch.equal(tokens.decode(codes)[..., : wav.shape[-1]], result.x)
    assert pytest.approx(4 * 6 * 50 / 1000) == float(result.bandwidth)


def test_a_codec_with_a_continuous_latent_has_no_codebooks(tmp_path: Path) -> None:
    codec = loaders.load_compression_model(formula.write_checkpoint(tmp_path))
    latent = noise("latent", 1, 16, 3)

    assert (1, 1) == (codec.num_codebooks, codec.total_codebooks)
    assert torch.equal(latent, codec.decode_latent(latent))
    with pytest.raises(AttributeError, match="cardinality"):
        _ = codec.cardinality
    with pytest.raises(AttributeError, match="no codebooks"):
        codec.set_num_codebooks(1)
    with pytest.raises(NotImplementedError, match="draw"):
        codec(noise("wav", 1, 2, 80))


@pytest.mark.parametrize("per_timestep", [False, True])
def test_two_channels_are_two_codings_in_turn(tokens: EncodecModel, *, per_timestep: bool) -> None:
    stereo = InterleaveStereoCompressionModel(tokens, per_timestep)
    wav = noise("stereo", 3, 2, 3 * HOP)
    (left, _), (right, _) = (tokens.encode(wav[:, n : n + 1]) for n in (0, 1))

    codes, scale = stereo.encode(wav)
    back = stereo.decode(codes)

    assert scale is None
    assert ((3, 4, 6) if per_timestep else (3, 8, 3)) == codes.shape
    for n in range(6 if per_timestep else 8):
        found = codes[..., n] if per_timestep else codes[:, n]
        side = (left, right)[n % 2]
        assert torch.equal(side[..., n // 2] if per_timestep else side[:, n // 2], found)
    assert all(
        torch.equal(a, b)
        for a, b in zip((left, right), stereo.get_left_right_codes(codes), strict=True)
    )
    expected = torch.cat([tokens.decode(left), tokens.decode(right)], dim=1)
    assert GATE > furthest(expected, back)


def test_a_stereo_codec_says_what_it_is(tokens: EncodecModel) -> None:
    by_codebook = InterleaveStereoCompressionModel(tokens)
    by_frame = InterleaveStereoCompressionModel(tokens, per_timestep=True)

    assert (2, 32000, 64) == (by_codebook.channels, by_codebook.sample_rate, by_frame.cardinality)
    assert (8, 50.0, 1) == (
        by_codebook.num_codebooks,
        by_codebook.frame_rate,
        by_codebook.num_virtual_steps,
    )
    assert (4, 100.0, 2) == (
        by_frame.num_codebooks,
        by_frame.frame_rate,
        by_frame.num_virtual_steps,
    )
    assert 4 == by_codebook.total_codebooks


def test_codebooks_of_a_stereo_codec_are_chosen_for_each_channel(tokens: EncodecModel) -> None:
    stereo = InterleaveStereoCompressionModel(tokens)
    every, _ = stereo.encode(noise("stereo", 1, 2, HOP))

    stereo.set_num_codebooks(2)
    few, _ = stereo.encode(noise("stereo", 1, 2, HOP))

    assert 4 == stereo.num_codebooks
    stereo.set_num_codebooks(4)
    assert torch.equal(every[:, :4], few)


def test_what_a_stereo_codec_cannot_do_is_refused(tokens: EncodecModel) -> None:
    stereo = InterleaveStereoCompressionModel(tokens)

    with pytest.raises(ValueError, match="2 channels"):
        InterleaveStereoCompressionModel(stereo)
    with pytest.raises(ValueError, match="in turn"):
        stereo.decode(torch.zeros(1, 7, 2, dtype=torch.int64))
    with pytest.raises(NotImplementedError, match="latents"):
        stereo.decode_latent(torch.zeros(1, 8, 2, dtype=torch.int64))
    with pytest.raises(NotImplementedError, match="encode and decode"):
        stereo(noise("stereo", 1, 2, HOP))


@pytest.mark.parametrize(
    ("config", "channels", "codebooks"),
    [
        ({}, 1, 4),
        ({"interleave_stereo_codebooks": None, "compression_model_n_q": None}, 1, 4),
        ({"interleave_stereo_codebooks": {"use": False}, "compression_model_n_q": 3}, 1, 3),
        ({"interleave_stereo_codebooks": {"use": True, "per_timestep": False}}, 2, 8),
        ({"interleave_stereo_codebooks": {"use": True, "per_timestep": True}}, 2, 4),
        ({"interleave_stereo_codebooks": {"use": "${channels}"}, "channels": 2}, 2, 8),
        ({"transformer_lm": {"n_q": 4, "card": 64}}, 1, 4),
        ({"transformer_lm": {"n_q": 2, "card": 64}, "compression_model_n_q": 2}, 1, 2),
    ],
    ids=str,
)
def test_a_language_model_says_how_its_codec_is_used(
    tokens: EncodecModel, config: dict[str, Any], channels: int, codebooks: int
) -> None:
    wrapped = loaders.get_wrapped_compression_model(tokens, Checkpoint(state={}, config=config))

    found = (wrapped.channels, wrapped.num_codebooks)
    tokens.set_num_codebooks(4)
    assert (channels, codebooks) == found
