"""EnCodecs that the transformers library wrote give here what they give there."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from audiocraft.models import loaders
from audiocraft.models.checkpoints import Checkpoint, InvalidCheckpoint
from audiocraft.models.encodec import EncodecModel
from safetensors.torch import load_file, save_file

from tests.models import codecs, recorded
from tests.models.conftest import noise

GATE = 3e-5

SMALL: dict[str, Any] = {
    "num_filters": 4,
    "hidden_size": 8,
    "codebook_size": 16,
    "upsampling_ratios": [4, 2],
    "sampling_rate": 8000,
    "target_bandwidths": [8.0, 16.0],  # 1000 frames a second of four bits: two and four codebooks
    "num_lstm_layers": 1,
}


def written_there(folder: Path, **fields: Any) -> Any:
    """Return a codec of the library's, having let the library write it."""
    codec: Any = transformers.EncodecModel(transformers.EncodecConfig(**SMALL | fields))
    state = {
        name: recorded.fill(name, tuple(value.shape)) for name, value in codec.state_dict().items()
    }
    codec.load_state_dict(state)
    codec.eval().save_pretrained(folder)
    return codec


@pytest.mark.parametrize(
    "fields",
    [
        {},  # the library's defaults: causal, with a convolution beside every block
        {"use_causal_conv": False, "use_conv_shortcut": False},
        {"use_causal_conv": False, "pad_mode": "constant", "num_residual_layers": 3},
        {"trim_right_ratio": 0.5, "upsampling_ratios": [3, 5], "target_bandwidths": [8.6]},
        {"audio_channels": 2, "num_lstm_layers": 2, "dilation_growth_rate": 3, "compress": 4},
        {"kernel_size": 5, "last_kernel_size": 3, "residual_kernel_size": 5},
    ],
    ids=str,
)
def test_a_codec_of_any_shape_gives_what_it_gives_there(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    theirs = written_there(tmp_path, **fields)
    ours = loaders.load_compression_model(tmp_path)
    wav = noise("wav", 2, ours.channels, 407)

    with torch.no_grad():
        bandwidth = theirs.config.target_bandwidths[-1]
        expected = theirs.encode(wav, bandwidth=bandwidth).audio_codes[0]
        sound = theirs.decode(expected[None], [None]).audio_values
    codes, _ = ours.encode(wav)

    assert theirs.config.num_quantizers == ours.num_codebooks
    assert torch.equal(expected, codes)
    torch.testing.assert_close(ours.decode(codes), sound, atol=GATE, rtol=0)


def test_the_published_codec_has_its_published_shape() -> None:
    """Names and shapes only, in the layout of the library and in the original's."""
    config = transformers.EncodecConfig(
        sampling_rate=32000,
        num_filters=64,
        upsampling_ratios=[8, 5, 4, 4],
        codebook_size=2048,
        target_bandwidths=[2.2],
        use_causal_conv=False,
        use_conv_shortcut=False,
    )
    with torch.device("meta"):
        theirs: Any = transformers.EncodecModel(config)
    checkpoint = Checkpoint(state=theirs.state_dict(), config=config.to_dict())

    codec = loaders.codec_from(checkpoint, "meta")

    assert (50.0, 4, 2048) == (codec.frame_rate, codec.num_codebooks, codec.cardinality)
    assert (116, 58_990_022) == (
        len(checkpoint.state),
        sum(value.numel() for value in checkpoint.state.values()),
    )


def test_a_file_says_only_what_differs_from_the_librarys_defaults(tmp_path: Path) -> None:
    written_there(tmp_path)
    whole = loaders.load_compression_model(tmp_path).state_dict()
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    short = {key: config[key] for key in ("model_type", *SMALL)}
    (tmp_path / "config.json").write_text(json.dumps(short), "utf-8")

    codec = loaders.load_compression_model(tmp_path)

    assert all(torch.equal(whole[name], value) for name, value in codec.state_dict().items())


@pytest.mark.parametrize("place", ["folder", "file"])
def test_a_folder_or_the_file_in_it_can_be_named(tmp_path: Path, place: str) -> None:
    codecs.write_transformers(tmp_path)

    codec = loaders.load_compression_model(
        tmp_path if place == "folder" else tmp_path / "model.safetensors"
    )

    assert isinstance(codec, EncodecModel)
    assert 2048 == codec.cardinality


def test_the_originals_file_is_taken_before_the_librarys(tmp_path: Path) -> None:
    codecs.write_transformers(codecs.write_tokens(tmp_path))

    assert 64 == loaders.load_compression_model(tmp_path).cardinality


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("model_type", "musicgen", "'musicgen' is no codec"),
        ("normalize", True, "normalize, chunk_length_s"),
        ("chunk_length_s", 1.0, "normalize, chunk_length_s"),
        ("codebook_dim", 32, "codebook_dim"),
        ("norm_type", "time_group_norm", "norm 'time_group_norm'"),
        ("use_conv_shortcut", "yes", "true skip 'yes'"),
        ("use_causal_conv", 1, "causal 1"),
        ("trim_right_ratio", 0.5, "trim_right_ratio"),
        ("num_filters", 0, "n_filters"),
        ("upsampling_ratios", "8544", "ratios"),
        ("upsampling_ratios", [8, 5, 4], "do not fit"),
        ("sampling_rate", "fast", "sampling_rate"),
        ("codebook_size", 1024, "do not fit"),
        ("num_lstm_layers", 1, "do not fit"),
    ],
)
def test_another_codec_is_refused_by_name(
    tmp_path: Path, field: str, value: object, named: str
) -> None:
    codecs.write_transformers(tmp_path)
    config = json.dumps(codecs.TRANSFORMERS | {field: value})
    (tmp_path / "config.json").write_text(config, "utf-8")

    with pytest.raises(InvalidCheckpoint, match=named):
        loaders.load_compression_model(tmp_path)


@pytest.mark.parametrize("level", [0, 2, 3])
def test_every_level_has_to_have_its_codebook(tmp_path: Path, level: int) -> None:
    """The last one may be absent with everything of it: then there is one codebook less."""
    codecs.write_transformers(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    rest = {name: value for name, value in state.items() if f".layers.{level}.codebook" not in name}
    save_file(rest, tmp_path / "model.safetensors", {"format": "pt"})

    if level == 3:
        assert 3 == loaders.load_compression_model(tmp_path).num_codebooks
    else:
        with pytest.raises(InvalidCheckpoint, match="codebooks, or some are missing"):
            loaders.load_compression_model(tmp_path)


def test_weights_without_their_configuration_are_refused(tmp_path: Path) -> None:
    codecs.write_transformers(tmp_path)
    (tmp_path / "config.json").unlink()

    with pytest.raises(InvalidCheckpoint, match="model.safetensors cannot be read"):
        loaders.load_compression_model(tmp_path)
