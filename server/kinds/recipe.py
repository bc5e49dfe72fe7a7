"""The recipe of a result: everything needed to make it again."""

import platform
from importlib import metadata
from typing import Any

from server.jobs.kind import JobSpec

_COUNTED = ("melodyflow", "numpy", "scipy", "onnxruntime", "soxr", "torch")


def of(kind: str, spec: JobSpec, engine: str | None) -> dict[str, Any]:
    """Return the recipe of a job: its parameters, its engine and the versions that computed it."""
    return {
        "kind": kind,
        "parameters": spec.model_dump(mode="json"),
        "engine": engine,
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
