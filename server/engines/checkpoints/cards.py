"""The weights that can be pulled, and the names of their files. Imports nothing heavy."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

OFFICIAL_MODEL = "state_dict.bin"
OFFICIAL_CODEC = "compression_state_dict.bin"

FLOW = "flow.safetensors"
LANGUAGE = "lm.safetensors"
CODEC = "codec.safetensors"

TEXT_ENCODER = "text_encoder"
POINTED_CODEC = "codec"
"""Folder of a codec that the official file only points to, as it lies in its own repository."""

POINTER = "//pretrained/"
"""What such a file may have before the name of the repository."""

NON_COMMERCIAL = "CC-BY-NC-4.0"

PULL = "python -m server models pull"

Scale = Literal["small", "medium", "large"]

_PART = r"\w[\w.-]*"


class Family(StrEnum):
    """What a network is, which decides the engine that plays with it."""

    FLOW = "flow"
    LANGUAGE = "language"

    @property
    def file(self) -> str:
        """The name of the model's file once it is converted."""
        return FLOW if self is Family.FLOW else LANGUAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEncoder:
    """The text encoder that goes with weights: a repository of its own, under a licence of its own.

    Attributes:
        files: what is fetched of it, as far as the repository has it.
        size: of these files together, in bytes, as far as known before asking.
    """

    repository: str
    licence: str
    files: tuple[str, ...]
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Weights that can be pulled.

    No commit is built in: the first pull resolves the repository's main branch, writes the commit
    and every checksum into the manifest, and every later pull keeps to that.

    Attributes:
        name: what they are called, which is also their repository.
        summary: one sentence for people.
        licence: identifier of the licence, and in `meaning` what it asks.
        sizes: of the official files, in bytes, as published; 0 where it was not looked up.
        scale: the class of its size, by which clients group.
    """

    name: str
    family: Family
    summary: str
    licence: str
    meaning: str
    sizes: Mapping[str, int]
    text_encoder: TextEncoder
    scale: Scale = "medium"

    @property
    def size(self) -> int:
        """Bytes to fetch for everything, as far as known before asking."""
        return sum(self.sizes.values()) + self.text_encoder.size


_T5_BASE = TextEncoder(
    repository="google-t5/t5-base",
    licence="Apache-2.0",
    files=(
        "config.json",
        "model.safetensors",
        "spiece.model",
        "tokenizer.json",
        "tokenizer_config.json",
    ),
    size=894_000_000,
)

_META = (
    "You may use these weights and what you make with them for anything but commercial"
    " purposes, and have to name Meta as their author."
)
_FINETUNE = (
    "Made from MusicGen, whose licence goes on: nothing commercial, and Meta is to be named; its"
    " page may ask for more."
)
_ENCODEC_BYTES = 236_000_000


def _musicgen(variant: str, scale: Scale, model_bytes: int, summary: str) -> Card:
    return Card(
        name=f"facebook/musicgen-{variant}",
        family=Family.LANGUAGE,
        summary=f"MusicGen, {summary}, windows of 30 s.",
        licence=NON_COMMERCIAL,
        meaning=_META,
        sizes={OFFICIAL_MODEL: model_bytes, OFFICIAL_CODEC: _ENCODEC_BYTES},
        text_encoder=_T5_BASE,
        scale=scale,
    )


def finetune(name: str) -> Card:
    """Return the card of a finetune of MusicGen in audiocraft's format, known by name alone."""
    return Card(
        name=name,
        family=Family.LANGUAGE,
        summary="A finetune of MusicGen in audiocraft's format.",
        licence=NON_COMMERCIAL,
        meaning=_FINETUNE,
        sizes={OFFICIAL_MODEL: 0, OFFICIAL_CODEC: _ENCODEC_BYTES},
        text_encoder=_T5_BASE,
        scale="small",
    )


_CARDS = (
    Card(
        name="facebook/melodyflow-t24-30secs",
        family=Family.FLOW,
        summary="MelodyFlow, 962 million parameters, 48 kHz stereo, windows of 30 s.",
        licence=NON_COMMERCIAL,
        meaning=_META,
        sizes={OFFICIAL_MODEL: 3_849_817_990, OFFICIAL_CODEC: 238_776_630},
        text_encoder=_T5_BASE,
    ),
    _musicgen("small", "small", 841_000_000, "420 million parameters, 32 kHz mono"),
    _musicgen("medium", "medium", 3_680_000_000, "1.8 billion parameters, 32 kHz mono"),
    _musicgen("large", "large", 6_510_000_000, "3.3 billion parameters, 32 kHz mono"),
    _musicgen("melody", "medium", 2_770_000_000, "1.4 billion parameters, follows a melody, mono"),
    _musicgen(
        "melody-large", "large", 4_900_000_000, "2.5 billion parameters, follows a melody, mono"
    ),
    _musicgen("stereo-small", "small", 874_000_000, "437 million parameters, 32 kHz stereo"),
    _musicgen("stereo-medium", "medium", 3_730_000_000, "1.9 billion parameters, 32 kHz stereo"),
    _musicgen("stereo-large", "large", 6_580_000_000, "3.3 billion parameters, 32 kHz stereo"),
)

CARDS: Mapping[str, Card] = {card.name: card for card in _CARDS}
"""Weights that can be pulled, by name."""

DEFAULT = _CARDS[0].name


def is_name(name: str) -> bool:
    """Tell whether weights can have this name: never a path that leads elsewhere."""
    return re.fullmatch(f"{_PART}(/{_PART})?", name, re.ASCII) is not None


def is_repository(name: str) -> bool:
    """Tell whether this can be the name of a repository, `owner/name`."""
    return is_name(name) and "/" in name


def card_of(name: str) -> Card | None:
    """Return the card of a name, known or that of a finetune; None if it is no repository's."""
    return CARDS.get(name) or (finetune(name) if is_repository(name) else None)


def offered(finetunes: Sequence[str]) -> Mapping[str, Card]:
    """Return the weights that callers may have fetched: the known ones, and these finetunes."""
    return {**CARDS, **{name: finetune(name) for name in finetunes if is_repository(name)}}


def scale_of(model_bytes: int) -> Scale:
    """Return the class of a language model by the size of its file, of 16-bit numbers."""
    if model_bytes < 1_500_000_000:
        return "small"
    return "medium" if model_bytes < 4_500_000_000 else "large"
