"""The parts that weights are put together from, each a repository at a commit.

The model and, mostly, its codec lie in one repository; the text encoder in another. A codec's file
of a few bytes only points to a third. What several weights need is kept once: as hard links.
"""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from server import errors
from server.config import Settings
from server.engines.checkpoints import cards, hub
from server.engines.checkpoints.cards import CODEC, OFFICIAL_CODEC, OFFICIAL_MODEL, Card
from server.engines.checkpoints.hub import Listing, Remote
from server.engines.checkpoints.manifest import Manifest, Origin, Print, sha256_of

MODEL = "model"

POINTER_BYTES = 65_536
"""A codec's file that is smaller than this only points to another."""

_CODEC_FILES = ("config.json", "model.safetensors")
_NEEDED: Mapping[str, Sequence[str]] = {
    MODEL: (OFFICIAL_MODEL, OFFICIAL_CODEC),
    cards.TEXT_ENCODER: ("config.json", "model.safetensors"),
    cards.POINTED_CODEC: _CODEC_FILES,
}


def place(staging: Path, part: str) -> Path:
    """Return where the files of a part are kept as they came."""
    return staging if part == MODEL else staging / part


def listings(
    settings: Settings, card: Card, pinned: Mapping[str, Origin], *, revision: str | None = None
) -> dict[str, Listing]:
    """Return what the hub has of each part, at the commits that will be recorded.

    A commit is the one that was asked for, else the one recorded, else that of other weights here
    that have the same part, else the newest.

    Raises:
        errors.Unavailable: the hub cannot be reached.
        errors.InvalidInput: it has not what is needed.
    """

    def listed(part: str, repository: str, asked: str | None = None) -> Listing:
        origin = pinned.get(part)
        known = origin.revision if origin and origin.repository == repository else None
        others = (each.revision for _, each in _elsewhere(settings, repository))
        found = hub.listing(repository, asked or known or next(others, "main"))
        _refuse_incomplete(part, found)
        return found

    model = listed(MODEL, card.name, revision)
    found = {
        MODEL: model,
        cards.TEXT_ENCODER: listed(cards.TEXT_ENCODER, card.text_encoder.repository),
    }
    if (repository := _pointed_to(model, pinned)) is not None:
        found[cards.POINTED_CODEC] = listed(cards.POINTED_CODEC, repository)
    return found


def wanted(
    card: Card, part: str, listing: Listing, origin: Origin | None, damaged: Sequence[str]
) -> list[Remote]:
    """Return the files of a part to fetch: all that are new, and those that are damaged."""
    is_new = origin is None or origin.revision != listing.revision
    if part != MODEL:
        # all or nothing: its files mean little without each other
        names = card.text_encoder.files if part == cards.TEXT_ENCODER else _CODEC_FILES
        is_hurt = any(name.startswith(f"{part}/") for name in damaged)
        return listing.chosen(names) if is_new or is_hurt else []
    converted = {OFFICIAL_MODEL: card.family.file, OFFICIAL_CODEC: CODEC}
    files = listing.chosen(tuple(converted))
    return [each for each in files if is_new or converted[each.name] in damaged]


def borrow(
    settings: Settings, listing: Listing, files: Sequence[Remote], target: Path, *, but: Path
) -> None:
    """Link what other weights have of a repository at that commit, where it is intact.

    Raises:
        errors.StorageFailed: the disk is full.
    """
    lenders = [
        (place(folder, part), origin)
        for (folder, part), origin in _elsewhere(settings, listing.repository)
        if origin.revision == listing.revision and folder != but and part != MODEL
    ]
    for remote in files:
        for folder, origin in lenders:
            path, known = folder / remote.name, origin.files.get(remote.name)
            if known and not (target / remote.name).exists() and _is_intact(path, known):
                _link_safely(path, target / remote.name)


def link(path: Path, target: Path) -> None:
    """Give a file a second name, or copy it where there can be none."""
    try:
        os.link(path, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(path, target)


def _link_safely(path: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        link(path, target)
    except OSError as error:
        raise errors.StorageFailed(f"The weights could not be stored: {error.strerror}.") from error


def _is_intact(path: Path, known: Print) -> bool:
    is_there = path.is_file() and path.stat().st_size == known.size
    return is_there and sha256_of(path) == known.sha256


def _elsewhere(settings: Settings, repository: str) -> Iterator[tuple[tuple[Path, str], Origin]]:
    """Yield folder and part of what came from a repository, for all weights that are here."""
    folders = settings.weights_dir.iterdir() if settings.weights_dir.is_dir() else ()
    for folder in sorted(folders):
        manifest = Manifest.read(folder)
        for part, origin in (manifest.origins if manifest else {}).items():
            if origin.repository == repository:
                yield (folder, part), origin


def _refuse_incomplete(part: str, listing: Listing) -> None:
    there = {remote.name for remote in listing.files}
    if lacking := [name for name in _NEEDED[part] if name not in there]:
        raise errors.InvalidInput(f"{listing.repository} has no {lacking[0]}.")


def _pointed_to(listing: Listing, pinned: Mapping[str, Origin]) -> str | None:
    """Return the repository that a codec's file points to, None where it is a codec itself.

    Raises:
        errors.InvalidInput: it points to something that is no repository.
    """
    [remote] = listing.chosen((OFFICIAL_CODEC,))
    if remote.size >= POINTER_BYTES:
        return None
    model, codec = pinned.get(MODEL), pinned.get(cards.POINTED_CODEC)
    if model and model.revision == listing.revision:
        return codec.repository if codec else None
    with TemporaryDirectory() as folder:
        return _repository_in(hub.fetch(listing, remote, Path(folder)))


def _repository_in(path: Path) -> str | None:
    # only a pull that meets a pointer needs the model library for it
    from audiocraft.models.checkpoints import InvalidCheckpoint, read  # noqa: PLC0415

    try:
        pointed = read(path).pretrained
    except InvalidCheckpoint as error:
        raise errors.InvalidInput(str(error)) from error
    if pointed is None:
        return None
    name = str(pointed).removeprefix(cards.POINTER)
    if not cards.is_repository(name):
        raise errors.InvalidInput("The codec's file points to something that is no repository.")
    return name
