"""What the product does with sound: one module a job kind, listed in `KINDS`."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from server import errors
from server.jobs.kind import JobSpec, Kind, Kinds, refusal_of
from server.kinds import continuation, generate, inpaint, picture, pull, suggest, transform

_MODULES: tuple[Kind, ...] = (
    transform,
    inpaint,
    continuation,
    generate,
    suggest,
    pull,
    picture,
)

KINDS: Kinds = {kind.NAME: kind for kind in _MODULES}
"""What workers can do."""

OFFERED: Kinds = {
    name: kind for name, kind in KINDS.items() if not getattr(kind, "IS_INTERNAL", False)
}
"""What clients may order."""


def kind_named(name: str) -> Kind:
    """Return a kind that clients may order.

    Raises:
        errors.InvalidInput: there is none of that name.
    """
    if name not in OFFERED:
        known = ", ".join(OFFERED)
        raise errors.InvalidInput(f"There is no job kind {name!r}; known: {known}.", field="kind")
    return OFFERED[name]


def parse(kind: Kind, parameters: Mapping[str, Any]) -> JobSpec:
    """Return the checked parameters of a kind.

    Raises:
        errors.InvalidInput: one is wrong; names the field, never repeats the value.
    """
    try:
        spec: JobSpec = kind.Spec.model_validate(parameters)
    except ValidationError as error:
        raise refusal_of(error) from error
    return spec
