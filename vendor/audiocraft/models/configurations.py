"""What a checkpoint's configuration says, checked and with the original's defaults.

Every field the original's builders read is read; a value whose computation we have not is refused
by name, and so is a field that nobody knows.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from audiocraft.models.checkpoints import Checkpoint, InvalidCheckpoint, lookup
from audiocraft.modules.conditioners import T5_WIDTHS
from audiocraft.modules.transformer import TransformerConfig

N = TypeVar("N", int, float)

_TRANSFORMER: Mapping[str, Any] = {
    "norm_first": False,
    "causal": False,
    "cross_attention": True,  # what the builder makes of `fuser.cross`
    "bias_ff": True,
    "bias_attn": True,
    "bias_proj": False,
    "custom": False,
    "positional_embedding": "sin",
    "positional_scale": 1.0,
    "norm": "layer_norm",
    "activation": "gelu",
    "kv_repeat": 1,
    "xpos": False,
    "qk_layer_norm": False,
    "qk_layer_norm_cross": False,
    "layer_scale": None,
    "past_context": None,
}
"""Fields that change what is computed, with the value of one that is absent."""

_TRANSFORMER_SUPPORTED: Mapping[str, Any] = {
    **_TRANSFORMER,
    "norm_first": True,
    "bias_ff": False,
    "bias_attn": False,
    "positional_embedding": "rope",
}

_TRANSFORMER_SHAPE = (
    *("dim", "num_heads", "num_layers", "hidden_scale", "max_period", "latent_dim", "cfg_coef"),
    *("skip_connections", "add_zero_attn", "memory_efficient"),
)
_TRANSFORMER_TRAINING = (
    *("dropout", "attention_dropout", "cfg_dropout", "attribute_dropout", "checkpointing"),
    *("weight_init", "depthwise_init", "zero_bias_init", "attention_as_float32"),
    *("lr", "weight_decay", "device", "dtype"),
)


def transformer_of(checkpoint: Checkpoint) -> TransformerConfig:
    """Return the shape of the flow model's transformer.

    Raises:
        InvalidCheckpoint: a required field is missing, or one has a value that is not supported.
    """
    settings = checkpoint.section("transformer_lm")
    refuse_unknown(
        "transformer_lm", settings, (*_TRANSFORMER, *_TRANSFORMER_SHAPE, *_TRANSFORMER_TRAINING)
    )
    if not required(checkpoint, "transformer_lm.memory_efficient"):
        raise InvalidCheckpoint("A flow model without memory_efficient is not supported.")
    for key, default in _TRANSFORMER.items():
        value = settings.get(key, default)
        if (value or None) != (_TRANSFORMER_SUPPORTED[key] or None):
            raise InvalidCheckpoint(f"A flow model with {key}={value!r} is not supported.")
    _refuse_other_conditions(checkpoint)
    config = TransformerConfig(
        dim=positive(checkpoint, "transformer_lm.dim", int),
        num_heads=positive(checkpoint, "transformer_lm.num_heads", int, default=8),
        num_layers=positive(checkpoint, "transformer_lm.num_layers", int),
        hidden_scale=positive(checkpoint, "transformer_lm.hidden_scale", int, default=4),
        max_period=positive(checkpoint, "transformer_lm.max_period", float, default=10000.0),
        skip_connections=bool(settings.get("skip_connections", False)),
        add_zero_attn=bool(settings.get("add_zero_attn", False)),
    )
    if config.dim % (2 * config.num_heads):
        raise InvalidCheckpoint(f"{config.num_heads} heads do not fit a width of {config.dim}.")
    if config.skip_connections and config.num_layers % 2:
        raise InvalidCheckpoint("Skips need an even number of layers (num_layers).")
    return config


def _refuse_other_conditions(checkpoint: Checkpoint) -> None:
    """Insist on one text condition that is attended to, as the only condition."""
    for field, supported in (
        ("sum", []),
        ("prepend", []),
        ("cross", ["description"]),
        ("input_interpolate", []),
    ):
        if (value := required(checkpoint, f"fuser.{field}")) != supported:
            raise InvalidCheckpoint(f"A flow model with fuser.{field}={value!r} is not supported.")
    if others := set(checkpoint.section("conditioners")) - {"args", "description"}:
        raise InvalidCheckpoint(f"A flow model conditioned on {min(others)} is not supported.")
    if (kind := required(checkpoint, "conditioners.description.model")) != "t5":
        raise InvalidCheckpoint(f"Descriptions read by {kind!r} are not supported.")
    if required(checkpoint, "conditioners.description.t5.finetune"):
        raise InvalidCheckpoint("A text encoder that was trained along is not supported.")


def text_encoder_of(checkpoint: Checkpoint) -> str:
    """Return the name of the text encoder that goes with a flow model.

    Raises:
        InvalidCheckpoint: it has none, or one of unknown width.
    """
    name = str(required(checkpoint, "conditioners.description.t5.name"))
    if name not in T5_WIDTHS:
        raise InvalidCheckpoint(f"The text encoder {name!r} is not supported.")
    return name


def window_of(checkpoint: Checkpoint) -> float:
    """Return how many seconds a flow model was made for."""
    return positive(checkpoint, "dataset.segment_duration", float)


def positive(checkpoint: Checkpoint, path: str, kind: type[N], *, default: N | None = None) -> N:
    """Return a number of the configuration.

    Raises:
        InvalidCheckpoint: it is missing and has no default, or is no positive number.
    """
    value = required(checkpoint, path) if default is None else _optional(checkpoint, path, default)
    is_number = (
        isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 2**53
    )
    if not is_number or kind(value) != value:
        raise InvalidCheckpoint(f"{path} of the checkpoint's configuration cannot be {value!r}.")
    return kind(value)


def _optional(checkpoint: Checkpoint, path: str, default: Any) -> Any:
    parent, _, key = path.rpartition(".")
    value = (checkpoint.section(parent) if parent else checkpoint.config).get(key, default)
    return default if value is None else value


def required(checkpoint: Checkpoint, path: str) -> Any:
    """Return a value of the configuration.

    Raises:
        InvalidCheckpoint: it is missing.
    """
    if lookup(checkpoint.config, path) is None:
        raise InvalidCheckpoint(f"The checkpoint's configuration lacks {path}.")
    return _optional(checkpoint, path, None)


def refuse_unknown(section: str, settings: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Insist on known fields.

    Raises:
        InvalidCheckpoint: there is another one, which it names.
    """
    if unknown := sorted(str(key) for key in settings if key not in known):
        raise InvalidCheckpoint(f"The checkpoint's {section} has an unknown field: {unknown[0]}.")
