"""Presets of somebody's own folder, read again as its files change, appear and go.

Nobody watches the folder: whoever asks for the presets causes a look at it, at most once a second.
A file is taken whole or not at all. One that is wrong is a `Problem`; what it said while it was
still right goes on being true.
"""

import logging
import stat
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from types import MappingProxyType

from variations.schema import Variation
from variations.tables import PresetError, Problem, read

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How old an answer may be."""

Stamp = tuple[int, int, int]
"""Of a version of a file: when it was changed, its size, and which file it is."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """The folder's presets by name, and what is wrong there."""

    presets: Mapping[str, Variation] = field(default_factory=lambda: MappingProxyType({}))
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class _File:
    """One file: the version looked at, the last good presets, and what is wrong with it now."""

    stamp: Stamp
    presets: Mapping[str, Variation]
    problem: Problem | None = None


class PresetFolder:
    """The presets of a folder; one that does not exist has none."""

    def __init__(
        self,
        path: Path,
        *,
        taken: Collection[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look at nothing yet; `taken` are names that no preset of the folder can have."""
        self.path = path
        self._taken, self._clock = taken, clock
        self._files: dict[str, _File] = {}
        self._shelf = Shelf()
        self._looked_at: float | None = None
        self._lock = Lock()

    def shelf(self) -> Shelf:
        """Return what there is now, the very same object while nothing has changed."""
        with self._lock:
            now = self._clock()
            if self._looked_at is None or now - self._looked_at >= LOOK_SECONDS:
                self._look()
                self._looked_at = now
            return self._shelf

    def _look(self) -> None:
        try:
            stamps = _stamps(self.path)
        except OSError as error:
            self._keep(f"the folder cannot be read: {error.strerror}")
            return
        if stamps != {name: file.stamp for name, file in self._files.items()}:
            self._files = {name: self._read(name, stamp) for name, stamp in stamps.items()}
        self._show(self._joined())

    def _keep(self, message: str) -> None:
        """Go on with what is known, and say why."""
        self._show(replace(self._joined(), problems=(Problem("*.toml", None, None, message),)))

    def _read(self, name: str, stamp: Stamp) -> _File:
        known = self._files.get(name)
        if known is not None and known.stamp == stamp:
            return known
        try:
            return _File(stamp, read(self.path / name))
        except PresetError as error:
            return _File(stamp, known.presets if known else {}, error.problem)

    def _joined(self) -> Shelf:
        presets: dict[str, Variation] = {}
        problems: list[Problem] = []
        for name, file in self._files.items():
            problems += [file.problem] if file.problem is not None else []
            for preset, variation in file.presets.items():
                message = self._why_not(preset, presets)
                if message:
                    problems.append(Problem(name, preset, None, message))
                else:
                    presets[preset] = variation
        return Shelf(MappingProxyType(presets), tuple(problems))

    def _why_not(self, preset: str, presets: Mapping[str, Variation]) -> str:
        if preset in self._taken:
            return "this name is taken by a preset that comes with the server; choose another"
        return "another file has a preset of this name" if preset in presets else ""

    def _show(self, shelf: Shelf) -> None:
        """Put up what is new, and tell the log of problems once."""
        if shelf == self._shelf:
            return
        for problem in shelf.problems:
            if problem not in self._shelf.problems:
                log.warning("preset: %s", problem.sentence)
        self._shelf = shelf


def _stamps(folder: Path) -> dict[str, Stamp]:
    """Return the files of a folder that hold presets, by name.

    Raises:
        OSError: it is no folder, or cannot be read; a folder that is not there is an empty one.
    """
    stamps = {}
    try:
        names = sorted(path.name for path in folder.iterdir() if path.suffix == ".toml")
    except FileNotFoundError:
        return {}
    for name in names:
        try:
            found = (folder / name).stat()
        except FileNotFoundError:  # it went while we looked
            continue
        if stat.S_ISREG(found.st_mode) and not name.startswith("."):
            stamps[name] = (found.st_mtime_ns, found.st_size, found.st_ino)
    return stamps
