"""Reads one file of presets, and says what is wrong with it.

Knows TOML and sentences; what a table may say is `schema`'s business, which files there are is that
of `catalog` and `folder`.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from variations.schema import Variation

_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a preset.

    Attributes:
        file: its name, without its folder.
        preset: which of the file's, None where the file as a whole is meant.
        key: where in the preset, with dots; None where the preset as a whole is meant.
        message: what is wrong there.
    """

    file: str
    preset: str | None
    key: str | None
    message: str

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        where = self.file
        where += f": preset {self.preset!r}" if self.preset is not None else ""
        where += f", key {self.key}" if self.key is not None else ""
        return f"{where}: {self.message}"


class PresetError(ValueError):
    """A preset table is wrong; the message names file, preset and key."""

    def __init__(
        self, file: str, message: str, *, preset: str | None = None, key: str | None = None
    ) -> None:
        """Take what `problem` shall say."""
        self.problem = Problem(file, preset, key, message)
        super().__init__(self.problem.sentence)


def read(path: Path) -> dict[str, Variation]:
    """Return the presets of a file by name, in its order.

    Raises:
        PresetError: it cannot be read, is not TOML, or one of its tables is not a valid preset.
    """
    return {name: _variation(path.name, name, table) for name, table in _tables(path).items()}


def _tables(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise PresetError(path.name, f"it cannot be read: {error.strerror}") from error
    if len(data) > _MOST_BYTES:
        raise PresetError(path.name, "it is too large for a file of presets")
    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # neither TOML nor UTF-8
        raise PresetError(path.name, f"not valid TOML: {error}") from error


def _variation(file: str, name: str, table: Any) -> Variation:
    if not isinstance(table, dict) or "name" in table:
        raise PresetError(file, "it must be a table without a key 'name'", preset=name)
    try:
        return Variation.model_validate({**table, "name": name})
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in wrong["loc"]) or "table"
        raise PresetError(file, _said(wrong), preset=name, key=key) from error


def _said(wrong: ErrorDetails) -> str:
    """Return what is wrong in a musician's words rather than a validator's."""
    if wrong["type"] == "extra_forbidden":
        return "there is no such key"
    if wrong["type"] == "missing":
        return "it must be there"
    return wrong["msg"].removeprefix("Value error, ")
