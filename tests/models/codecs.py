"""Small codecs with codebooks, in the original's layout and in the transformers library's."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

from tests.models import formula, recorded
from tests.models.shapes import TOKENS

Shapes = Mapping[str, tuple[int, ...]]

TRANSFORMERS: dict[str, Any] = {
    "audio_channels": 1,
    "chunk_length_s": None,
    "codebook_dim": 16,
    "codebook_size": 2048,
    "compress": 2,
    "dilation_growth_rate": 2,
    "hidden_size": 16,
    "kernel_size": 7,
    "last_kernel_size": 7,
    "model_type": "encodec",
    "norm_type": "weight_norm",
    "normalize": False,
    "num_filters": 4,
    "num_lstm_layers": 2,
    "num_residual_layers": 1,
    "overlap": None,
    "pad_mode": "reflect",
    "residual_kernel_size": 3,
    "sampling_rate": 32000,
    "target_bandwidths": [2.2],
    "trim_right_ratio": 1.0,
    "upsampling_ratios": [8, 5, 4, 4],
    "use_causal_conv": False,
    "use_conv_shortcut": False,
}
"""The same as the transformers library writes it, with larger codebooks."""


def tokens_tensors(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the tensors, weight norm in the older spelling."""
    older = (
        ("parametrizations.weight.original0", "weight_g"),
        (
            "parametrizations.weight.original1",
            "weight_v",
        ),
    )
    shapes = dict(formula.codec_tensors(config))
    for name, (now, then) in itertools.product(tuple(shapes), older):
        if name.endswith(now):
            shapes[name.replace(now, then)] = shapes.pop(name)
    levels, width = config["rvq"]["n_q"], config["seanet"]["dimension"]
    for level in range(levels):
        shapes |= _codebook(f"quantizer.vq.layers.{level}._codebook", config["rvq"]["bins"], width)
    return shapes


def transformers_tensors(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the tensors as the transformers library calls them."""
    network = TOKENS["seanet"] | {
        "ratios": config["upsampling_ratios"],
        "n_filters": config["num_filters"],
    }
    shapes = tokens_tensors(TOKENS | {"seanet": network, "rvq": {"n_q": 0}})
    renamed = {_in_transformers(name): shape for name, shape in shapes.items()}
    for level in range(4):
        books = _codebook(
            f"quantizer.layers.{level}.codebook", config["codebook_size"], config["hidden_size"]
        )
        renamed |= books
    return renamed


def write_tokens(
    folder: Path,
    config: Mapping[str, Any] = TOKENS,
    fill: Callable[[str, tuple[int, ...]], Tensor] = recorded.fill,
) -> Path:
    """Write a codec's official file into a folder and return it."""
    state = {name: fill(name, shape) for name, shape in tokens_tensors(config).items()}
    package = {"best_state": state, "xp.cfg": yaml.safe_dump(dict(config)), "exported": True}
    torch.save(package, folder / "compression_state_dict.bin")
    return folder


def write_transformers(folder: Path, config: Mapping[str, Any] = TRANSFORMERS) -> Path:
    """Write a codec as the transformers library does into a folder and return it."""
    shapes = transformers_tensors(config)
    state = {name: recorded.fill(name, shape) for name, shape in shapes.items()}
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(dict(config)), "utf-8")
    return folder


def write_pointer(folder: Path, target: object) -> Path:
    """Write a codec's file that only says where another one is, and return its folder."""
    package = {"pretrained": target, "version": "1.0", "exported": True}
    torch.save(package, folder / "compression_state_dict.bin")
    return folder


def _codebook(name: str, bins: int, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from ((f"{name}.inited", (1,)), (f"{name}.cluster_size", (bins,)))
    yield from ((f"{name}.embed", (bins, width)), (f"{name}.embed_avg", (bins, width)))


def _in_transformers(name: str) -> str:
    plain = name.replace(".conv.conv.", ".conv.").replace(".convtr.convtr.", ".conv.")
    return plain.replace("coder.model.", "coder.layers.")
