"""The recipe of a result: everything needed to make it again."""

import platform
from collections.abc import Mapping
from importlib import metadata
from types import MappingProxyType
from typing import Any

from server.jobs.kind import JobSpec

_COUNTED = ("melodyflow", "numpy", "scipy", "onnxruntime", "soxr", "torch")
_UNKNOWN: Mapping[str, str] = MappingProxyType({})


def of(
    kind: str, spec: JobSpec, engine: str | None, *, model: Mapping[str, str] = _UNKNOWN
) -> dict[str, Any]:
    """Return the recipe of a job: its parameters, seed included, and all that computed it.

    The parameters are a valid order of the kind: what is made of them again is the same.
    """
    return {
        "kind": kind,
        "parameters": spec.model_dump(mode="json"),
        "engine": engine,
        "model": dict(model),
        "versions": {"python": platform.python_version(), **_versions()},
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _COUNTED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
