"""EnCodec as the transformers library writes it: `config.json` beside `model.safetensors`.

The same network under other names. Nothing of that library is needed to read it.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from audiocraft.models.checkpoints import Checkpoint, InvalidCheckpoint
from audiocraft.models.codec_configurations import CodecShape, seanet, whole

_DEFAULTS: Mapping[str, Any] = {
    "audio_channels": 1,
    "hidden_size": 128,
    "num_filters": 32,
    "num_residual_layers": 1,
    "upsampling_ratios": [8, 5, 4, 2],
    "kernel_size": 7,
    "last_kernel_size": 7,
    "residual_kernel_size": 3,
    "dilation_growth_rate": 2,
    "use_causal_conv": True,
    "pad_mode": "reflect",
    "compress": 2,
    "num_lstm_layers": 2,
    "trim_right_ratio": 1.0,
    "norm_type": "weight_norm",
    "sampling_rate": 24000,
    "codebook_size": 1024,
    "use_conv_shortcut": True,
}
"""The library's defaults: a file says only what differs."""

_NAMES = {
    "audio_channels": "channels",
    "hidden_size": "dimension",
    "num_filters": "n_filters",
    "num_residual_layers": "n_residual_layers",
    "upsampling_ratios": "ratios",
    "dilation_growth_rate": "dilation_base",
    "num_lstm_layers": "lstm",
    "use_causal_conv": "causal",
    "norm_type": "norm",
}
"""What fields of a network are called in the original's layout, where that differs."""

_SAME = (
    *("kernel_size", "last_kernel_size", "residual_kernel_size"),
    *("pad_mode", "compress", "trim_right_ratio"),
)
_LIMITS = {"sampling_rate": (24000, 1, 10**6), "codebook_size": (1024, 1, 2**20)}
_LEVEL = re.compile(r"quantizer\.layers\.(\d{1,3})\.codebook\.embed")
_MOST_LEVELS = 128


def is_layout(checkpoint: Checkpoint) -> bool:
    """Tell whether a checkpoint is written as the transformers library does."""
    return "model_type" in checkpoint.config


def shape_of(checkpoint: Checkpoint) -> CodecShape:
    """Return the shape of the codec.

    How many codebooks there are is counted: the file's bandwidths were once meant for codebooks of
    ten bits.

    Raises:
        InvalidCheckpoint: it is no EnCodec, or of a shape that is not supported.
    """
    config = {**_DEFAULTS, **checkpoint.config}
    _refuse_others(config)
    settings = {_NAMES[key]: config[key] for key in _NAMES}
    settings |= {key: config[key] for key in _SAME}
    shortcut = config["use_conv_shortcut"]  # anything but a boolean is for the checks to refuse
    settings["true_skip"] = not shortcut if isinstance(shortcut, bool) else shortcut
    network = seanet(settings)
    return CodecShape(
        encoder=network,
        decoder=network,
        sample_rate=whole(config, "sampling_rate", _LIMITS),
        codebooks=_levels_of(checkpoint.state),
        bins=whole(config, "codebook_size", _LIMITS),
    )


def renamed(state: Mapping[str, Tensor], names: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors, weight norm folded, under our names; what has none keeps its own.

    Args:
        state: tensors by the library's names.
        names: tensors of the model they are for, by ours.
    """
    ours = {_theirs(name): name for name in names}
    return {ours.get(name, name): value for name, value in state.items()}


def _theirs(name: str) -> str:
    """Return what the library calls a tensor of ours."""
    if name.startswith("quantizer."):
        return name.replace("quantizer.vq.", "quantizer.").replace("._codebook.", ".codebook.")
    return name.replace("coder.model.", "coder.layers.").replace(".convtr.", ".conv.")


def _refuse_others(config: Mapping[str, Any]) -> None:
    if config["model_type"] != "encodec":
        raise InvalidCheckpoint(f"A {config['model_type']!r} is no codec of the kind encodec.")
    if config.get("normalize") or config.get("chunk_length_s") is not None:
        raise InvalidCheckpoint(
            "A codec that normalises or cuts sound into chunks (normalize, chunk_length_s) is not"
            " supported."
        )
    width = config["hidden_size"]
    if config.get("codebook_dim") not in (None, width):
        raise InvalidCheckpoint(
            "A codec whose codebooks have a dimension of their own is not supported (codebook_dim)."
        )


def _levels_of(state: Mapping[str, Tensor]) -> int:
    levels = sorted(int(found[1]) for name in state if (found := _LEVEL.fullmatch(name)))
    if not levels or levels != list(range(len(levels))) or len(levels) > _MOST_LEVELS:
        raise InvalidCheckpoint("The codec's file has no codebooks, or some are missing.")
    return len(levels)
