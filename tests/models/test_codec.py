"""The codec: lengths, padding and weights."""

from pathlib import Path

import pytest
import torch
from audiocraft.models import MelodyFlow, loaders
from audiocraft.models.checkpoints import InvalidCheckpoint
from audiocraft.modules.conv import pad1d
from audiocraft.modules.seanet import Snake1d
from hypothesis import given
from hypothesis import strategies as st

from tests.models import formula
from tests.models.conftest import noise

HOP = 40


@pytest.mark.parametrize("samples", [1, 7, 39, 40, 41, 400, 1003])
def test_there_is_a_frame_for_every_begun_hop(model: MelodyFlow, samples: int) -> None:
    frames = -(-samples // HOP)

    latent = model.encode_audio(noise("audio", 1, 2, samples))

    assert (1, 32, frames) == latent.shape
    assert bool(latent.isfinite().all())


@pytest.mark.parametrize("frames", [1, 2, 9])
def test_decoding_returns_a_hop_of_samples_a_frame(model: MelodyFlow, frames: int) -> None:
    audio = model.generate_audio(noise("latent", 2, 16, frames))

    assert (2, 2, frames * HOP) == audio.shape


def test_rates_are_read_from_the_checkpoint(model: MelodyFlow) -> None:
    found = (model.sample_rate, model.frame_rate, model.audio_channels, model.max_duration)

    assert (8000, 200.0, 2, 4.0) == found


def test_another_codec_shape_works_as_well(tmp_path: Path) -> None:
    mono = formula.changed(formula.CODEC, "channels", 1)
    mono = formula.changed(mono, "seanet.ratios", [3, 2])
    formula.write_checkpoint(tmp_path, codec=mono)

    codec = loaders.load_compression_model(tmp_path)

    assert (1, 6) == (codec.channels, codec.hop_length)
    assert (1, 32, 5) == codec.encode(noise("audio", 1, 1, 30))[0].shape


def test_the_encoding_is_the_one_recorded(model: MelodyFlow) -> None:
    latent = model.encode_audio(noise("audio", 1, 2, 200))

    recorded = torch.tensor(RECORDED_ENCODING)
    torch.testing.assert_close(latent[0, :3, :2], recorded, atol=2e-5, rtol=0)


def test_folding_weight_norm_is_what_torch_computes() -> None:
    plain = torch.nn.Conv1d(3, 5, 7)
    normed = torch.nn.utils.parametrizations.weight_norm(plain)
    with torch.no_grad():
        normed.parametrizations.weight.original0.mul_(1.7)
    state = {f"a.conv.conv.{key}": value for key, value in normed.state_dict().items()}
    older = {
        key.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): value
        for key, value in state.items()
    }

    for spelling in (state, older):
        folded = loaders.fold_weight_norm(spelling)

        assert {"a.conv.weight", "a.conv.bias"} == set(folded)
        torch.testing.assert_close(folded["a.conv.weight"], normed.weight)


def test_an_unsupported_codec_is_refused_with_a_sentence(tmp_path: Path) -> None:
    for path, value in (
        ("encodec.quantizer", "vq"),
        ("encodec.causal", True),
        ("seanet.activation", "mish"),
        ("seanet.norm", "time_group_norm"),
    ):
        config = formula.changed(formula.CODEC, path, value)
        formula.save(tmp_path / "compression_state_dict.bin", {}, config)

        with pytest.raises(InvalidCheckpoint, match="not supported|supported"):
            loaders.load_compression_model(tmp_path)


@given(st.integers(1, 30), st.integers(0, 12), st.integers(0, 12))
def test_reflection_of_a_short_input_is_reflection_of_it_with_zeros(
    length: int, left: int, right: int
) -> None:
    x = torch.arange(1.0, length + 1).reshape(1, 1, -1)

    padded = pad1d(x, left, right, "reflect")

    assert length + left + right == padded.shape[-1]
    torch.testing.assert_close(x, padded[..., left : left + length])
    mirrored = [float(x[0, 0, i]) if i < length else 0.0 for i in range(left, 0, -1)]
    assert mirrored == padded[0, 0, :left].tolist()


def test_snake_bends_by_its_alpha() -> None:
    snake = Snake1d(1)
    snake.alpha.data.fill_(2.0)

    y = snake(torch.tensor([[[0.5]]]))

    assert pytest.approx(0.5 + 0.5 * 0.7080734) == float(y.detach())


# Recorded from this implementation on the day it met arrays of the original network: encodings
# within 2e-6, velocities within 6e-6 and whole edits within 6e-6 of them.
RECORDED_ENCODING = [[6.552656, 2.692991], [11.465321, 5.340019], [0.565433, 1.156806]]
