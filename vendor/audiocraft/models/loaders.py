"""Builds models from checkpoints. The only place that knows the checkpoints' tensor names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from audiocraft.models import checkpoints
from audiocraft.models.checkpoints import Checkpoint, InvalidCheckpoint
from audiocraft.models.encodec import EncodecModel
from audiocraft.models.flow import FlowModel
from audiocraft.modules.conditioners import T5_WIDTHS, ConditioningProvider, T5Conditioner
from audiocraft.modules.seanet import SEANetConfig
from audiocraft.modules.transformer import TransformerConfig

M = TypeVar("M", bound=nn.Module)


def load_compression_model(path: Path | str, device: str = "cpu") -> EncodecModel:
    """Load the codec from a directory or a `.bin` file.

    Raises:
        InvalidCheckpoint: the file is damaged, of another kind, or of an unsupported shape.
    """
    checkpoint = checkpoints.read(_file(path, "compression_state_dict.bin"))
    settings = checkpoint.section("encodec")
    if settings.get("quantizer") != "no_quant" or settings.get("autoencoder") != "seanet":
        raise InvalidCheckpoint("Only SEANet codecs without a quantizer are supported.")
    if settings.get("causal") or settings.get("renormalize"):
        raise InvalidCheckpoint("Causal or renormalising codecs are not supported.")
    model = _empty(
        EncodecModel,
        _seanet(checkpoint, "encoder"),
        _seanet(checkpoint, "decoder"),
        sample_rate=int(settings["sample_rate"]),
    )
    return _filled(model, fold_weight_norm(checkpoint.state), device)


def load_dit_model_melodyflow(path: Path | str, device: str = "cpu") -> FlowModel:
    """Load the flow model from a directory or a `.bin` file; its text encoder is given separately.

    Raises:
        InvalidCheckpoint: the file is damaged, of another kind, or of an unsupported shape.
    """
    checkpoint = checkpoints.read(_file(path, "state_dict.bin"))
    return dit_from(checkpoint, device)


def dit_from(checkpoint: Checkpoint, device: str = "cpu") -> FlowModel:
    """Build the flow model a checkpoint describes."""
    settings = checkpoint.section("transformer_lm")
    _refuse_unsupported(settings)
    config = TransformerConfig(
        dim=int(settings["dim"]),
        num_heads=int(settings.get("num_heads", 8)),
        num_layers=int(settings["num_layers"]),
        hidden_scale=int(settings.get("hidden_scale", 4)),
        max_period=float(settings.get("max_period", 10000.0)),
        skip_connections=bool(settings.get("skip_connections", False)),
        add_zero_attn=bool(settings.get("add_zero_attn", False)),
    )
    text = checkpoint.section("conditioners.description.t5")
    name = str(text["name"])
    if name not in T5_WIDTHS:
        raise InvalidCheckpoint(f"The text encoder {name!r} is not supported.")
    with torch.device("meta"):
        provider = ConditioningProvider({"description": T5Conditioner(name, config.dim)})
    model = _empty(
        FlowModel,
        config,
        provider,
        latent_dim=int(settings.get("latent_dim", 128)),
        cfg_coef=float(settings.get("cfg_coef", 4.0)),
    )
    return _filled(model, checkpoint.state, device)


def window_seconds(path: Path | str) -> float:
    """Return how many seconds the flow model in a directory was made for."""
    checkpoint = checkpoints.read(_file(path, "state_dict.bin"))
    return float(checkpoint.section("dataset")["segment_duration"])


def fold_weight_norm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return plain weights under our names: gain times normalised direction, both spellings.

    `….conv.conv.parametrizations.weight.original0/1` (or `.weight_g/_v`) becomes `….conv.weight`.
    The norm is
    taken over all axes but the first.
    """
    spellings = (
        (".parametrizations.weight.original0", ".parametrizations.weight.original1"),
        (".weight_g", ".weight_v"),
    )
    folded = {}
    for key, value in state.items():
        for gain_name, direction_name in spellings:
            if key.endswith(direction_name):
                base = key.removesuffix(direction_name)
                gain = state[base + gain_name]
                norm = value.flatten(1).norm(dim=1).reshape(gain.shape)
                folded[_shorter(base) + ".weight"] = value * (gain / norm)
            if key.endswith((gain_name, direction_name)):
                break
        else:
            folded[_shorter(key)] = value
    return folded


def _shorter(key: str) -> str:
    return key.replace(".conv.conv", ".conv").replace(".convtr.convtr", ".convtr")


def _seanet(checkpoint: Checkpoint, part: str) -> SEANetConfig:
    shared = dict(checkpoint.section("seanet"))
    own = {"encoder": shared.pop("encoder", {}), "decoder": shared.pop("decoder", {})}[part]
    settings = shared | dict(own or {})
    if settings.get("norm") not in ("weight_norm", "none") or settings.get("final_activation"):
        raise InvalidCheckpoint("This codec's normalisation or final activation is not supported.")
    if settings.get("activation", "ELU") not in ("snake", "ELU"):
        raise InvalidCheckpoint(f"The activation {settings['activation']!r} is not supported.")
    known = SEANetConfig.__dataclass_fields__
    chosen = {key: value for key, value in settings.items() if key in known}
    alpha = (settings.get("activation_params") or {}).get("alpha", 1.0)
    return SEANetConfig(**chosen | {"ratios": tuple(settings["ratios"]), "activation_alpha": alpha})


def _refuse_unsupported(settings: Mapping[str, Any]) -> None:
    required = {
        "norm_first": True,
        "causal": False,
        "cross_attention": True,
        "bias_ff": False,
        "bias_attn": False,
        "positional_embedding": "rope",
        "norm": "layer_norm",
        "activation": "gelu",
    }
    refused = ("layer_scale", "qk_layer_norm", "qk_layer_norm_cross", "xpos", "past_context")
    for key, value in required.items():
        if settings.get(key, value) != value:
            raise InvalidCheckpoint(f"A flow model with {key}={settings[key]!r} is not supported.")
    for key in refused:
        if settings.get(key):
            raise InvalidCheckpoint(f"A flow model with {key} is not supported.")


def _file(path: Path | str, name: str) -> Path:
    found = Path(path) / name if Path(path).is_dir() else Path(path)
    if not found.is_file():
        raise InvalidCheckpoint(f"There is no {name} at the given place.")
    return found


def _empty(kind: type[M], *args: Any, **settings: Any) -> M:
    # no random initialisation: for the full model it takes longer than reading the file
    with torch.device("meta"):
        return kind(*args, **settings)


def _filled(model: M, state: Mapping[str, Tensor], device: str) -> M:
    """Give the empty model its tensors, under exactly its names and shapes."""
    tensors = {key: value.float() for key, value in state.items()}
    try:
        model.load_state_dict(tensors, strict=True, assign=True)
    except RuntimeError as error:
        raise InvalidCheckpoint("The checkpoint's tensors do not fit its configuration.") from error
    return model.eval().requires_grad_(requires_grad=False).to(device)
