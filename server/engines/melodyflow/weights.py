"""The weights there are, and those that are here.

A folder of the store is named for its weights and holds

    flow.safetensors  codec.safetensors  text_encoder/  manifest.json

A directory that is named in the settings may hold the official files instead. Imports nothing
heavy and reads no more than the manifest and sizes: workers ask every few seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from server import errors
from server.config import Settings
from server.engines.melodyflow.manifest import Checked, Manifest

FLOW = "flow.safetensors"
CODEC = "codec.safetensors"
TEXT_ENCODER = "text_encoder"

OFFICIAL_FLOW = "state_dict.bin"
OFFICIAL_CODEC = "compression_state_dict.bin"

NON_COMMERCIAL = "CC-BY-NC-4.0"

PULL = "python -m server models pull"


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
        sizes: of the official files, in bytes, as published.
    """

    name: str
    summary: str
    licence: str
    meaning: str
    sizes: Mapping[str, int]
    text_encoder: TextEncoder

    @property
    def size(self) -> int:
        """Bytes to fetch for everything."""
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

_CARDS = (
    Card(
        name="facebook/melodyflow-t24-30secs",
        summary="MelodyFlow, 962 million parameters, 48 kHz stereo, windows of 30 s.",
        licence=NON_COMMERCIAL,
        meaning=(
            "You may use these weights and what you make with them for anything but commercial"
            " purposes, and have to name Meta as their author."
        ),
        sizes={OFFICIAL_FLOW: 3_849_817_990, OFFICIAL_CODEC: 238_776_630},
        text_encoder=_T5_BASE,
    ),
)

CARDS: Mapping[str, Card] = {card.name: card for card in _CARDS}
"""Weights that can be pulled, by name."""

DEFAULT = _CARDS[0].name


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Weights that are here.

    Attributes:
        name: what they are called.
        flow: file of the flow model, converted or official.
        codec: file of the codec, converted or official.
        text_encoder: directory of the text encoder.
        revision: commit they were pulled at; empty for those that were not.
        checksum: SHA-256 of the flow model's file; empty until `proven` where no manifest has it.
        licence: what their results stand under too.
    """

    name: str
    flow: Path
    codec: Path
    text_encoder: Path
    revision: str = ""
    checksum: str = ""
    licence: str = NON_COMMERCIAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Why there are no weights, and what helps; both are sentences, and say no paths."""

    reason: str
    advice: str
    is_damaged: bool = False


def folder_of(settings: Settings, name: str) -> Path:
    """Return the folder of the store that weights of this name have."""
    return settings.weights_dir / name.replace("/", "--")


def find(settings: Settings) -> Weights | Missing:
    """Return the weights that the settings name, by sizes alone, or what is the matter.

    The name is looked up in the store first; a directory is taken as it is.
    """
    name = settings.melodyflow_model
    stored, given = folder_of(settings, name), Path(name)
    if stored.is_dir() and _has_any(stored):
        return find_in(stored, name)
    if given.is_dir():
        return find_in(given, given.name)
    if name in CARDS:
        gigabytes = CARDS[name].size / 1e9
        return Missing(
            reason=f"The weights {name} are not on this machine.",
            advice=f"Run `{PULL}` ({gigabytes:.1f} GB; {CARDS[name].licence}).",
        )
    return Missing(
        reason="MELODYFLOW_MELODYFLOW_MODEL names weights that are not on this machine.",
        advice="Name a directory that holds them, or one of `python -m server models list`.",
    )


def find_in(folder: Path, name: str) -> Weights | Missing:
    """Return the weights in a folder, by sizes alone, or what is the matter with it."""
    manifest = Manifest.read(folder)
    if manifest is None:
        return _loose(folder, name)
    again = f"Run `{PULL} {manifest.name}`" if manifest.name in CARDS else "Convert them again"
    if resized := manifest.resized(folder):
        return Missing(
            reason=f"The weights {manifest.name} are damaged: {resized[0]} is gone or has another"
            " size than it had.",
            advice=f"{again}.",
            is_damaged=True,
        )
    found = _loose(folder, manifest.name)
    if isinstance(found, Missing):
        return found
    origin = manifest.origins.get("model")
    recorded = manifest.files.get(found.flow.name)
    return replace(
        found,
        revision=origin.revision if origin else "",
        checksum=recorded.sha256 if recorded else "",
        licence=manifest.licence,
    )


def proven(found: Weights, settings: Settings) -> Weights:
    """Return the weights with the checksum of their flow model, having seen that it is right.

    A file is read once per change; what was found is remembered in the store.

    Raises:
        errors.EngineUnavailable: a file is not what it was when it was stored.
        errors.StorageFailed: a file cannot be read.
    """
    checked = Checked(settings.weights_dir)
    manifest = Manifest.read(found.flow.parent)
    for path in (found.flow, found.codec):
        recorded = manifest.files.get(path.name) if manifest else None
        if recorded and checked.sha256_of(path) != recorded.sha256:
            raise errors.EngineUnavailable(
                f"The weights {found.name} are damaged: {path.name} is not what it was."
                f" Run `python -m server models verify`."
            )
    return replace(found, checksum=checked.sha256_of(found.flow))


def text_encoder_in(folder: Path) -> Path | None:
    """Return the directory of the text encoder inside a folder, or None."""
    places = (folder / name for name in (TEXT_ENCODER, "t5"))
    return next((place for place in places if (place / "config.json").is_file()), None)


def _has_any(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (FLOW, CODEC, OFFICIAL_FLOW, "manifest.json"))


def _loose(folder: Path, name: str) -> Weights | Missing:
    flow, codec = _first(folder, FLOW, OFFICIAL_FLOW), _first(folder, CODEC, OFFICIAL_CODEC)
    text_encoder = text_encoder_in(folder)
    if flow is None or codec is None:
        lacking = OFFICIAL_FLOW if flow is None else OFFICIAL_CODEC
        return Missing(
            reason=f"The weights {name} are incomplete: there is no {lacking}.",
            advice=f"Put {lacking} beside the other files, or run `{PULL}`.",
        )
    if text_encoder is None:
        encoder = CARDS[DEFAULT].text_encoder.repository
        return Missing(
            reason=f"The weights {name} have no text encoder.",
            advice=f"Put the files of {encoder} into the folder {TEXT_ENCODER} beside them.",
        )
    return Weights(name=name, flow=flow, codec=codec, text_encoder=text_encoder)


def _first(folder: Path, *names: str) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)
