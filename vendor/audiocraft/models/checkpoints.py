"""Reads checkpoint files without executing anything that is in them.

An official file is a `torch.save` of a dict with `best_state` and `xp.cfg`, the latter YAML text or
a pickled OmegaConf tree. It is read with `weights_only=True`; the ten classes such a tree consists
of are replaced by inert stand-ins, and every other class is refused.

The other form is safetensors: the same tensors by the same names, and the configuration as JSON,
under `config` in the header, in a `.json` file of its name beside it or in a `config.json`.
Tensors of both forms are mapped, not read: a file's bytes come into memory when they are first
used.
"""

import collections
import json
import re
import struct
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import safetensors
import torch
import yaml
from torch import Tensor

CONFIG_KEY = "config"
"""Where a safetensors header keeps the configuration, as JSON."""


class InvalidCheckpoint(ValueError):
    """The file is no checkpoint of a supported kind."""


@dataclass(frozen=True)
class Checkpoint:
    """The contents of one file.

    Attributes:
        state: tensors by their official names.
        config: plain dicts and lists; interpolations are still text.
        pretrained: where the real weights are, for a file that only points to others.
    """

    state: Mapping[str, Tensor]
    config: Mapping[str, Any]
    pretrained: str | None = None

    def section(self, path: str) -> Mapping[str, Any]:
        """Return a sub-tree with its interpolations resolved; nothing outside it is looked at.

        Raises:
            InvalidCheckpoint: there is no such section, or an interpolation leads nowhere.
        """
        try:
            value = resolve(self.config, lookup(self.config, path))
        except RecursionError as error:  # a tree that contains itself
            raise InvalidCheckpoint(f"The checkpoint's section {path} has no end.") from error
        if not isinstance(value, Mapping):
            raise InvalidCheckpoint(f"The checkpoint's configuration has no section {path}.")
        return value


class _Inert:
    """Stands in for an OmegaConf class: keeps its state, does nothing."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def _stand_in(name: str) -> type[_Inert]:
    return type(name, (_Inert,), {})


_OMEGACONF = {
    "omegaconf.dictconfig.DictConfig": _stand_in("DictConfig"),
    "omegaconf.listconfig.ListConfig": _stand_in("ListConfig"),
    "omegaconf.nodes.AnyNode": _stand_in("AnyNode"),
    "omegaconf.base.Metadata": _stand_in("Metadata"),
    "omegaconf.base.ContainerMetadata": _stand_in("ContainerMetadata"),
}
_ALLOWED: list[Any] = [
    *((kind, name) for name, kind in _OMEGACONF.items()),
    (typing.Any, "typing.Any"),
    *((kind, f"builtins.{kind.__name__}") for kind in (dict, list, int)),
    (collections.defaultdict, "collections.defaultdict"),
]

_DAMAGE = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, OSError),
    *(RuntimeError, TypeError, ValueError, UnpicklingError, struct.error),
)
"""What a reader of pickles runs into where a file is damaged; a wrong byte can be any opcode."""


def read(path: Path) -> Checkpoint:
    """Read a `.bin` or `.safetensors` file.

    Raises:
        InvalidCheckpoint: it is damaged, of another kind, or contains anything but tensors and
        settings.
    """
    checkpoint = _read_safetensors(path) if path.suffix == ".safetensors" else _read_bin(path)
    if not isinstance(checkpoint.config, Mapping):
        raise InvalidCheckpoint(f"{path.name} has no configuration that can be read.")
    if not all(isinstance(name, str) and _is_usual(t) for name, t in checkpoint.state.items()):
        raise InvalidCheckpoint(f"{path.name} holds something else among its tensors.")
    return checkpoint


def _read_bin(path: Path) -> Checkpoint:
    try:
        with torch.serialization.safe_globals(_ALLOWED):
            package = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except _DAMAGE as error:
        raise InvalidCheckpoint(f"{path.name} cannot be read as a checkpoint.") from error
    if not isinstance(package, dict) or not ({"best_state", "pretrained"} & set(package)):
        raise InvalidCheckpoint(f"{path.name} is not a checkpoint of this kind.")
    state, config = package.get("best_state", {}), package.get("xp.cfg", "{}")
    if not isinstance(state, Mapping):
        raise InvalidCheckpoint(f"{path.name} holds no tensors by name.")
    return Checkpoint(
        state=state,
        config=_settings(config, path),
        pretrained=package.get("pretrained"),
    )


def _is_usual(value: Any) -> bool:
    """Tell whether this is a tensor of plain real numbers in memory."""
    is_tensor = isinstance(value, Tensor) and value.layout == torch.strided
    return (
        is_tensor and value.device.type == "cpu" and not (value.is_complex() or value.is_quantized)
    )


def _settings(config: Any, path: Path) -> Any:
    """Return the configuration of YAML text or a pickled tree."""
    try:
        return yaml.safe_load(config) if isinstance(config, str) else _plain(config)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # 2001-99-99 is a ValueError
        raise InvalidCheckpoint(f"{path.name} has no configuration that can be read.") from error


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
            text = (file.metadata() or {}).get(CONFIG_KEY)
        own = path.with_suffix(".json")
        beside = own if own.is_file() else path.with_name("config.json")
        config = json.loads(beside.read_text("utf-8") if text is None else text)
    except (safetensors.SafetensorError, OSError, ValueError, RecursionError) as error:
        raise InvalidCheckpoint(f"{path.name} cannot be read as a checkpoint.") from error
    return Checkpoint(state=state, config=config)


def _plain(node: Any) -> Any:
    """Turn the pickled tree into dicts, lists and values."""
    if not isinstance(node, _Inert):
        return node
    content = node.__dict__.get("_content", node.__dict__.get("_val"))
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_plain(value) for value in content]
    return content


def lookup(config: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path, None where there is none."""
    value: Any = config
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return value


def resolve(config: Mapping[str, Any], value: Any, *, depth: int = 0) -> Any:
    """Replace `${dotted.path}` by what it names, recursively.

    Raises:
        InvalidCheckpoint: it names nothing, or itself.
    """
    if isinstance(value, Mapping):
        return {key: resolve(config, item, depth=depth) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(config, item, depth=depth) for item in value]
    if isinstance(value, str) and (name := re.fullmatch(r"\$\{([\w.]+)\}", value)):
        found = lookup(config, name[1])
        if found is None or depth > 8:  # deeper is a circle
            raise InvalidCheckpoint(f"The checkpoint's configuration cannot resolve {value}.")
        return resolve(config, found, depth=depth + 1)
    return value
