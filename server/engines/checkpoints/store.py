"""The weights that are here.

A folder of the store is named for its weights and holds

    flow.safetensors or lm.safetensors  codec.safetensors or codec/  text_encoder/  manifest.json

A directory that is named in the settings may hold the official files instead. Imports nothing
heavy and reads no more than the manifest and sizes: workers ask every few seconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from server import errors
from server.config import Settings
from server.engines.checkpoints import cards
from server.engines.checkpoints.cards import CARDS, NON_COMMERCIAL, PULL, Family, Scale
from server.engines.checkpoints.manifest import Checked, Manifest

_LIST = "`python -m server models list`"

VARIABLES = {
    Family.FLOW: "MELODYFLOW_MELODYFLOW_MODEL",
    Family.LANGUAGE: "MELODYFLOW_MUSICGEN_MODEL",
}
"""The settings that name the weights an engine plays with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Weights that are here.

    Attributes:
        name: what they are called.
        model: file of the flow or language model, converted or official.
        codec: file of the codec, converted or official, or the folder of one.
        text_encoder: directory of the text encoder.
        revision: commit they were pulled at; empty for those that were not.
        checksum: SHA-256 of the model's file; empty until `proven` where no manifest has it.
        licence: what their results stand under too.
    """

    name: str
    model: Path
    codec: Path
    text_encoder: Path
    revision: str = ""
    checksum: str = ""
    licence: str = NON_COMMERCIAL

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the networks."""
        codec = self.codec / "model.safetensors" if self.codec.is_dir() else self.codec
        return self.model, codec


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Why there are no weights, and what helps; both are sentences, and say no paths."""

    reason: str
    advice: str
    is_damaged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Weights of the store by what their manifest says."""

    name: str
    family: Family
    scale: Scale
    licence: str


def folder_of(settings: Settings, name: str) -> Path:
    """Return the folder of the store that weights of this name have."""
    return settings.weights_dir / name.replace("/", "--")


def find(settings: Settings, name: str, family: Family) -> Weights | Missing:
    """Return weights that a setting names, by sizes alone, or what is the matter.

    The name is looked up in the store first; a directory is taken as it is.
    """
    stored, given = folder_of(settings, name), Path(name)
    if stored.is_dir() and _has_any(stored):
        return find_in(stored, name, family)
    if given.is_dir():
        return find_in(given, given.name, family)
    return _absent(name, family)


def find_stored(settings: Settings, name: str, family: Family) -> Weights | Missing:
    """Return weights of the store that a stranger names: no directory is ever looked into."""
    if not cards.is_name(name):
        return Missing(reason="There are no weights of that name.", advice=f"Take one of {_LIST}.")
    stored = folder_of(settings, name)
    return find_in(stored, name, family) if _has_any(stored) else _absent(name, family)


def find_in(folder: Path, name: str, family: Family) -> Weights | Missing:
    """Return the weights in a folder, by sizes alone, or what is the matter with it."""
    manifest = Manifest.read(folder)
    if manifest is None:
        return _loose(folder, name, family)
    again = f"Run `{PULL} {manifest.name}`" if manifest.name in CARDS else "Convert them again"
    if resized := manifest.resized(folder):
        return Missing(
            reason=f"The weights {manifest.name} are damaged: {resized[0]} is gone or has another"
            " size than it had.",
            advice=f"{again}.",
            is_damaged=True,
        )
    found = _loose(folder, manifest.name, family)
    if isinstance(found, Missing):
        return found
    origin = manifest.origins.get("model")
    recorded = manifest.files.get(found.model.name)
    return replace(
        found,
        revision=origin.revision if origin else "",
        checksum=recorded.sha256 if recorded else "",
        licence=manifest.licence,
    )


def kept(settings: Settings) -> Iterator[Kept]:
    """Yield the weights of the store that are whole by sizes, in the order of their names."""
    folders = settings.weights_dir.iterdir() if settings.weights_dir.is_dir() else ()
    for folder in sorted(folders):
        manifest = Manifest.read(folder)
        if manifest is None or manifest.resized(folder):
            continue
        for family in Family:
            recorded = manifest.files.get(family.file)
            if recorded is not None and folder == folder_of(settings, manifest.name):
                known = CARDS.get(manifest.name)
                scale = known.scale if known else cards.scale_of(recorded.size)
                yield Kept(name=manifest.name, family=family, scale=scale, licence=manifest.licence)


def proven(found: Weights, settings: Settings) -> Weights:
    """Return the weights with the checksum of their model, having seen that it is right.

    A file is read once per change; what was found is remembered in the store.

    Raises:
        errors.EngineUnavailable: a file is not what it was when it was stored.
        errors.StorageFailed: a file cannot be read.
    """
    checked, folder = Checked(settings.weights_dir), found.model.parent
    manifest = Manifest.read(folder)
    for path in found.files:
        recorded = manifest.files.get(path.relative_to(folder).as_posix()) if manifest else None
        if recorded and checked.sha256_of(path) != recorded.sha256:
            raise errors.EngineUnavailable(
                f"The weights {found.name} are damaged: {path.name} is not what it was."
                f" Run `python -m server models verify`."
            )
    return replace(found, checksum=checked.sha256_of(found.model))


def files(settings: Settings, name: str, family: Family) -> list[Path]:
    """Return the files that weights of a name may consist of, whether they are there or not."""
    folder = folder_of(settings, name)
    folder = folder if folder.is_dir() else Path(name)
    names = (family.file, cards.CODEC, cards.OFFICIAL_MODEL, cards.OFFICIAL_CODEC)
    return [folder / each for each in (*names, f"{cards.POINTED_CODEC}/model.safetensors")]


def text_encoder_in(folder: Path) -> Path | None:
    """Return the directory of the text encoder inside a folder, or None."""
    places = (folder / name for name in (cards.TEXT_ENCODER, "t5"))
    return next((place for place in places if (place / "config.json").is_file()), None)


def pointed_codec_in(folder: Path) -> Path | None:
    """Return the directory of a codec of another repository inside a folder, or None."""
    place = folder / cards.POINTED_CODEC
    return place if (place / "model.safetensors").is_file() else None


def _absent(name: str, family: Family) -> Missing:
    known = CARDS.get(name)
    if known is not None and known.family is not family:
        return _of_another_kind(name)
    if known is not None:
        command = PULL if name == cards.DEFAULT else f"{PULL} {name}"
        return Missing(
            reason=f"The weights {name} are not on this machine.",
            advice=f"Run `{command}` ({known.size / 1e9:.1f} GB; {known.licence}).",
        )
    if family is Family.LANGUAGE and cards.is_repository(name):
        return Missing(
            reason=f"The weights {name} are not on this machine.",
            advice=f"If they are a finetune of MusicGen, run `{PULL} {name}`.",
        )
    return Missing(
        reason=f"{VARIABLES[family]} names weights that are not on this machine.",
        advice=f"Name a directory that holds them, or one of {_LIST}.",
    )


def _of_another_kind(name: str) -> Missing:
    return Missing(
        reason=f"The weights {name} are of another kind.", advice=f"Take one of {_LIST}."
    )


def _has_any(folder: Path) -> bool:
    names = (cards.FLOW, cards.LANGUAGE, cards.CODEC, cards.OFFICIAL_MODEL, "manifest.json")
    return any((folder / name).is_file() for name in names)


def _loose(folder: Path, name: str, family: Family) -> Weights | Missing:
    model = _first(folder, family.file, cards.OFFICIAL_MODEL)
    if model is None and any((folder / other.file).is_file() for other in Family):
        return _of_another_kind(name)
    codec = _codec_in(folder)
    text_encoder = text_encoder_in(folder)
    if model is None or codec is None:
        lacking = cards.OFFICIAL_MODEL if model is None else cards.OFFICIAL_CODEC
        return Missing(
            reason=f"The weights {name} are incomplete: there is no {lacking}.",
            advice=f"Put {lacking} beside the other files, or run `{PULL}`.",
        )
    if text_encoder is None:
        encoder = CARDS[cards.DEFAULT].text_encoder.repository
        return Missing(
            reason=f"The weights {name} have no text encoder.",
            advice=f"Put the files of {encoder} into the folder {cards.TEXT_ENCODER} beside them.",
        )
    return Weights(name=name, model=model, codec=codec, text_encoder=text_encoder)


def _codec_in(folder: Path) -> Path | None:
    return (
        _first(folder, cards.CODEC)
        or pointed_codec_in(folder)
        or _first(folder, cards.OFFICIAL_CODEC)
    )


def _first(folder: Path, *names: str) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)
