"""Language models of every official shape come from their files; others are refused by name."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from audiocraft.models import LMModel, checkpoints, loaders
from audiocraft.models.checkpoints import Checkpoint, InvalidCheckpoint
from audiocraft.modules.codebooks_patterns import (
    CoarseFirstPattern,
    CodebooksPatternProvider,
    DelayedPatternProvider,
    MusicLMPattern,
    ParallelPatternProvider,
    UnrolledPatternProvider,
)
from audiocraft.modules.conditioners import ConditioningAttributes
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from tests.models import formula, recorded, shapes

MELODY = {
    "fuser.prepend": ["self_wav", "description"],
    "fuser.cross": [],
    "conditioners.self_wav": shapes.CHROMA,
    "conditioners.self_wav.chroma_stem.radix2_exp": 14,
}
STEREO = {
    "channels": 2,
    "interleave_stereo_codebooks.use": True,
    "transformer_lm.n_q": 8,
    "codebooks_pattern.delay.delays": [0, 0, 1, 1, 2, 2, 3, 3],
}
NOTHING = ConditioningAttributes({"description": None})


def _configured(changes: Mapping[str, Any]) -> dict[str, Any]:
    config = shapes.LANGUAGE
    for path, value in changes.items():
        config = formula.changed(config, path, value)
    return config


def _size(dim: int, heads: int, layers: int) -> dict[str, Any]:
    fields = {"dim": dim, "num_heads": heads, "num_layers": layers, "card": 2048}
    return {f"transformer_lm.{name}": value for name, value in fields.items()}


def _built(config: Mapping[str, Any]) -> LMModel:
    state = {
        name: torch.empty(shape, device="meta") for name, shape in formula.language_tensors(config)
    }
    return loaders.lm_from(Checkpoint(state=state, config=config), "meta")


@pytest.mark.parametrize(
    ("changes", "tensors", "numbers"),
    [
        (_size(1024, 16, 24), 300, 420_371_456),
        (_size(1536, 24, 48), 588, 1_838_737_920),
        (_size(2048, 32, 48), 588, 3_256_956_928),
        (_size(1536, 24, 48) | MELODY, 399, 1_385_641_984),
        (_size(2048, 32, 48) | MELODY, 399, 2_451_496_960),
        (_size(1024, 16, 24) | STEREO, 308, 437_152_768),
        (_size(1536, 24, 48) | STEREO, 596, 1_863_909_888),
        (_size(2048, 32, 48) | STEREO, 596, 3_290_519_552),
    ],
    ids=[
        *("small", "medium", "large", "melody", "melody-large"),
        *("stereo-small", "stereo-medium", "stereo-large"),
    ],
)
def test_published_models_have_the_published_counts(
    changes: dict[str, Any], tensors: int, numbers: int
) -> None:
    """Names and shapes only."""
    config = _configured(changes)
    state = dict(formula.language_tensors(config))

    lm = _built(config)

    assert tensors == len(state)
    assert numbers == sum(torch.Size(shape).numel() for shape in state.values())
    assert set(state) == set(lm.state_dict())
    assert (config["transformer_lm"]["n_q"], 2048, 3.0) == (lm.n_q, lm.card, lm.cfg_coef)


def test_a_file_of_the_first_release_loads(tmp_path: Path) -> None:
    """It says neither its version nor that it was exported, and less of everything else."""
    config = _without(shapes.LANGUAGE, "compression_model_n_q", "interleave_stereo_codebooks")
    config = formula.changed(config, "transformer_lm.q_modeling", "delay")
    config = formula.changed(config, "codebooks_pattern", {"modeling": None})
    tensors = dict(formula.language_tensors(config))
    state = {name: recorded.fill(name, shape).half() for name, shape in tensors.items()}
    torch.save({"best_state": state, "xp.cfg": yaml.safe_dump(config)}, tmp_path / "state_dict.bin")

    lm = loaders.load_lm_model(tmp_path)

    assert (1, 4, 6) == lm.generate(conditions=[NOTHING], max_gen_len=6).shape


def _without(config: Mapping[str, Any], *paths: str) -> dict[str, Any]:
    left = dict(config)
    for path in paths:
        parent, _, key = path.rpartition(".")
        section = dict(checkpoints.lookup(left, parent) if parent else left)
        del section[key]
        left = formula.changed(left, parent, section) if parent else section
    return left


def test_half_precision_is_widened_to_the_same_numbers(tmp_path: Path) -> None:
    folder = formula.write_musicgen_checkpoint(tmp_path)
    official = checkpoints.read(folder / "state_dict.bin").state

    loaded = loaders.load_lm_model(folder).state_dict()

    assert {torch.float16} == {value.dtype for value in official.values()}
    assert {torch.float32} == {value.dtype for value in loaded.values()}
    assert all(official[name].float().equal(value) for name, value in loaded.items())


def test_interpolations_are_resolved_where_they_are_read_and_left_elsewhere(
    tmp_path: Path,
) -> None:
    changes = {
        "transformer_lm.card": "${bins}",
        "bins": 64,
        "dataset.segment_duration": "${seconds}",
        "seconds": 12,
        "logging": {"folder": "${oc.env:USER}/${now:%d}"},
    }
    tensors = dict(formula.language_tensors(shapes.LANGUAGE))
    formula.save(tmp_path / "state_dict.bin", tensors, _configured(changes))

    lm = loaders.load_lm_model(tmp_path / "state_dict.bin")

    assert 64 == lm.card
    assert lm.cfg is not None
    assert 12 == lm.cfg.section("dataset")["segment_duration"]
    assert not lm.cfg.state


def test_safetensors_are_taken_before_the_official_file(tmp_path: Path) -> None:
    folder = formula.write_musicgen_checkpoint(tmp_path)
    official = checkpoints.read(folder / "state_dict.bin")
    one = loaders.load_lm_model(folder, device="cpu").state_dict()
    save_file(
        {name: value.clone() for name, value in official.state.items()},
        folder / "lm.safetensors",
        {"config": json.dumps(official.config)},
    )
    (folder / "state_dict.bin").write_bytes(b"never opened")

    other = loaders.load_lm_model(folder).state_dict()

    assert all(one[name].equal(value) for name, value in other.items())


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        ({"modeling": "parallel"}, ParallelPatternProvider),
        ({"modeling": "parallel", "parallel": {"empty_initial": 1}}, ParallelPatternProvider),
        ({"modeling": "delay"}, DelayedPatternProvider),
        (
            {"modeling": "unroll", "unroll": {"flattening": [0, 1, 1, 2], "delays": [0, 0, 0, 1]}},
            UnrolledPatternProvider,
        ),
        ({"modeling": "coarse_first", "coarse_first": {"delays": [0, 0, 0]}}, CoarseFirstPattern),
        ({"modeling": "musiclm", "musiclm": {"group_by": 2}}, MusicLMPattern),
    ],
    ids=str,
)
def test_every_pattern_of_the_original_can_be_asked_for(
    section: dict[str, Any], kind: type[CodebooksPatternProvider]
) -> None:
    lm = _built(_configured({"codebooks_pattern": section}))

    assert kind is type(lm.pattern_provider)
    assert lm.pattern_provider.get_pattern(5).num_sequence_steps >= 5


@pytest.mark.parametrize(
    "path",
    [
        *("lm_model", "transformer_lm", "transformer_lm.dim", "transformer_lm.num_layers"),
        *("transformer_lm.n_q", "transformer_lm.memory_efficient", "transformer_lm.norm_first"),
        *("transformer_lm.causal", "transformer_lm.activation", "transformer_lm.bias_proj"),
        *("classifier_free_guidance.inference_coef", "fuser", "fuser.cross", "conditioners"),
        *("conditioners.description.model", "conditioners.description.t5.name"),
    ],
)
def test_a_field_the_original_needs_is_needed(path: str) -> None:
    """Those with a default have one that is not supported."""
    with pytest.raises(InvalidCheckpoint, match="."):
        _built_or_refused(_without(shapes.LANGUAGE, path))


def _built_or_refused(config: Mapping[str, Any]) -> LMModel:
    return loaders.lm_from(Checkpoint(state={}, config=config), "meta")


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("lm_model", "transformer_lm_magnet", "transformer_lm_magnet"),
        ("transformer_lm.wings", 2, "wings"),
        ("transformer_lm.norm_first", False, "norm_first=False"),
        ("transformer_lm.causal", False, "causal=False"),
        ("transformer_lm.bias_proj", True, "bias_proj=True"),
        ("transformer_lm.qk_layer_norm", True, "qk_layer_norm=True"),
        ("transformer_lm.qk_layer_norm_cross", True, "qk_layer_norm_cross=True"),
        ("transformer_lm.positional_embedding", "rope", "positional_embedding='rope'"),
        ("transformer_lm.positional_scale", 0.5, "positional_scale=0.5"),
        ("transformer_lm.kv_repeat", 2, "kv_repeat=2"),
        ("transformer_lm.xpos", True, "xpos=True"),
        ("transformer_lm.layer_scale", 1e-4, "layer_scale=0.0001"),
        ("transformer_lm.past_context", 100, "past_context=100"),
        ("transformer_lm.activation", "relu", "activation='relu'"),
        ("transformer_lm.norm", "batch_norm", "norm='batch_norm'"),
        ("transformer_lm.memory_efficient", False, "memory_efficient"),
        ("transformer_lm.num_heads", 5, "5 heads"),
        ("transformer_lm.dim", -64, "transformer_lm.dim"),
        ("transformer_lm.dim", float("inf"), "transformer_lm.dim"),
        ("transformer_lm.num_layers", 10**9, "num_layers"),
        ("transformer_lm.n_q", "four", "transformer_lm.n_q"),
        ("codebooks_pattern.modeling", "valle", "valle"),
        ("codebooks_pattern.modeling", ["delay"], "pattern"),
        ("codebooks_pattern.delay.delays", [0, 1], "delay"),
        ("codebooks_pattern.delay.delays", [3, 2, 1, 0], "delay"),
        ("codebooks_pattern.delay.delays", [0, 1, 2, 10**9], "no number"),
        ("codebooks_pattern.delay.delays", [[0], 1, 2, 3], "no number"),
        ("codebooks_pattern.delay.speed", 2, "speed"),
        ("classifier_free_guidance.inference_coef", "strong", "inference_coef"),
        ("fuser.sum", ["description"], "fuser.sum"),
        ("fuser.input_interpolate", ["description"], "fuser.input_interpolate"),
        ("fuser.ignore", ["description"], "fuser.ignore"),
        ("fuser.cross", "description", "fuser.cross"),
        ("fuser.cross", ["description", "description"], "once"),
        ("fuser.cross", ["genre"], "once"),
        ("fuser.prepend", ["description"], "once"),
        ("fuser.cross_attention_pos_emb", True, "cross_attention_pos_emb"),
        ("conditioners.description.model", "clap", "clap"),
        ("conditioners.description.t5.name", "t6", "t6"),
        ("conditioners.description.t5.finetune", True, "finetune"),
        ("conditioners.description.t5.normalize_text", True, "normalize_text"),
    ],
)
def test_a_language_model_that_is_not_supported_is_refused_by_name(
    path: str, value: object, named: str
) -> None:
    with pytest.raises(InvalidCheckpoint, match=named):
        _built_or_refused(_configured({path: value}))


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("conditioners.self_wav", {"model": "style", "style": {}}, "Style conditioning"),
        ("conditioners.self_wav.model", "encodec", "encodec"),
        ("conditioners.self_wav.chroma_stem.n_chroma", 0, "n_chroma"),
        ("conditioners.self_wav.chroma_stem.radix2_exp", 60, "size"),
        ("conditioners.self_wav.chroma_stem.tuning", 1, "tuning"),
        ("fuser.cross", ["self_wav"], "once"),
        ("transformer_lm.cross_attention", True, "hears nothing"),
        ("dataset.segment_duration", 0, "segment_duration"),
    ],
)
def test_a_melody_that_is_heard_in_another_way_is_refused_by_name(
    path: str, value: object, named: str
) -> None:
    with pytest.raises(InvalidCheckpoint, match=named):
        _built_or_refused(formula.changed(_configured(MELODY), path, value))


def test_another_condition_is_refused_by_name() -> None:
    genre = {"model": "lut", "lut": {"n_bins": 3}}
    changes = {"conditioners.genre": genre, "fuser.cross": ["description", "genre"]}

    with pytest.raises(InvalidCheckpoint, match="genre"):
        _built_or_refused(_configured(changes))


@pytest.mark.parametrize("change", ["missing", "surplus", "shape"])
def test_tensors_have_to_fit_exactly(change: str) -> None:
    tensors = dict(formula.language_tensors(shapes.LANGUAGE))
    state = {name: torch.empty(shape, device="meta") for name, shape in tensors.items()}
    spoiled = {
        "missing": {name: value for name, value in state.items() if name != "emb.2.weight"},
        "surplus": state | {"emb.2.weight.scale": state["emb.2.weight"]},
        "shape": state | {"emb.2.weight": torch.empty(2, device="meta")},
    }[change]

    with pytest.raises(InvalidCheckpoint, match="do not fit its configuration: .*emb.2.weight"):
        loaders.lm_from(Checkpoint(state=spoiled, config=shapes.LANGUAGE), "meta")


def _fields(config: Mapping[str, Any], prefix: str = "") -> list[str]:
    found = []
    for name, value in config.items():
        found.append(prefix + name)
        if isinstance(value, Mapping):
            found += _fields(value, f"{prefix}{name}.")
    return found


_ODD = st.one_of(
    *(st.none(), st.booleans(), st.integers(-3, 2**70), st.floats(), st.text(max_size=4)),
    *(st.lists(st.integers(-2, 9), max_size=5), st.just({"a": 1}), st.just("${transformer_lm}")),
)


_FUZZED = _configured({**MELODY, "conditioners.self_wav.chroma_stem.radix2_exp": 6})


@given(st.sampled_from(_fields(_FUZZED)), _ODD)
@settings(deadline=None, max_examples=80)
def test_whatever_stands_in_a_field_nothing_but_a_refusal_is_raised(
    path: str, value: object
) -> None:
    """There are no tensors here, so every configuration is refused in the end."""
    with pytest.raises(InvalidCheckpoint, match=r"\.$"):
        _built_or_refused(formula.changed(_FUZZED, path, value))
