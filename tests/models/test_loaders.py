"""Models of every supported shape come from both forms of files, whole, exact and lean."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from audiocraft.models import checkpoints, configurations, loaders
from audiocraft.models.checkpoints import Checkpoint, InvalidCheckpoint
from safetensors.torch import save_file

from tests.models import formula
from tests.models.conftest import noise

REAL_FLOW = formula.FLOW | {
    "transformer_lm": formula.FLOW["transformer_lm"]
    | {"dim": 1536, "num_heads": 24, "num_layers": 24, "hidden_scale": 4, "latent_dim": 128},
    "conditioners": {"description": {"model": "t5", "t5": {"name": "t5-base", "finetune": False}}},
}
REAL_CODEC = formula.CODEC | {
    "sample_rate": 48000,
    "seanet": formula.CODEC["seanet"]
    | {"dimension": 128, "encoder": {"dimension": 256}, "n_filters": 64, "ratios": [8, 8, 6, 5]},
}


def _meta(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def test_the_published_model_has_the_published_counts() -> None:
    """Names and shapes only: 334 tensors, 962,426,400 numbers; 126 and 59,677,956."""
    flow, codec = _meta(dict(formula.flow_tensors(REAL_FLOW))), _meta(_codec_shapes(REAL_CODEC))

    assert (334, 962_426_400) == (len(flow), sum(each.numel() for each in flow.values()))
    assert (126, 59_677_956) == (len(codec), sum(each.numel() for each in codec.values()))
    model = loaders.dit_from(Checkpoint(state=flow, config=REAL_FLOW), "meta")
    sound = loaders.codec_from(Checkpoint(state=codec, config=REAL_CODEC), "meta")
    assert (128, 1920, 25.0) == (model.latent_dim, sound.hop_length, sound.frame_rate)


def _codec_shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return dict(formula.codec_tensors(config))


def _configured(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    config = dict(base)
    for path, value in changes.items():
        config = formula.changed(config, path, value)
    return config


@pytest.mark.parametrize(
    "changes",
    [
        {"transformer_lm.dim": 64, "transformer_lm.num_heads": 8},
        {"transformer_lm.num_layers": 2},
        {"transformer_lm.num_layers": 3, "transformer_lm.skip_connections": False},
        {"transformer_lm.hidden_scale": 4, "transformer_lm.latent_dim": 12},
        {"transformer_lm.add_zero_attn": False},
        {"conditioners.description.t5.name": "t5-base"},
        {"dataset.segment_duration": 10, "transformer_lm.cfg_coef": 3.0},
    ],
    ids=str,
)
def test_flow_models_of_other_shapes_load_and_run(tmp_path: Path, changes: dict[str, Any]) -> None:
    config = _configured(formula.FLOW, changes)
    formula.save(tmp_path / "state_dict.bin", dict(formula.flow_tensors(config)), config)

    model = loaders.load_dit_model_melodyflow(tmp_path)

    shape = config["transformer_lm"]
    z = noise("z", 1, shape["latent_dim"], 7)
    v = model(z, torch.tensor([[0.3]]), noise("c", 1, 3, shape["dim"]), torch.zeros(1, 1, 1, 3))
    assert z.shape == v.shape
    assert bool(v.isfinite().all())
    assert shape.get("cfg_coef", 4.0) == model.cfg_coef
    assert config["dataset"]["segment_duration"] == loaders.window_seconds(tmp_path)
    text = config["conditioners"]["description"]["t5"]["name"]
    assert text == model.condition_provider.description.name


@pytest.mark.parametrize(
    "changes",
    [
        {"sample_rate": 24000},
        {"channels": 1},
        {"seanet.ratios": [3, 2]},
        {"seanet.ratios": [4, 3, 2, 2], "seanet.n_filters": 2},
        {"seanet.activation": "ELU"},
        {"seanet.lstm": 0},
        {"seanet.n_residual_layers": 2},
        {"seanet.dimension": 8, "seanet.encoder": {"dimension": 16}},
        {"seanet.pad_mode": "constant"},
        {"channels": 1, "seanet.activation": "ELU", "seanet.lstm": 0, "seanet.ratios": [2]},
    ],
    ids=str,
)
def test_codecs_of_other_shapes_load_and_run(tmp_path: Path, changes: dict[str, Any]) -> None:
    config = _configured(formula.CODEC, changes)
    formula.save(tmp_path / "compression_state_dict.bin", _codec_shapes(config), config)

    codec = loaders.load_compression_model(tmp_path)

    x = noise("x", 1, config["channels"], 3 * codec.hop_length)
    with torch.no_grad():
        posterior, _ = codec.encode(x)
        y = codec.decode(posterior.chunk(2, dim=1)[0])
    assert (1, 2 * config["seanet"]["dimension"], 3) == posterior.shape
    assert x.shape == y.shape
    assert bool(y.isfinite().all())
    assert (config["sample_rate"], config["channels"]) == (codec.sample_rate, codec.channels)


@pytest.mark.parametrize(
    "path",
    [
        *("transformer_lm.dim", "transformer_lm.num_layers", "transformer_lm.memory_efficient"),
        *("fuser.sum", "fuser.prepend", "fuser.cross", "fuser.input_interpolate"),
        *("conditioners.description.model", "conditioners.description.t5.name"),
        *("conditioners.description.t5.finetune", "dataset.segment_duration"),
        *("transformer_lm.norm_first", "transformer_lm.bias_ff", "transformer_lm.bias_attn"),
        "transformer_lm.positional_embedding",
    ],
)
def test_a_field_the_original_needs_is_needed(path: str) -> None:
    """Those with a default have one that is not supported, and the message names it."""
    checkpoint = Checkpoint(
        state=_meta(dict(formula.flow_tensors(formula.FLOW))), config=_without(formula.FLOW, path)
    )

    with pytest.raises(InvalidCheckpoint, match=path.rpartition(".")[2]):
        _ = loaders.dit_from(checkpoint, "meta"), configurations.window_of(checkpoint)


def _without(config: Mapping[str, Any], path: str) -> dict[str, Any]:
    parent, _, key = path.rpartition(".")
    section = dict(checkpoints.lookup(config, parent) if parent else config)
    del section[key]
    return formula.changed(config, parent, section) if parent else section


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("transformer_lm.n_q", 4, "n_q"),
        ("transformer_lm.kv_repeat", 2, "kv_repeat=2"),
        ("transformer_lm.layer_scale", 0.1, "layer_scale=0.1"),
        ("transformer_lm.norm", "rms_norm", "norm='rms_norm'"),
        ("transformer_lm.activation", "relu", "activation='relu'"),
        ("transformer_lm.bias_proj", True, "bias_proj=True"),
        ("transformer_lm.positional_scale", 0.5, "positional_scale"),
        ("transformer_lm.past_context", 9, "past_context"),
        ("transformer_lm.dim", "wide", "transformer_lm.dim"),
        ("transformer_lm.dim", 48.5, "transformer_lm.dim"),
        ("transformer_lm.num_layers", True, "transformer_lm.num_layers"),
        ("transformer_lm.num_layers", 5, "num_layers"),
        ("transformer_lm.num_heads", 5, "5 heads"),
        ("fuser.prepend", ["description"], "fuser.prepend"),
        ("fuser.cross", ["wav"], "fuser.cross"),
        ("conditioners.self_wav", {"model": "chroma_stem"}, "self_wav"),
        ("conditioners.description.model", "clap", "clap"),
        ("conditioners.description.t5.name", "t6-base", "t6-base"),
        ("conditioners.description.t5.finetune", True, "trained along"),
    ],
)
def test_a_flow_model_that_is_not_supported_is_refused_by_name(
    path: str, value: object, named: str
) -> None:
    config = formula.changed(formula.FLOW, path, value)

    with pytest.raises(InvalidCheckpoint, match=named):
        loaders.dit_from(Checkpoint(state={}, config=config), "meta")


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("compression_model", "dac", "encodec"),
        ("encodec.renormalize", True, "renormalising"),
        ("encodec.sample_rate", 0, "encodec.sample_rate"),
        ("encodec.channels", 1, "other channels"),
        ("seanet.final_activation", "Tanh", "final activation"),
        ("seanet.causal", True, "causal"),
        ("seanet.wavelets", 3, "wavelets"),
        ("seanet.encoder", {"dimension": 16}, "mean and a scale"),
        ("seanet.encoder", {"dimension": 32, "ratios": [2]}, "different ratios"),
        ("seanet.decoder", None, "seanet.decoder|or .decoder"),
    ],
)
def test_a_codec_that_is_not_supported_is_refused_by_name(
    path: str, value: object, named: str
) -> None:
    config = formula.changed(formula.CODEC, path, value)

    with pytest.raises(InvalidCheckpoint, match=named):
        loaders.codec_from(Checkpoint(state={}, config=config), "meta")


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened(tmp_path: Path, kind: torch.dtype) -> None:
    """And to the very same numbers."""
    shapes = dict(formula.flow_tensors(formula.FLOW))
    state = {name: formula.fill(name, shape).to(kind) for name, shape in shapes.items()}
    package = {"best_state": state, "xp.cfg": yaml.safe_dump(formula.FLOW)}
    torch.save(package, tmp_path / "state_dict.bin")

    loaded = loaders.load_dit_model_melodyflow(tmp_path).state_dict()

    assert {torch.float32} == {value.dtype for value in loaded.values()}
    assert all(torch.equal(state[name].float(), loaded[name]) for name in state)


@pytest.mark.parametrize("change", ["missing", "surplus", "shape"])
def test_tensors_have_to_fit_exactly(change: str) -> None:
    state = _meta(dict(formula.flow_tensors(formula.FLOW)))
    name = "out_norm.bias"
    spoiled = {
        "missing": {key: value for key, value in state.items() if key != name},
        "surplus": state | {"out_norm.bias2": state[name]},
        "shape": state | {name: torch.empty(2, device="meta")},
    }[change]

    with pytest.raises(InvalidCheckpoint, match="do not fit its configuration: .*out_norm.bias"):
        loaders.dit_from(Checkpoint(state=spoiled, config=formula.FLOW), "meta")


@pytest.mark.parametrize("name", ["weight_g", "parametrizations.weight.original0"])
def test_a_direction_without_its_gain_is_refused(name: str) -> None:
    other = {"weight_g": "weight_v", "parametrizations.weight.original0": None}[name]
    key = f"a.conv.conv.{other or 'parametrizations.weight.original1'}"

    with pytest.raises(InvalidCheckpoint, match=name):
        loaders.fold_weight_norm({key: torch.ones(2, 1, 3)})


@pytest.mark.parametrize("is_beside", [True, False])
def test_safetensors_bring_their_configuration_in_the_header_or_beside(
    tmp_path: Path,
    checkpoint: Path,
    is_beside: bool,  # noqa: FBT001 - a case, not an option
) -> None:
    official = checkpoints.read(checkpoint / "state_dict.bin")
    config = json.dumps(official.config)
    metadata = {"format": "pt"} | ({} if is_beside else {"config": config})
    save_file(dict(official.state), tmp_path / "flow.safetensors", metadata)
    if is_beside:
        (tmp_path / "flow.json").write_text(config, encoding="utf-8")

    one = loaders.load_dit_model_melodyflow(checkpoint).state_dict()
    other = loaders.load_dit_model_melodyflow(tmp_path).state_dict()

    assert all(torch.equal(one[name], other[name]) for name in one)
    assert 4.0 == loaders.window_seconds(tmp_path / "flow.safetensors")


def test_the_converted_form_is_taken_before_the_official(tmp_path: Path, checkpoint: Path) -> None:
    official = checkpoints.read(checkpoint / "state_dict.bin")
    (tmp_path / "state_dict.bin").write_bytes(b"never opened")
    metadata = {"config": json.dumps(official.config)}
    save_file(dict(official.state), tmp_path / "flow.safetensors", metadata)

    assert 16 == loaders.load_dit_model_melodyflow(tmp_path).latent_dim


_PEAK = """
import resource, sys
import torch
from audiocraft.models import loaders
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model = loaders.load_dit_model_melodyflow(sys.argv[1])
total = sum(float(value.double().sum()) for value in model.state_dict().values())
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss differs")
def test_a_load_takes_no_more_memory_than_the_weights(tmp_path: Path) -> None:
    """A model of 77 MB: its pages, and nothing of a second copy or of random numbers."""
    shape = {"dim": 512, "num_heads": 8, "hidden_scale": 4, "num_layers": 4}
    config = formula.FLOW | {"transformer_lm": formula.FLOW["transformer_lm"] | shape}
    shapes = dict(formula.flow_tensors(config))
    state = {name: torch.zeros(size) for name, size in shapes.items()}
    metadata = {"config": json.dumps(config)}
    save_file(state, tmp_path / "flow.safetensors", metadata)
    megabytes = (tmp_path / "flow.safetensors").stat().st_size / 2**20

    done = subprocess.run(
        [sys.executable, "-c", _PEAK, str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )

    assert float(done.stdout) < 1.25 * megabytes + 12
