"""What a language model's configuration says, checked and with the original's defaults.

Every field the original's builders read is read; a value whose computation we have not is refused
by name, and so is a field that nobody knows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from audiocraft.models.checkpoints import Checkpoint, InvalidCheckpoint, lookup
from audiocraft.models.configurations import positive, refuse_unknown, required
from audiocraft.models.lm import LMConfig
from audiocraft.modules.codebooks_patterns import (
    CoarseFirstPattern,
    CodebooksPatternProvider,
    DelayedPatternProvider,
    MusicLMPattern,
    ParallelPatternProvider,
    UnrolledPatternProvider,
)
from audiocraft.modules.conditioners import T5_WIDTHS, ConditionFuser

_COMPUTED: Mapping[str, tuple[Any, Any]] = {
    "norm_first": (False, True),
    "bias_ff": (True, False),
    "bias_attn": (True, False),
    "bias_proj": (True, False),
    "causal": (False, True),
    "activation": ("relu", "gelu"),
    "norm": ("layer_norm", "layer_norm"),
    "positional_embedding": ("sin", "sin"),
    "positional_scale": (1.0, 1.0),
    "kv_repeat": (1, 1),
    "xpos": (False, False),
    "qk_layer_norm": (False, False),
    "qk_layer_norm_cross": (False, False),
    "layer_scale": (None, None),
    "past_context": (None, None),
}
"""Fields that change what is computed: the value of one that is absent, and the one we have."""

_SHAPE = (
    *("dim", "num_heads", "num_layers", "hidden_scale", "n_q", "card", "two_step_cfg"),
    *("max_period", "cross_attention", "memory_efficient", "custom", "q_modeling"),
)
_TRAINING = (
    *("dropout", "attention_dropout", "cfg_dropout", "attribute_dropout", "checkpointing"),
    *("weight_init", "depthwise_init", "zero_bias_init", "attention_as_float32", "emb_lr"),
    *("lr", "weight_decay", "device", "dtype"),
)
_MOST = {"dim": 2**16, "num_heads": 1024, "num_layers": 512, "hidden_scale": 64} | {
    "n_q": 128,
    "card": 2**20,
}
"""What nothing that was ever trained exceeds: a damaged file must not take all memory."""

_MOST_DELAY = 4096


def language_of(checkpoint: Checkpoint) -> LMConfig:
    """Return the shape of the language model.

    Raises:
        InvalidCheckpoint: a required field is missing, or one has a value that is not supported.
    """
    if (kind := required(checkpoint, "lm_model")) != "transformer_lm":
        raise InvalidCheckpoint(f"A language model of the kind {kind!r} is not supported.")
    settings = checkpoint.section("transformer_lm")
    refuse_unknown("transformer_lm", settings, (*_COMPUTED, *_SHAPE, *_TRAINING))
    for key, (absent, supported) in _COMPUTED.items():
        value = settings.get(key, absent)
        if (value or None) != (supported or None):
            raise InvalidCheckpoint(f"A language model with {key}={value!r} is not supported.")
    if not (settings.get("memory_efficient") or settings.get("custom")):
        raise InvalidCheckpoint("A language model without memory_efficient is not supported.")
    has_cross_attention = bool(fuser_of(checkpoint).cross)
    if settings.get("cross_attention") and not has_cross_attention:
        raise InvalidCheckpoint("A language model whose cross_attention hears nothing cannot be.")
    config = LMConfig(
        dim=_whole(checkpoint, "dim"),
        num_heads=_whole(checkpoint, "num_heads", default=8),
        num_layers=_whole(checkpoint, "num_layers"),
        hidden_scale=_whole(checkpoint, "hidden_scale", default=4),
        max_period=positive(checkpoint, "transformer_lm.max_period", float, default=10000.0),
        has_cross_attention=has_cross_attention,
        n_q=_whole(checkpoint, "n_q"),
        card=_whole(checkpoint, "card", default=1024),
        cfg_coef=positive(checkpoint, "classifier_free_guidance.inference_coef", float),
        two_step_cfg=bool(settings.get("two_step_cfg", False)),
    )
    if config.dim % (2 * config.num_heads) or config.dim < 4:
        raise InvalidCheckpoint(f"{config.num_heads} heads do not fit a width of {config.dim}.")
    return config


def _whole(checkpoint: Checkpoint, key: str, *, default: int | None = None) -> int:
    value = positive(checkpoint, f"transformer_lm.{key}", int, default=default)
    if value > _MOST[key]:
        raise InvalidCheckpoint(f"A language model with {key}={value} is not supported.")
    return value


def pattern_of(checkpoint: Checkpoint) -> CodebooksPatternProvider:
    """Return how the tokens of several codebooks are put in a row.

    Raises:
        InvalidCheckpoint: the pattern is unknown, or does not fit the codebooks.
    """
    n_q = _whole(checkpoint, "n_q")
    name = lookup(checkpoint.config, "codebooks_pattern.modeling")
    settings: Mapping[str, Any] = {}
    if name is None:  # files older than the section
        name, settings = required(checkpoint, "transformer_lm.q_modeling"), {}
    elif isinstance(lookup(checkpoint.config, f"codebooks_pattern.{name}"), Mapping):
        settings = checkpoint.section(f"codebooks_pattern.{name}")
    if not isinstance(name, str) or name not in _PATTERNS:
        raise InvalidCheckpoint(f"The codebook pattern {name!r} is not supported.")
    make, fields = _PATTERNS[name]
    refuse_unknown(f"codebooks_pattern.{name}", settings, fields)
    if not all(_is_delay(value) for value in settings.values()):
        raise InvalidCheckpoint(f"The codebook pattern {name!r} has a field that is no number.")
    try:
        return make(n_q, **settings)
    except (ValueError, TypeError) as error:
        raise InvalidCheckpoint(f"The codebook pattern {name!r} cannot be: {error}.") from error


_PATTERNS: Mapping[str, tuple[Callable[..., CodebooksPatternProvider], tuple[str, ...]]] = {
    "parallel": (ParallelPatternProvider, ("empty_initial",)),
    "delay": (DelayedPatternProvider, ("delays", "flatten_first", "empty_initial")),
    "unroll": (UnrolledPatternProvider, ("flattening", "delays")),
    "coarse_first": (CoarseFirstPattern, ("delays",)),
    "musiclm": (MusicLMPattern, ("group_by",)),
}


def _is_delay(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_delay(item) and not isinstance(item, list) for item in value)
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_DELAY


def fuser_of(checkpoint: Checkpoint) -> ConditionFuser:
    """Return where the conditions enter.

    Raises:
        InvalidCheckpoint: a condition enters in a way that is not supported, or in none or two.
    """
    settings = checkpoint.section("fuser")
    methods: dict[str, list[str]] = {}
    for method in ("prepend", "cross", "sum", "input_interpolate", "ignore"):
        names = settings.get(method) or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InvalidCheckpoint(f"fuser.{method} of the checkpoint's configuration is no list.")
        methods[method] = names
    for method in ("sum", "input_interpolate", "ignore"):
        if names := methods.pop(method):
            raise InvalidCheckpoint(f"A condition in fuser.{method} ({names[0]}) is not supported.")
    if settings.get("cross_attention_pos_emb"):
        raise InvalidCheckpoint("A fuser with cross_attention_pos_emb is not supported.")
    entering = sorted([*methods["prepend"], *methods["cross"]])
    if entering != sorted(_attributes(checkpoint)):
        raise InvalidCheckpoint("The checkpoint's fuser does not name each condition once.")
    return ConditionFuser(methods)


@dataclass(frozen=True, kw_only=True)
class ChromaShape:
    """How a melody is heard.

    Attributes:
        sample_rate: of what is heard, in Hz.
        n_chroma: pitch classes.
        radix2_exp: a spectrum is of two to the power of so many samples.
        argmax: whether of a frame only the loudest pitch class counts.
        seconds: how much is heard; less is repeated.
    """

    sample_rate: int
    n_chroma: int
    radix2_exp: int
    argmax: bool
    seconds: float


def text_encoder_of(checkpoint: Checkpoint) -> str:
    """Return the name of the text encoder.

    Raises:
        InvalidCheckpoint: there is none, or one that is not supported.
    """
    if (kind := required(checkpoint, "conditioners.description.model")) != "t5":
        raise InvalidCheckpoint(f"Descriptions read by {kind!r} are not supported.")
    settings = checkpoint.section("conditioners.description.t5")
    for field in ("finetune", "normalize_text"):
        if settings.get(field):
            raise InvalidCheckpoint(f"A text encoder with {field} is not supported.")
    if (name := str(settings.get("name"))) not in T5_WIDTHS:
        raise InvalidCheckpoint(f"The text encoder {name!r} is not supported.")
    return name


def melody_of(checkpoint: Checkpoint) -> ChromaShape | None:
    """Return how melodies are heard, None where the model hears none.

    Raises:
        InvalidCheckpoint: it hears something else, or in another way.
    """
    if others := set(_attributes(checkpoint)) - {"description", "self_wav"}:
        raise InvalidCheckpoint(f"A language model conditioned on {min(others)} is not supported.")
    if "self_wav" not in checkpoint.section("conditioners"):
        return None
    kind = lookup(checkpoint.config, "conditioners.self_wav.model")
    if kind == "style":
        raise InvalidCheckpoint("Style conditioning is not supported, only melodies (chroma_stem).")
    if kind != "chroma_stem":
        raise InvalidCheckpoint(f"Waveforms heard by {kind!r} are not supported.")
    place = "conditioners.self_wav.chroma_stem"
    settings = checkpoint.section(place)
    refuse_unknown("chroma_stem", settings, (*_CHROMA, *_CHROMA_EVALUATION))
    shape = ChromaShape(
        sample_rate=positive(checkpoint, f"{place}.sample_rate", int),
        n_chroma=positive(checkpoint, f"{place}.n_chroma", int),
        radix2_exp=positive(checkpoint, f"{place}.radix2_exp", int),
        argmax=bool(settings.get("argmax", False)),
        seconds=positive(checkpoint, "dataset.segment_duration", float),
    )
    if shape.n_chroma > 1024 or not 4 <= shape.radix2_exp <= 20:
        raise InvalidCheckpoint("The checkpoint's chroma_stem has a size that cannot be.")
    return shape


def _attributes(checkpoint: Checkpoint) -> list[str]:
    return [str(name) for name in checkpoint.section("conditioners") if name != "args"]


_CHROMA = ("sample_rate", "n_chroma", "radix2_exp", "argmax")
_CHROMA_EVALUATION = ("match_len_on_eval", "eval_wavs", "n_eval_wavs", "cache_path")
