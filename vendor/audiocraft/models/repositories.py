"""Finds the file a checkpoint's name stands for: a path, an address, or a repository of the hub.

Knows nothing of what is in the files.
"""

import hashlib
import os
import re
import urllib.error
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch

from audiocraft.models.checkpoints import InvalidCheckpoint

FLOW_FILES = ("flow.safetensors", "state_dict.bin")
"""What a flow model's file is called in a directory, best first."""

LM_FILES = ("lm.safetensors", "state_dict.bin")
"""What a language model's file is called in a directory, best first."""

CODEC_FILES = ("codec.safetensors", "compression_state_dict.bin")
"""What a codec's file is called in a directory, best first."""

TRANSFORMERS_FILES = ("config.json", "model.safetensors")
"""What the transformers library calls a model's files; the last one is the weights."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_ADDRESS = re.compile(r"https://|http://(localhost|127\.0\.0\.1)[:/]")


def locate(
    file_or_url_or_id: str | Path,
    names: Sequence[str],
    *,
    filename: str | None = None,
    cache_dir: str | Path | None = None,
) -> Path:
    """Return the local file, fetched if it has to be.

    Args:
        file_or_url_or_id: a directory, a file, an https address, or a hub id (`owner/name`).
        names: what the file may be called in a directory, best first; the last one is the official
            name, which is what a repository of the hub has.
        filename: what it is called instead.
        cache_dir: where fetched files are kept, instead of where torch or the hub's library do.

    Raises:
        InvalidCheckpoint: there is no such thing, or it cannot be fetched.
    """
    path, text = Path(file_or_url_or_id), str(file_or_url_or_id)
    if path.is_dir():
        return _in_directory(path, [filename] if filename else names)
    if path.is_file():
        return path
    cache = _cache(cache_dir)
    if _ADDRESS.match(text):
        return _from_address(text, cache)
    if isinstance(file_or_url_or_id, str) and is_hub_id(text):
        return from_hub(text, filename or names[-1], cache_dir=cache)
    raise InvalidCheckpoint(f"There is no {filename or names[-1]} at the given place.")


def locate_codec(
    file_or_url_or_id: str | Path,
    *,
    filename: str | None = None,
    cache_dir: str | Path | None = None,
) -> Path:
    """Return a codec's local file: one of its own names, or else the transformers library's.

    The arguments are those of `locate`.

    Raises:
        InvalidCheckpoint: there is no such thing, or it cannot be fetched.
    """
    path, text = Path(file_or_url_or_id), str(file_or_url_or_id)
    try:
        return locate(file_or_url_or_id, CODEC_FILES, filename=filename, cache_dir=cache_dir)
    except InvalidCheckpoint:
        if filename is None and path.is_dir():
            return _in_directory(path, (*CODEC_FILES, TRANSFORMERS_FILES[-1]))
        is_hub = filename is None and isinstance(file_or_url_or_id, str) and is_hub_id(text)
        found = _in_transformers_layout(text, cache_dir) if is_hub else None
        if found is None:
            raise  # what is missing first is what people know
    return found


def codec_pointed_to(repository: str, *, cache_dir: str | Path | None = None) -> Path:
    """Return the codec's file in a repository that another codec's file points to.

    Such files mean one that the transformers library wrote; of another kind is the second guess.

    Raises:
        InvalidCheckpoint: neither is on this machine or can be fetched.
    """
    if (found := _in_transformers_layout(repository, cache_dir)) is not None:
        return found
    try:
        return from_hub(repository, CODEC_FILES[-1], cache_dir=_cache(cache_dir))
    except InvalidCheckpoint as error:
        raise InvalidCheckpoint(
            f"The codec's file points to {repository}, which is not on this machine and cannot be"
            " fetched. Go online once, or name a directory that holds"
            f" {' and '.join(TRANSFORMERS_FILES)} of it instead."
        ) from error


def _in_transformers_layout(repository: str, cache_dir: str | Path | None) -> Path | None:
    """Return the weights of a repository, its configuration beside them, or None."""
    cache = _cache(cache_dir)
    try:
        return [from_hub(repository, name, cache_dir=cache) for name in TRANSFORMERS_FILES][-1]
    except InvalidCheckpoint:
        return None


def _cache(cache_dir: str | Path | None) -> str | Path | None:
    return cache_dir or os.environ.get("AUDIOCRAFT_CACHE_DIR")


def is_hub_id(text: str) -> bool:
    """Tell whether this can be the name of a repository: never an absolute or relative path."""
    return _HUB_ID.fullmatch(text) is not None


def _in_directory(folder: Path, names: Sequence[str]) -> Path:
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        raise InvalidCheckpoint(f"There is no {' or '.join(names)} at the given place.")
    return found


def _from_address(address: str, cache: str | Path | None) -> Path:
    folder = Path(cache) if cache else Path(torch.hub.get_dir()) / "checkpoints"
    digest = hashlib.sha256(address.encode()).hexdigest()[:16]
    name = address.partition("?")[0].rpartition("/")[2]
    path = folder / f"{digest}-{name}"
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(address, str(path), progress=False)  # whole or not at all
    except (urllib.error.URLError, OSError) as error:
        raise InvalidCheckpoint(f"{name} cannot be fetched from its address: {error}.") from error
    return path


def from_hub(repository: str, name: str, *, cache_dir: str | Path | None = None) -> Path:
    """Return a file of a repository, from the cache of the hub's library where it is there.

    Raises:
        InvalidCheckpoint: it is not there and cannot be fetched.
    """
    from huggingface_hub import hf_hub_download  # noqa: PLC0415 - directories need none of it
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415

    # its bases are OSError and whatever the library's HTTP client raises without a network
    unreachable = cast("tuple[type[Exception], ...]", HfHubHTTPError.__bases__)
    try:
        return Path(hf_hub_download(repository, name, cache_dir=cache_dir))
    except unreachable as error:
        raise InvalidCheckpoint(
            f"{name} of {repository} is not on this machine and cannot be fetched. Go online once,"
            f" or put {name} into a directory and name that directory instead."
        ) from error
