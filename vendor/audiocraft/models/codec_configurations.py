"""What a codec's configuration says, checked and with the original's defaults.

Values are bounded: nothing a file says makes this take long or fail in another way than with a
sentence.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audiocraft.models.checkpoints import Checkpoint, InvalidCheckpoint, lookup
from audiocraft.models.compression import CompressionModel
from audiocraft.models.configurations import positive
from audiocraft.models.encodec import EncodecModel
from audiocraft.models.stereo import InterleaveStereoCompressionModel
from audiocraft.modules.seanet import SEANetConfig
from audiocraft.quantization import ResidualVectorQuantizer

_WHOLE: Mapping[str, tuple[int, int, int]] = {
    "channels": (1, 1, 64),
    "dimension": (128, 1, 2**14),
    "n_filters": (32, 1, 2**12),
    "n_residual_layers": (3, 0, 16),
    "kernel_size": (7, 1, 1024),
    "last_kernel_size": (7, 1, 1024),
    "residual_kernel_size": (3, 1, 1024),
    "dilation_base": (2, 1, 16),
    "compress": (2, 1, 64),
    "lstm": (0, 0, 16),
}
"""Whole numbers of a network: the default, the least and the most."""

_CHOICES: Mapping[str, tuple[Any, ...]] = {
    "activation": ("ELU", "snake"),
    "pad_mode": ("reflect", "constant", "replicate"),
    "norm": ("none", "weight_norm"),
    "true_skip": (True, False),
    "causal": (False, True),
    "final_activation": (None,),
}
"""Other values of a network that are supported, the default first."""

_OTHERS = (
    *("ratios", "activation_params", "trim_right_ratio"),
    *("norm_params", "disable_norm_outer_blocks", "final_activation_params"),
)
_TRAINING = (
    *("q_dropout", "decay", "kmeans_init", "kmeans_iters", "threshold_ema_dead_code"),
    *("orthogonal_reg_weight", "orthogonal_reg_active_codes_only", "orthogonal_reg_max_codes"),
)
_DEFAULT_CARD = 1024  # of a language model that does not say
_MOST_RATIOS = 8
_MOST_CODEBOOKS = 128
_MOST_BINS = 2**20


@dataclass(frozen=True, kw_only=True)
class CodecShape:
    """What a codec consists of.

    Attributes:
        sample_rate: in Hz.
        codebooks: how many there are; 0 for a codec with a continuous latent.
        bins: vectors a codebook.
    """

    encoder: SEANetConfig
    decoder: SEANetConfig
    sample_rate: int
    codebooks: int = 0
    bins: int = 0

    def model(self) -> EncodecModel:
        """Return a codec of this shape, without weights of its own."""
        quantizer = None
        if self.codebooks:
            width = self.decoder.dimension
            quantizer = ResidualVectorQuantizer(width, self.codebooks, self.bins)
        return EncodecModel(
            self.encoder, self.decoder, sample_rate=self.sample_rate, quantizer=quantizer
        )


def shape_of(checkpoint: Checkpoint) -> CodecShape:
    """Return the shape of the codec a checkpoint in the original's layout describes.

    Raises:
        InvalidCheckpoint: a field is missing, unknown, or has a value that is not supported.
    """
    if lookup(checkpoint.config, "compression_model") != "encodec":
        raise InvalidCheckpoint(
            "Only codecs of the kind encodec are supported (compression_model)."
        )
    settings = checkpoint.section("encodec")
    kinds = [settings.get(key) for key in ("autoencoder", "quantizer")]
    if kinds[0] != "seanet" or kinds[1] not in ("no_quant", "rvq"):
        raise InvalidCheckpoint("Only SEANet codecs with no_quant or rvq are supported.")
    if settings.get("renormalize"):
        raise InvalidCheckpoint("A renormalising codec is not supported.")
    encoder, decoder = (_seanet_of(checkpoint, settings, part) for part in ("encoder", "decoder"))
    if encoder.ratios != decoder.ratios:
        raise InvalidCheckpoint("The encoder and the decoder of the codec have different ratios.")
    codebooks, bins = _quantizer_of(checkpoint, str(kinds[1]))
    if not codebooks and encoder.dimension != 2 * decoder.dimension:
        raise InvalidCheckpoint("The codec's encoder does not return a mean and a scale.")
    if codebooks and encoder.dimension != decoder.dimension:
        raise InvalidCheckpoint("The codec's encoder and decoder have different dimensions.")
    rate = positive(checkpoint, "encodec.sample_rate", int)
    return CodecShape(
        encoder=encoder, decoder=decoder, sample_rate=rate, codebooks=codebooks, bins=bins
    )


def wrapped(codec: CompressionModel, checkpoint: Checkpoint) -> CompressionModel:
    """Return the codec as a language model's checkpoint wants it: for two channels, of less codes.

    Raises:
        InvalidCheckpoint: it wants what this codec cannot be.
    """
    section, levels = "interleave_stereo_codebooks", "compression_model_n_q"
    has_section = isinstance(lookup(checkpoint.config, section), Mapping)
    stereo = checkpoint.section(section) if has_section else {}
    count = lookup(checkpoint.config, levels)
    if count is not None:
        count = whole({levels: count}, levels, {levels: (1, 1, _MOST_CODEBOOKS)})
    try:
        if stereo.get("use"):
            codec = InterleaveStereoCompressionModel(codec, bool(stereo.get("per_timestep")))
        if count is not None:
            codec.set_num_codebooks(count)
    except (ValueError, AttributeError) as error:
        raise InvalidCheckpoint(f"The model does not fit the codec beside it: {error}.") from error
    _refuse_other_tokens(codec, checkpoint)
    return codec


def _refuse_other_tokens(codec: CompressionModel, checkpoint: Checkpoint) -> None:
    """Insist that both count codes alike: to a device, a code that is not there is fatal."""
    if lookup(checkpoint.config, "transformer_lm.n_q") is None:
        return
    settings = checkpoint.section("transformer_lm")
    theirs = settings["n_q"], settings.get("card", _DEFAULT_CARD)
    ours = codec.num_codebooks, getattr(codec, "cardinality", "no")
    if theirs != ours:
        raise InvalidCheckpoint(
            "The model does not fit the codec beside it: it has {} codebooks of {} codes, and the"
            " codec {} of {}.".format(*theirs, *ours)
        )


def seanet(settings: Mapping[str, Any]) -> SEANetConfig:
    """Return the shape of one network of a codec, with fields named as in the original's layout.

    Raises:
        InvalidCheckpoint: a field is unknown or has a value that is not supported.
    """
    _refuse_unknown("seanet", settings, (*_WHOLE, *_CHOICES, *_OTHERS))
    sizes: dict[str, Any] = {key: whole(settings, key, _WHOLE) for key in _WHOLE}
    chosen = {key: _choice(settings, key) for key in _CHOICES}
    del chosen["norm"], chosen["final_activation"]
    if sizes["compress"] > sizes["n_filters"]:
        raise InvalidCheckpoint("The codec's compress cannot be more than its n_filters.")
    trim = settings.get("trim_right_ratio", 1.0)
    if not _is_number(trim) or not 0 <= trim <= 1 or (trim != 1 and not chosen["causal"]):
        raise InvalidCheckpoint(f"The codec's trim_right_ratio cannot be {trim!r}.")
    return SEANetConfig(
        **sizes,
        **chosen,
        ratios=_ratios(settings.get("ratios", [8, 5, 4, 2])),
        activation_alpha=_alpha(settings.get("activation_params")),
        trim_right_ratio=float(trim),
    )


def whole(settings: Mapping[str, Any], key: str, limits: Mapping[str, tuple[int, int, int]]) -> int:
    """Return a whole number within its limits: the default, the least and the most.

    Raises:
        InvalidCheckpoint: it is none, or beyond them.
    """
    default, least, most = limits[key]
    value = settings.get(key, default)
    if not _is_whole(value) or not least <= value <= most:
        raise InvalidCheckpoint(f"The codec's {key} cannot be {value!r}.")
    return int(value)


def _seanet_of(checkpoint: Checkpoint, codec: Mapping[str, Any], part: str) -> SEANetConfig:
    """Return an encoder's or decoder's shape: the common fields under its own."""
    common = dict(checkpoint.section("seanet"))
    own = {name: common.pop(name, None) for name in ("encoder", "decoder")}
    if not all(isinstance(each, Mapping) for each in own.values()):
        raise InvalidCheckpoint("The checkpoint's configuration lacks seanet.encoder or .decoder.")
    config = seanet({**common, **own[part]})
    if config.channels != codec.get("channels"):
        raise InvalidCheckpoint("The codec's networks have other channels than the codec.")
    if config.causal != codec.get("causal"):
        raise InvalidCheckpoint("A codec of which only a part is causal is not supported.")
    return config


def _quantizer_of(checkpoint: Checkpoint, kind: str) -> tuple[int, int]:
    """Return how many codebooks there are, and of how many vectors."""
    settings = checkpoint.section(kind)
    if kind == "no_quant":
        return 0, 0
    limits = {"n_q": (8, 1, _MOST_CODEBOOKS), "bins": (1024, 1, _MOST_BINS)}
    _refuse_unknown(kind, settings, (*limits, *_TRAINING))
    return whole(settings, "n_q", limits), whole(settings, "bins", limits)


def _ratios(value: Any) -> tuple[int, ...]:
    is_list = isinstance(value, list) and 0 < len(value) <= _MOST_RATIOS
    if not is_list or not all(_is_whole(ratio) and 1 <= ratio <= 64 for ratio in value):
        raise InvalidCheckpoint(f"The codec's ratios cannot be {value!r}.")
    return tuple(value)


def _alpha(params: Any) -> float:
    alpha = (params if isinstance(params, Mapping) else {}).get("alpha", 1.0)
    if not _is_number(alpha) or not 0 < alpha < 1e6:
        raise InvalidCheckpoint(f"The codec's activation_params cannot be {params!r}.")
    return float(alpha)


def _choice(settings: Mapping[str, Any], key: str) -> Any:
    value = settings.get(key, _CHOICES[key][0])
    if not any(type(value) is type(known) and value == known for known in _CHOICES[key]):
        what = key.replace("_", " ")
        raise InvalidCheckpoint(f"A codec with the {what} {value!r} is not supported.")
    return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _refuse_unknown(section: str, settings: Mapping[str, Any], known: tuple[str, ...]) -> None:
    if unknown := sorted(str(key) for key in settings if key not in known):
        raise InvalidCheckpoint(f"The checkpoint's {section} has an unknown field: {unknown[0]}.")
