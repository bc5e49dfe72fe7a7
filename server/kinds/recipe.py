"""The recipe of a result: everything needed to make it again."""

import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from types import MappingProxyType
from typing import Any

from server.jobs.kind import JobSpec
from server.kinds import choices

_COUNTED = ("melodyflow", "numpy", "scipy", "onnxruntime", "soxr", "torch")
_UNKNOWN: Mapping[str, str] = MappingProxyType({})


def of(
    kind: str,
    spec: JobSpec,
    engine: str | None,
    *,
    model: Mapping[str, str] = _UNKNOWN,
    prompts: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the recipe of a job: its parameters, seed included, and all that computed it.

    The parameters are a valid order of the kind: what is made of them again is the same.
    `prompts` are the words of each result, since presets may get others.
    """
    return {
        "kind": kind,
        "parameters": spec.model_dump(mode="json"),
        "prompts": list(prompts),
        "engine": engine,
        "model": dict(model),
        "versions": {"python": platform.python_version(), **_versions()},
    }


def again(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the order that follows a recipe: by the same engine, and by the words of then."""
    parameters = {name: given for name, given in recipe["parameters"].items() if given is not None}
    prompts = recipe.get("prompts") or []
    if parameters.get("variations"):
        listed = zip(parameters["variations"], prompts, strict=False)
        parameters["variations"] = (
            [choices.worded(*each) for each in listed] if prompts else (parameters["variations"])
        )
    elif prompts:
        field = "prompt" if "prompt" in recipe["parameters"] else "custom_prompt"
        parameters |= choices.worded(parameters, prompts[0], field=field)
    if recipe.get("engine"):
        parameters["engine"] = recipe["engine"]
    return parameters


def _versions() -> dict[str, str]:
    found = {}
    for name in _COUNTED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
