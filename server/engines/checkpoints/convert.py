"""Turns official files into safetensors: the same tensors, the configuration as JSON in the header.

Nothing of a file is executed. Tensors go from the mapped source to the disk one at a time, and the
result is read back and compared bit by bit before it takes its place.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from audiocraft.models import checkpoints, loaders
from audiocraft.models.checkpoints import Checkpoint, InvalidCheckpoint
from torch import Tensor

from server import errors
from server.engines.checkpoints import cards, store
from server.engines.checkpoints.cards import Family
from server.engines.checkpoints.manifest import (
    Checked,
    Manifest,
    OnBytes,
    Origin,
    Print,
    sha256_of,
    tell_nobody,
)

PRECISIONS: Mapping[str, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}

_CODES: Mapping[torch.dtype, str] = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""What safetensors calls a type."""

_Change = Callable[[Tensor], Tensor]

Put = Callable[[Path, Path], object]
"""Puts a file that is taken as it is where it belongs; there is none of that name there yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What weights are made with, beside their files.

    `precision` is what the model's matrices are narrowed to; None keeps every bit.
    """

    name: str
    precision: str | None = None
    licence: str = cards.NON_COMMERCIAL
    origins: Mapping[str, Origin] | None = None


def convert(
    source: Path,
    folder: Path,
    made: Made,
    *,
    on_bytes: OnBytes = tell_nobody,
    put: Put = shutil.copyfile,
) -> Manifest:
    """Convert a directory or one file into a folder of weights, and write its manifest.

    A text encoder inside the directory and a codec from another repository are `put` there as they
    are. What the folder had already and the source has not stays.

    Raises:
        errors.InvalidInput: there is nothing to convert, or it is no supported checkpoint.
        errors.StorageFailed: the result could not be written, or was not what was written.
    """
    with _sentences():
        parts = _parts(source)
        _refuse_another_kind(parts, made)
        folder.mkdir(parents=True, exist_ok=True)
        before = Manifest.read(folder)
        prints = dict(before.files) if before else {}
        for name, checkpoint in parts.items():
            narrowed = _narrowing(made.precision) if name != cards.CODEC else _same
            prints[name] = _stored(checkpoint, folder / name, narrowed, on_bytes)
        for name, place in _taken_as_they_are(source).items():
            prints |= _put_all(place, folder / name, put)
        manifest = Manifest(
            name=made.name,
            licence=made.licence,
            precision=_precision(parts, made) or (before.precision if before else "float32"),
            files=prints,
            origins=made.origins or {},
        )
        manifest.write(folder)
    checked = Checked(folder.parent)
    for name in parts:
        checked.note(folder / name, prints[name].sha256)
    return manifest


@contextmanager
def _sentences() -> Iterator[None]:
    """Say what goes wrong with checkpoints and disks in the words of the command line."""
    try:
        yield
    except InvalidCheckpoint as error:
        raise errors.InvalidInput(str(error)) from error
    except OSError as error:
        raise errors.StorageFailed(f"The weights could not be stored: {error.strerror}.") from error


def _parts(source: Path) -> dict[str, Checkpoint]:
    """Read what there is to convert and see that models can be built of it."""
    names = (cards.OFFICIAL_MODEL, cards.OFFICIAL_CODEC)
    files = [source / name for name in names] if source.is_dir() else [source]
    found = [checkpoints.read(path) for path in files if path.is_file()]
    if not found and not _taken_as_they_are(source):
        raise errors.InvalidInput(f"There is no {' and no '.join(names)} in {source.name}.")
    parts = {}
    for checkpoint in found:
        if checkpoint.pretrained is None:
            parts[_checked(checkpoint)] = checkpoint
        elif store.pointed_codec_in(source) is None:
            other = str(checkpoint.pretrained).removeprefix(cards.POINTER)
            raise errors.InvalidInput(
                f"The codec's file only points to {other}: put config.json and"
                f" model.safetensors from there into the folder {cards.POINTED_CODEC} beside it."
            )
    return parts


def _checked(checkpoint: Checkpoint) -> str:
    """Return what a file becomes, having seen that a model can be built of it."""
    if "transformer_lm" not in checkpoint.config:
        loaders.codec_from(checkpoint)
        return cards.CODEC
    if "codebooks_pattern" in checkpoint.config:
        loaders.lm_from(checkpoint, "meta")
        return Family.LANGUAGE.file
    loaders.dit_from(checkpoint)
    return Family.FLOW.file


def _refuse_another_kind(parts: Mapping[str, Checkpoint], made: Made) -> None:
    known = cards.CARDS.get(made.name)
    others = [family.file for family in Family if known and family is not known.family]
    if any(name in parts for name in others):
        raise errors.InvalidInput(
            f"These weights are not of the kind of {made.name}: give them a name of their own,"
            " --name NAME."
        )


def _precision(parts: Mapping[str, Checkpoint], made: Made) -> str | None:
    """Return what the matrices of the model are stored in, None where none was converted."""
    states = [parts[family.file].state for family in Family if family.file in parts]
    if not states or made.precision:
        return made.precision if states else None
    kinds = {tensor.dtype for tensor in states[0].values() if tensor.dim() > 1}
    return next((name for name, kind in PRECISIONS.items() if kind in kinds), "float32")


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _narrowing(precision: str | None) -> _Change:
    """Return what makes matrices narrower; vectors are few, and norms and statistics need them."""
    kind = PRECISIONS[precision or "float32"]

    def narrowed(tensor: Tensor) -> Tensor:
        is_matrix = sum(length > 1 for length in tensor.shape) > 1
        return tensor.to(kind) if is_matrix and tensor.is_floating_point() else tensor

    return narrowed if precision else _same


def _stored(checkpoint: Checkpoint, path: Path, change: _Change, on_bytes: OnBytes) -> Print:
    aside = path.with_name(f"new-{path.name}")
    try:
        found = write_safetensors(aside, checkpoint, change, on_bytes=on_bytes)
        _compare(checkpoint, checkpoints.read(aside), change)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return found


def write_safetensors(
    path: Path, checkpoint: Checkpoint, change: _Change = _same, *, on_bytes: OnBytes = tell_nobody
) -> Print:
    """Write a checkpoint as safetensors, tensor by tensor, and return the file's print.

    Raises:
        InvalidCheckpoint: a tensor is of a type that the format has not.
    """
    # widest types first, so that each starts where its type may be read from the mapped file
    names = sorted(checkpoint.state, key=lambda name: (-checkpoint.state[name].itemsize, name))
    head = _header(checkpoint, names, change)
    digest, size = hashlib.sha256(head), len(head)
    with path.open("wb") as file:
        file.write(head)
        for name in names:
            content = _bytes(change(checkpoint.state[name])).numpy().data
            file.write(content)
            digest.update(content)
            size += content.nbytes
            on_bytes(content.nbytes)
        file.flush()
        os.fsync(file.fileno())
    return Print(size=size, sha256=digest.hexdigest())


def _header(checkpoint: Checkpoint, names: list[str], change: _Change) -> bytes:
    config = json.dumps(checkpoint.config, default=str)
    entries: dict[str, Any] = {"__metadata__": {"format": "pt", checkpoints.CONFIG_KEY: config}}
    end = 0
    for name in names:
        shape = checkpoint.state[name].shape
        kind = change(checkpoint.state[name].to("meta")).dtype
        if kind not in _CODES:
            raise InvalidCheckpoint(f"The tensor {name} is of a type that cannot be stored.")
        start, end = end, end + shape.numel() * kind.itemsize
        entries[name] = {"dtype": _CODES[kind], "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def _compare(source: Checkpoint, result: Checkpoint, change: _Change) -> None:
    """Insist that the result is the source, bit by bit."""
    same = set(source.state) == set(result.state) and all(
        _is_same(change(value), result.state[name]) for name, value in source.state.items()
    )
    if not same or json.loads(json.dumps(source.config, default=str)) != result.config:
        raise errors.StorageFailed("What was written is not what was read; is the disk sound?")


def _is_same(one: Tensor, other: Tensor) -> bool:
    is_alike = one.dtype == other.dtype and one.shape == other.shape
    return is_alike and torch.equal(_bytes(one), _bytes(other))


def _taken_as_they_are(source: Path) -> dict[str, Path]:
    """Return the directories that are not converted, by the name of their folder in the store."""
    found = {
        cards.TEXT_ENCODER: store.text_encoder_in(source),
        cards.POINTED_CODEC: store.pointed_codec_in(source),
    }
    return {name: place for name, place in found.items() if place is not None}


def _put_all(source: Path, target: Path, put: Put) -> dict[str, Print]:
    """Put the files of a directory where they belong and return their prints."""
    prints = {}
    target.mkdir(exist_ok=True)
    for path in sorted(path for path in source.iterdir() if path.is_file()):
        place = target / path.name
        if place.resolve() != path.resolve():
            # never written over: other weights may have the very same file
            place.unlink(missing_ok=True)
            put(path, place)
        prints[f"{target.name}/{path.name}"] = Print(
            size=place.stat().st_size, sha256=sha256_of(place)
        )
    return prints
