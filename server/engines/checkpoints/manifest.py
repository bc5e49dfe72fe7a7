"""What a folder of weights holds and whether it still does: sizes, checksums, where it came from.

Knows nothing of what is in the files, and imports nothing heavy: workers ask every few seconds.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from server import errors

NAME = "manifest.json"
"""The file that tells of the others; it is written last, so a folder that has it is complete."""

_CHUNK = 1 << 22

OnBytes = Callable[[int], None]
"""Called with the number of bytes that were dealt with since the last call."""


def tell_nobody(count: int) -> None:
    """Be the `OnBytes` where nobody follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Print:
    """What a file is recognised by: its size in bytes and its SHA-256."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where files came from: a repository of the hub at one commit, and what was fetched there."""

    repository: str
    revision: str
    files: Mapping[str, Print]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The facts about a folder of weights.

    Attributes:
        name: what the weights are called.
        licence: what the model stands under.
        precision: of the flow model's matrices.
        files: prints by name relative to the folder.
        origins: by part (`model`, `text_encoder`); empty for what was converted from files at hand.
    """

    name: str
    licence: str
    precision: str = "float32"
    files: Mapping[str, Print] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return the manifest of a folder, or None where there is none that can be read."""
        try:
            facts = json.loads((folder / NAME).read_text("utf-8"))
            return cls(
                name=str(facts["name"]),
                licence=str(facts["licence"]),
                precision=str(facts["precision"]),
                files=_prints(facts["files"]),
                origins={
                    part: Origin(**each | {"files": _prints(each["files"])})
                    for part, each in facts["origins"].items()
                },
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, folder: Path) -> None:
        """Write it into a folder, whole or not at all."""
        _replace(folder / NAME, asdict(self))

    def resized(self, folder: Path) -> list[str]:
        """Return the names of files that are gone or have another size: cheap, not thorough."""
        return [name for name, each in self.files.items() if _size(folder / name) != each.size]

    def damaged(self, folder: Path, *, on_bytes: OnBytes = tell_nobody) -> list[str]:
        """Return the names of files that are not what they were, having read every byte."""
        resized = self.resized(folder)
        return [
            name
            for name, each in self.files.items()
            if name in resized or sha256_of(folder / name, on_bytes=on_bytes) != each.sha256
        ]


def _prints(facts: Mapping[str, Mapping[str, Any]]) -> dict[str, Print]:
    return {name: Print(**each) for name, each in facts.items()}


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def sha256_of(path: Path, *, on_bytes: OnBytes = tell_nobody) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    Raises:
        errors.StorageFailed: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                on_bytes(len(chunk))
    except OSError as error:
        raise errors.StorageFailed(f"{path.name} cannot be read: {error.strerror}.") from error
    return digest.hexdigest()


class Checked:
    """Remembers checksums by size and time of change, so that a file is read once per change."""

    def __init__(self, weights_dir: Path) -> None:
        """Remember in the store itself; where that cannot be written, nothing is remembered."""
        self._file = weights_dir / "checked.json"

    def sha256_of(self, path: Path) -> str:
        """Return the SHA-256 of a file, read only if it has changed since the last time.

        Raises:
            errors.StorageFailed: it cannot be read.
        """
        known, place = self._known(), str(path.resolve())
        stamp = _stamp(path)
        kept = known.get(place)
        if isinstance(kept, dict) and kept.get("stamp") == stamp:
            return str(kept.get("sha256"))
        found = sha256_of(path)
        self._remember(known | {place: {"stamp": stamp, "sha256": found}})
        return found

    def note(self, path: Path, sha256: str) -> None:
        """Remember what was found while the file was written."""
        self._remember(
            self._known() | {str(path.resolve()): {"stamp": _stamp(path), "sha256": sha256}}
        )

    def _known(self) -> dict[str, Any]:
        try:
            known = json.loads(self._file.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def _remember(self, known: Mapping[str, Any]) -> None:
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            _replace(self._file, known)


def _stamp(path: Path) -> list[int]:
    try:
        found = path.stat()
    except OSError as error:
        raise errors.StorageFailed(f"{path.name} cannot be read: {error.strerror}.") from error
    return [found.st_size, found.st_mtime_ns]


def _replace(path: Path, facts: Mapping[str, Any]) -> None:
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    aside.replace(path)
