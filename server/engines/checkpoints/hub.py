"""Fetches files of a hub repository at one commit, goes on where it stopped, and believes nothing.

The hub's own library says where files are and with which headers; their bytes are fetched here,
because a download that was broken off has to go on in the next process too.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import requests
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from server import errors
from server.engines.checkpoints.manifest import OnBytes, sha256_of, tell_nobody

TRIES = 5
"""How often in a row a download may break off without a byte before it is given up."""

PAUSE_SECONDS = 1.0

CHUNK = 1 << 16
"""Bytes taken at a time; what has come of one is lost when a download breaks off."""

_TIMEOUT_SECONDS = (10.0, 60.0)

# its bases are OSError and whatever the library's HTTP client raises without a network
_UNREACHABLE = cast("tuple[type[Exception], ...]", HfHubHTTPError.__bases__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A file as the hub declares it.

    Attributes:
        sha256: of the content; empty for small files, of which only `git_sha1` is declared.
        git_sha1: SHA-1 of git's blob of it.
    """

    name: str
    size: int
    sha256: str = ""
    git_sha1: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The files of a repository at one commit."""

    repository: str
    revision: str
    files: tuple[Remote, ...]

    def chosen(self, names: Sequence[str]) -> list[Remote]:
        """Return the files of these names, as far as there are any."""
        return [each for each in self.files if each.name in names]


def listing(repository: str, revision: str = "main") -> Listing:
    """Return what a repository holds; a branch is resolved to its commit.

    Raises:
        errors.Unavailable: there is no network, or the hub is down.
        errors.InvalidInput: there is no such repository or revision, or it is closed.
    """
    try:
        found = HfApi().model_info(repository, revision=revision, files_metadata=True)
    except GatedRepoError as error:
        raise errors.InvalidInput(
            f"{repository} is only for those who have accepted its terms: accept them on its page,"
            " then run `hf auth login`."
        ) from error
    except RevisionNotFoundError as error:
        raise errors.InvalidInput(f"{repository} has no revision {revision}.") from error
    except RepositoryNotFoundError as error:
        raise errors.InvalidInput(f"There is no repository {repository}.") from error
    except _UNREACHABLE as error:
        raise errors.Unavailable(f"The hub that has {repository} cannot be reached.") from error
    return Listing(
        repository=repository,
        revision=found.sha or revision,
        files=tuple(
            Remote(
                name=each.rfilename,
                size=each.size or 0,
                sha256=each.lfs.sha256 if each.lfs else "",
                git_sha1=each.blob_id or "",
            )
            for each in found.siblings or ()
        ),
    )


def fetch(where: Listing, remote: Remote, folder: Path, *, on_bytes: OnBytes = tell_nobody) -> Path:
    """Fetch a file into a folder, going on where an earlier call stopped, and check it.

    `on_bytes` is told of bytes that are there already as well.

    Raises:
        errors.Unavailable: it broke off again and again; what came stays for the next call.
        errors.StorageFailed: what came is not what the hub declares; it is thrown away.
    """
    path = folder / remote.name
    part = path.with_name(f"{path.name}.part")
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        on_bytes(min(_held(part), remote.size))
        _fetch_all(where, remote, part, on_bytes)
        part.replace(path)
    else:
        on_bytes(remote.size)
    if not _is_declared(path, remote):
        path.unlink()
        raise errors.StorageFailed(
            f"{remote.name} is not what the hub declares: its checksum differs. It was thrown"
            " away; please try again."
        )
    return path


def held(where: Path, remote: Remote) -> int:
    """Return how many bytes of a file are in a folder already."""
    path = where / remote.name
    return remote.size if path.is_file() else _held(path.with_name(f"{path.name}.part"))


def _held(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _fetch_all(where: Listing, remote: Remote, part: Path, on_bytes: OnBytes) -> None:
    part.touch()
    tries = 0
    while (before := _held(part)) < remote.size:
        trouble: requests.RequestException | None = None
        try:
            _fetch_rest(where, remote, part, on_bytes)
        except requests.RequestException as error:
            trouble = error
        tries = tries + 1 if _held(part) <= before else 0
        if tries == TRIES or (trouble and _is_refused(trouble)):
            raise errors.Unavailable(
                f"Fetching {remote.name} of {where.repository} broke off. What has come is kept:"
                " the same command goes on from there."
            ) from trouble
        if trouble:
            time.sleep(PAUSE_SECONDS)


def _fetch_rest(where: Listing, remote: Remote, part: Path, on_bytes: OnBytes) -> None:
    start = _held(part)
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    url = hf_hub_url(where.repository, remote.name, revision=where.revision)
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as reply:
        reply.raise_for_status()
        is_rest = reply.status_code == requests.codes.partial_content
        if not is_rest:
            on_bytes(-start)
        with part.open("ab" if is_rest else "wb") as file:
            for chunk in reply.iter_content(CHUNK):
                file.write(chunk)
                on_bytes(len(chunk))


def _is_refused(error: requests.RequestException) -> bool:
    """Tell whether the answer was one that asking again does not change."""
    return error.response is not None and error.response.status_code in (401, 403, 404)


def _is_declared(path: Path, remote: Remote) -> bool:
    if path.stat().st_size != remote.size:
        return False
    if remote.sha256:
        return sha256_of(path) == remote.sha256
    content = path.read_bytes()  # small: what is large is declared by its SHA-256
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
    return not remote.git_sha1 or blob.hexdigest() == remote.git_sha1
