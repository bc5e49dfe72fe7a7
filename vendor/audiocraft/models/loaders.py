"""Builds models from checkpoints. The only place that knows the checkpoints' tensor names.

Nothing is initialised at random and nothing read twice: models are built without memory and then
given the tensors of the mapped file, so a load costs about the weights themselves.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from audiocraft.models import (
    checkpoints,
    codec_configurations,
    configurations,
    encodec_transformers,
    lm_configurations,
    repositories,
)
from audiocraft.models.checkpoints import Checkpoint, InvalidCheckpoint
from audiocraft.models.compression import CompressionModel
from audiocraft.models.encodec import EncodecModel
from audiocraft.models.flow import FlowModel
from audiocraft.models.lm import LMModel
from audiocraft.modules.chroma import ChromaExtractor
from audiocraft.modules.conditioners import (
    ChromaStemConditioner,
    ConditioningProvider,
    T5Conditioner,
)

M = TypeVar("M", bound=nn.Module)

_WINDOW = "spec.window"
"""Of a spectrogram, which is always computed in float32."""

_POINTER = "//pretrained/"
"""What some pointers have before the hub id."""


def load_compression_model(
    file_or_url_or_id: Path | str,
    device: torch.device | str = "cpu",
    filename: str | None = None,
    cache_dir: Path | str | None = None,
) -> EncodecModel:
    """Load the codec from a directory, a file, an https address or a hub id.

    The file may be the original's, with a quantizer or without, or in the layout of the
    transformers library. One that only points to another repository is followed once, and to a
    hub id only.

    Raises:
        InvalidCheckpoint: the file is damaged, of another kind, or of an unsupported shape.
    """
    place = repositories.locate_codec(file_or_url_or_id, filename=filename, cache_dir=cache_dir)
    checkpoint = checkpoints.read(place)
    if checkpoint.pretrained is not None:
        other = _pointed_to(checkpoint.pretrained)
        checkpoint = checkpoints.read(repositories.codec_pointed_to(other, cache_dir=cache_dir))
    return codec_from(checkpoint, device)


def get_wrapped_compression_model(
    compression_model: CompressionModel, checkpoint: Checkpoint
) -> CompressionModel:
    """Return the codec as a language model's checkpoint wants it: stereo, of less codebooks.

    Raises:
        InvalidCheckpoint: it wants what this codec cannot be.
    """
    return codec_configurations.wrapped(compression_model, checkpoint)


def load_dit_model_melodyflow(
    file_or_url_or_id: Path | str,
    device: torch.device | str = "cpu",
    filename: str | None = None,
    cache_dir: Path | str | None = None,
) -> FlowModel:
    """Load the flow model from a directory, a file, an https address or a hub id.

    Its text encoder is no part of the file and given separately.

    Raises:
        InvalidCheckpoint: the file is damaged, of another kind, or of an unsupported shape.
    """
    return dit_from(_flow_checkpoint(file_or_url_or_id, filename, cache_dir), device)


def load_lm_model(
    file_or_url_or_id: Path | str,
    device: torch.device | str = "cpu",
    cache_dir: Path | str | None = None,
    *,
    filename: str | None = None,
) -> LMModel:
    """Load the language model from a directory, a file, an https address or a hub id.

    Its text encoder is no part of the file and given separately. On a card it stays in half
    precision, as it is in official files; elsewhere it is float32. It decodes by the fast way,
    which is to be told (`fuse`) when the weights are moved.

    Raises:
        InvalidCheckpoint: the file is damaged, of another kind, or of an unsupported shape.
    """
    names = repositories.LM_FILES
    place = repositories.locate(file_or_url_or_id, names, filename=filename, cache_dir=cache_dir)
    model = lm_from(checkpoints.read(place), device)
    model.fuse()
    return model


def window_seconds(
    file_or_url_or_id: Path | str, filename: str | None = None, cache_dir: Path | str | None = None
) -> float:
    """Return how many seconds a flow model was made for, without loading it.

    Raises:
        InvalidCheckpoint: the file is damaged, of another kind, or does not say.
    """
    return configurations.window_of(_flow_checkpoint(file_or_url_or_id, filename, cache_dir))


def codec_from(checkpoint: Checkpoint, device: torch.device | str = "cpu") -> EncodecModel:
    """Build the codec a checkpoint describes.

    Raises:
        InvalidCheckpoint: it is of an unsupported shape, or its tensors do not fit.
    """
    is_other = encodec_transformers.is_layout(checkpoint)
    shape_of = encodec_transformers.shape_of if is_other else codec_configurations.shape_of
    with torch.device("meta"):
        model = shape_of(checkpoint).model()
    state = fold_weight_norm(checkpoint.state)
    if is_other:
        state = encodec_transformers.renamed(state, model.state_dict())
    return _filled(model, state, device)


def dit_from(checkpoint: Checkpoint, device: torch.device | str = "cpu") -> FlowModel:
    """Build the flow model a checkpoint describes.

    Raises:
        InvalidCheckpoint: it is of an unsupported shape, or its tensors do not fit.
    """
    config = configurations.transformer_of(checkpoint)
    name = configurations.text_encoder_of(checkpoint)
    with torch.device("meta"):
        provider = ConditioningProvider({"description": T5Conditioner(name, config.dim)})
    model = _empty(
        FlowModel,
        config,
        provider,
        latent_dim=configurations.positive(
            checkpoint, "transformer_lm.latent_dim", int, default=128
        ),
        cfg_coef=configurations.positive(checkpoint, "transformer_lm.cfg_coef", float, default=4.0),
    )
    return _filled(model, checkpoint.state, device)


def lm_from(checkpoint: Checkpoint, device: torch.device | str = "cpu") -> LMModel:
    """Build the language model a checkpoint describes; its `cfg` is what the file says of it.

    Raises:
        InvalidCheckpoint: it is of an unsupported shape, or its tensors do not fit.
    """
    config = lm_configurations.language_of(checkpoint)
    model = _empty(
        LMModel,
        config,
        lm_configurations.pattern_of(checkpoint),
        _conditioners(checkpoint, config.dim),
        lm_configurations.fuser_of(checkpoint),
    )
    is_card = torch.device(device).type == "cuda"
    dtype = torch.float16 if is_card else torch.float32
    model = _filled(model, checkpoint.state, device, dtype=dtype)
    model.cfg = Checkpoint(state={}, config=checkpoint.config)
    return model


def _conditioners(checkpoint: Checkpoint, dim: int) -> ConditioningProvider:
    melody = lm_configurations.melody_of(checkpoint)
    with torch.device("meta"):
        text = T5Conditioner(lm_configurations.text_encoder_of(checkpoint), dim)
    if melody is None:
        return ConditioningProvider({"description": text})
    # not without memory: its filters are computed, and in no file
    chroma = ChromaExtractor(
        melody.sample_rate, melody.n_chroma, melody.radix2_exp, argmax=melody.argmax
    )
    heard = ChromaStemConditioner(chroma, dim, seconds=melody.seconds)
    return ConditioningProvider({"description": text, "self_wav": heard})


def fold_weight_norm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return plain weights under our names: gain times normalised direction, both spellings.

    `….conv.conv.parametrizations.weight.original0/1` (or `.weight_g/_v`) becomes `….conv.weight`.
    The norm is taken over all axes but the first, in float32.

    Raises:
        InvalidCheckpoint: a direction has no gain.
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
                folded[_shorter(base) + ".weight"] = _folded(state, base + gain_name, value)
            if key.endswith((gain_name, direction_name)):
                break
        else:
            folded[_shorter(key)] = value
    return folded


def _folded(state: Mapping[str, Tensor], gain_name: str, direction: Tensor) -> Tensor:
    if gain_name not in state:
        raise InvalidCheckpoint(f"The checkpoint lacks the tensor {gain_name}.")
    direction, gain = direction.float(), state[gain_name].float()
    if direction.dim() < 2 or gain.shape != (len(direction), *[1] * (direction.dim() - 1)):
        raise InvalidCheckpoint(f"The tensor {gain_name} does not fit its direction.")
    norm = direction.flatten(1).norm(dim=1).view_as(gain)
    weight: Tensor = direction * (gain / norm)
    return weight


def _shorter(key: str) -> str:
    return key.replace(".conv.conv", ".conv").replace(".convtr.convtr", ".convtr")


def _flow_checkpoint(
    place: Path | str, filename: str | None, cache_dir: Path | str | None
) -> Checkpoint:
    names = repositories.FLOW_FILES
    return checkpoints.read(
        repositories.locate(place, names, filename=filename, cache_dir=cache_dir)
    )


def _pointed_to(name: object) -> str:
    # a path from inside a file would let the file choose what is opened on this machine
    place = name.removeprefix(_POINTER) if isinstance(name, str) else ""
    if not repositories.is_hub_id(place):
        raise InvalidCheckpoint("The codec's file points to something that is no hub id.")
    return place


def _empty(kind: type[M], *args: Any, **settings: Any) -> M:
    # no random initialisation: for the full model it takes longer than reading the file
    with torch.device("meta"):
        return kind(*args, **settings)


def _filled(
    model: M,
    state: Mapping[str, Tensor],
    device: torch.device | str,
    *,
    dtype: torch.dtype = torch.float32,
) -> M:
    """Give the empty model its tensors, under exactly its names and shapes."""
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    for name in sorted({*expected, *state}):
        if name not in state:
            raise _misfit(f"{name} is missing")
        if name not in expected:
            raise _misfit(f"there is no place for {name}")
        if (found := state[name].shape) != expected[name]:
            raise _misfit(f"{name} is {list(found)} and not {list(expected[name])}")
    # one at a time to where it belongs: nothing but the mapped file is held beside it
    tensors = {
        name: value.to(device=device, dtype=torch.float32 if name.endswith(_WINDOW) else dtype)
        for name, value in state.items()
    }
    model.load_state_dict(tensors, strict=True, assign=True)
    return model.eval().requires_grad_(requires_grad=False)


def _misfit(what: str) -> InvalidCheckpoint:
    return InvalidCheckpoint(f"The checkpoint's tensors do not fit its configuration: {what}.")
