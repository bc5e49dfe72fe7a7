"""Small checkpoints in the official file format whose tensors are a formula of their names.

Nothing is trained and nothing is stored: `value = normal(seed = crc32(name))`, scaled so that
signals neither die nor explode.
"""

import copy
import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from tests.models import recorded, shapes

FLOW: dict[str, Any] = {
    "sample_rate": 8000,
    "transformer_lm": {
        "dim": 48,
        "num_heads": 4,
        "num_layers": 6,
        "hidden_scale": 2,
        "norm_first": True,
        "bias_ff": False,
        "bias_attn": False,
        "positional_embedding": "rope",
        "cross_attention": True,
        "skip_connections": True,
        "add_zero_attn": True,
        "latent_dim": 16,
        "memory_efficient": True,
    },
    "fuser": {"sum": [], "prepend": [], "cross": ["description"], "input_interpolate": []},
    "conditioners": {"description": {"model": "t5", "t5": {"name": "t5-small", "finetune": False}}},
    "dataset": {"segment_duration": 4},
}

CODEC: dict[str, Any] = {
    "sample_rate": 8000,
    "channels": 2,
    "compression_model": "encodec",
    "encodec": {
        "autoencoder": "seanet",
        "quantizer": "no_quant",
        "sample_rate": "${sample_rate}",
        "channels": "${channels}",
        "causal": False,
        "renormalize": False,
    },
    "seanet": {
        "dimension": 16,
        "channels": "${channels}",
        "n_filters": 4,
        "n_residual_layers": 1,
        "ratios": [5, 4, 2],
        "activation": "snake",
        "norm": "weight_norm",
        "kernel_size": 7,
        "residual_kernel_size": 3,
        "last_kernel_size": 7,
        "dilation_base": 2,
        "pad_mode": "reflect",
        "true_skip": True,
        "compress": 2,
        "lstm": 2,
        "encoder": {"dimension": 32},
        "decoder": {"trim_right_ratio": 1.0, "final_activation": None},
    },
    "no_quant": {},
}


def fill(name: str, shape: tuple[int, ...]) -> Tensor:
    """Return the tensor of that name."""
    if name.endswith("rope.frequencies"):
        exponents = np.arange(shape[0]) / shape[0]
        return torch.from_numpy((10000.0**-exponents).astype(np.float32)).bfloat16().float()
    z = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    return torch.from_numpy((_centre(name, shape) + _spread(name, shape) * z).astype(np.float32))


def _centre(name: str, shape: tuple[int, ...]) -> float:
    is_gain = name.endswith(("original0", "weight_g", "alpha", "latent_std"))
    return 1.0 if is_gain or (name.endswith("weight") and len(shape) == 1) else 0.0


def _spread(name: str, shape: tuple[int, ...]) -> float:
    if name.endswith(("original1", "weight_v")):
        return 1.0
    return float(shape[1]) ** -0.5 if len(shape) == 2 else 0.1


def flow_tensors(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield names and shapes of a flow model's tensors, as official files have them."""
    shape = config["transformer_lm"]
    dim, layers, latent = shape["dim"], shape["num_layers"], shape["latent_dim"]
    hidden, rotary = dim * shape["hidden_scale"], dim // shape["num_heads"] // 2
    yield from (("latent_mean", (1, latent, 1)), ("latent_std", (1, latent, 1)))
    yield from (("timestep_embedder.mlp.0.weight", (dim, 256)),)
    yield from (("timestep_embedder.mlp.2.weight", (dim, dim)),)
    yield "transformer.rope.frequencies", (rotary,)
    for n in range(layers):
        layer = f"transformer.layers.{n}"
        yield f"{layer}.self_attn.rope.frequencies", (rotary,)
        for attention in ("self_attn", "cross_attention"):
            yield f"{layer}.{attention}.in_proj_weight", (3 * dim, dim)
            yield f"{layer}.{attention}.out_proj.weight", (dim, dim)
        yield f"{layer}.linear1.weight", (hidden, dim)
        yield f"{layer}.linear2.weight", (dim, hidden)
        for norm in ("norm1", "norm2", "norm_cross"):
            yield from ((f"{layer}.{norm}.{part}", (dim,)) for part in ("weight", "bias"))
    for n in range(layers // 2 - 1 if shape["skip_connections"] else 0):
        yield f"transformer.skip_projections.{n}.weight", (dim, 2 * dim)
    text = "condition_provider.conditioners.description.output_proj"
    width = {"t5-small": 512, "t5-base": 768}[config["conditioners"]["description"]["t5"]["name"]]
    yield from ((f"{text}.weight", (dim, width)), (f"{text}.bias", (dim,)))
    yield from ((f"out_norm.{part}", (dim,)) for part in ("weight", "bias"))
    yield from (("in_proj.weight", (dim, latent)), ("out_proj.weight", (latent, dim)))


def language_tensors(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield names and shapes of a language model's tensors, as official files have them."""
    shape = config["transformer_lm"]
    dim, card = shape["dim"], shape["card"]
    yield from _conditioner_tensors(config["conditioners"], dim)
    for n in range(shape["num_layers"]):
        layer = f"transformer.layers.{n}"
        for attention in ["self_attn", "cross_attention"][: 1 + bool(config["fuser"]["cross"])]:
            yield f"{layer}.{attention}.in_proj_weight", (3 * dim, dim)
            yield f"{layer}.{attention}.out_proj.weight", (dim, dim)
        yield f"{layer}.linear1.weight", (dim * shape["hidden_scale"], dim)
        yield f"{layer}.linear2.weight", (dim, dim * shape["hidden_scale"])
        for norm in ["norm1", "norm2", "norm_cross"][: 2 + bool(config["fuser"]["cross"])]:
            yield from ((f"{layer}.{norm}.{part}", (dim,)) for part in ("weight", "bias"))
    for k in range(shape["n_q"]):
        yield from ((f"emb.{k}.weight", (card + 1, dim)), (f"linears.{k}.weight", (card, dim)))
    yield from ((f"out_norm.{part}", (dim,)) for part in ("weight", "bias"))


def _conditioner_tensors(
    conditioners: Mapping[str, Any], dim: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    widths = {"t5-small": 512, "t5-base": 768}
    for name, settings in conditioners.items():
        if name == "args":
            continue
        place, own = f"condition_provider.conditioners.{name}", settings[settings["model"]]
        width = widths[own["name"]] if settings["model"] == "t5" else own["n_chroma"]
        yield f"{place}.output_proj.weight", (dim, width)
        yield f"{place}.output_proj.bias", (dim,)
        if settings["model"] == "chroma_stem":
            yield f"{place}.chroma.spec.window", (2 ** own["radix2_exp"],)


def codec_tensors(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield names and shapes of a codec's tensors with weight norm unfolded."""
    net = config["seanet"]
    names: Iterator[tuple[str, tuple[int, ...]]] = itertools.chain(
        _encoder(config), _decoder(config)
    )
    for name, shape in names:
        if not name.endswith(".alpha") or net["activation"] == "snake":
            yield name, shape
    for q in range(config["rvq"]["n_q"] if config["encodec"]["quantizer"] == "rvq" else 0):
        codebook, bins = f"quantizer.vq.layers.{q}._codebook", config["rvq"]["bins"]
        yield from ((f"{codebook}.inited", (1,)), (f"{codebook}.cluster_size", (bins,)))
        for part in ("embed", "embed_avg"):
            yield f"{codebook}.{part}", (bins, net["dimension"])


def _encoder(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    net = config["seanet"]
    width, at = net["n_filters"], 1
    yield from _conv("encoder.model.0", width, config["channels"], 7)
    for ratio in reversed(net["ratios"]):
        for _ in range(net["n_residual_layers"]):
            yield from _block(f"encoder.model.{at}", width)
            at += 1
        yield f"encoder.model.{at}.alpha", (1, width, 1)
        yield from _conv(f"encoder.model.{at + 1}", 2 * width, width, 2 * ratio)
        width, at = 2 * width, at + 2
    if net["lstm"]:
        yield from _lstm(f"encoder.model.{at}", width)
        at += 1
    yield f"encoder.model.{at}.alpha", (1, width, 1)
    yield from _conv(
        f"encoder.model.{at + 1}", net["encoder"].get("dimension", net["dimension"]), width, 7
    )


def _decoder(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    net = config["seanet"]
    width, at = net["n_filters"] * 2 ** len(net["ratios"]), 1
    yield from _conv("decoder.model.0", width, net["dimension"], 7)
    if net["lstm"]:
        yield from _lstm("decoder.model.1", width)
        at = 2
    for ratio in net["ratios"]:
        yield f"decoder.model.{at}.alpha", (1, width, 1)
        yield from _transposed(f"decoder.model.{at + 1}", width, width // 2, 2 * ratio)
        width, at = width // 2, at + 2
        for _ in range(net["n_residual_layers"]):
            yield from _block(f"decoder.model.{at}", width)
            at += 1
    yield f"decoder.model.{at}.alpha", (1, width, 1)
    yield from _conv(f"decoder.model.{at + 1}", config["channels"], width, 7)


def _normed(name: str, gain: tuple[int, ...], direction: tuple[int, ...]) -> Iterator[Any]:
    yield f"{name}.parametrizations.weight.original0", gain
    yield f"{name}.parametrizations.weight.original1", direction


def _conv(name: str, outputs: int, inputs: int, kernel: int) -> Iterator[Any]:
    yield f"{name}.conv.conv.bias", (outputs,)
    yield from _normed(f"{name}.conv.conv", (outputs, 1, 1), (outputs, inputs, kernel))


def _transposed(name: str, inputs: int, outputs: int, kernel: int) -> Iterator[Any]:
    yield f"{name}.convtr.convtr.bias", (outputs,)
    yield from _normed(f"{name}.convtr.convtr", (inputs, 1, 1), (inputs, outputs, kernel))


def _block(name: str, width: int) -> Iterator[Any]:
    yield f"{name}.block.0.alpha", (1, width, 1)
    yield from _conv(f"{name}.block.1", width // 2, width, 3)
    yield f"{name}.block.2.alpha", (1, width // 2, 1)
    yield from _conv(f"{name}.block.3", width, width // 2, 1)


def _lstm(name: str, width: int) -> Iterator[Any]:
    for layer in (0, 1):
        for part in ("ih", "hh"):
            yield f"{name}.lstm.weight_{part}_l{layer}", (4 * width, width)
            yield f"{name}.lstm.bias_{part}_l{layer}", (4 * width,)


def write_checkpoint(
    folder: Path, *, flow: Mapping[str, Any] | None = None, codec: Mapping[str, Any] | None = None
) -> Path:
    """Write both official files into a folder and return it."""
    flow, codec = flow or FLOW, codec or CODEC
    save(folder / "state_dict.bin", dict(flow_tensors(flow)), flow)
    save(folder / "compression_state_dict.bin", dict(codec_tensors(codec)), codec)
    return folder


def write_musicgen_checkpoint(
    folder: Path,
    *,
    stereo: bool = False,
    melody: bool = False,
    changes: Mapping[str, Any] | None = None,
) -> Path:
    """Write both files of a small official-format MusicGen into a folder and return it.

    Filled by the recorded rule, the language model in half precision and the codec under the older
    names, like the published ones. `changes` are fields of the configuration by dotted path.
    """
    language = shapes.LANGUAGE
    if stereo:
        language = changed(language, "channels", 2)
        language = changed(language, "interleave_stereo_codebooks.use", value=True)
        language = changed(language, "transformer_lm.n_q", 8)
        language = changed(language, "codebooks_pattern.delay.delays", [0, 0, 1, 1, 2, 2, 3, 3])
    if melody:
        language = changed(language, "fuser.prepend", ["self_wav", "description"])
        language = changed(language, "fuser.cross", [])
        language = changed(language, "conditioners.self_wav", shapes.CHROMA)
    for path, value in (changes or {}).items():
        language = changed(language, path, value)
    save(folder / "state_dict.bin", dict(language_tensors(language)), language, filled=_half)
    older = {_older(name): shape for name, shape in codec_tensors(shapes.TOKENS)}
    save(folder / "compression_state_dict.bin", older, shapes.TOKENS, filled=recorded.fill)
    return folder


def _half(name: str, shape: tuple[int, ...]) -> Tensor:
    return recorded.fill(name, shape).half()


def _older(name: str) -> str:
    prefix, _, number = name.partition(".parametrizations.weight.original")
    return f"{prefix}.weight_{'gv'[int(number)]}" if number else name


def save(
    path: Path,
    tensors: Mapping[str, tuple[int, ...]],
    config: Mapping[str, Any],
    *,
    filled: Callable[[str, tuple[int, ...]], Tensor] = fill,
) -> None:
    """Write one file: filled tensors and the configuration as YAML text."""
    state = {name: filled(name, shape) for name, shape in tensors.items()}
    package = {"best_state": state, "xp.cfg": yaml.safe_dump(dict(config)), "version": "1.4.0a1"}
    torch.save(package | {"exported": True}, path)


def changed(config: Mapping[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return a configuration with one field changed."""
    other = copy.deepcopy(dict(config))
    *parents, last = path.split(".")
    section = other
    for key in parents:
        section = section[key]
    section[last] = value
    return other


def write_text_encoder(folder: Path) -> Path:
    """Write a small T5 encoder with a byte tokenizer as a transformers directory; return it."""
    letters = pre_tokenizers.ByteLevel.alphabet()
    words = {word: n for n, word in enumerate(["<pad>", "</s>", "<unk>", *sorted(letters)])}
    tokenizer = Tokenizer(models.BPE(vocab=words, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    wrapped: Any = PreTrainedTokenizerFast
    wrapped(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    config = T5Config(
        vocab_size=len(words), d_model=512, d_ff=32, d_kv=8, num_heads=4, num_layers=2
    )
    encoder = T5EncoderModel(config)
    state = {name: fill(name, tuple(value.shape)) for name, value in encoder.state_dict().items()}
    encoder.load_state_dict(state)
    encoder.save_pretrained(folder)
    return folder
