"""What makes a module a job kind."""

from collections.abc import Mapping
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from server import errors
from server.jobs.context import Context


def _no_truth_value(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("expected a number, not a truth value")  # noqa: TRY004 - pydantic's kind
    return value


Number = Annotated[float, BeforeValidator(_no_truth_value)]
"""A number or a numeric string; JSON's `true` is neither."""


class JobSpec(BaseModel):
    """Base of every kind's parameters: frozen, and closed to unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def check_source(self, seconds: float) -> None:
        """Refuse what does not fit a source of that length.

        Raises:
            errors.InvalidInput: with the field's name.
        """

    def work_seconds(self, source_seconds: float | None) -> float | None:
        """Return how much audio there is to work on, which is what a job's time goes by."""
        return source_seconds

    def check_result(self, source_seconds: float | None, *, most_seconds: float) -> None:
        """Refuse what would make a result that is longer than sounds may be here.

        Raises:
            errors.TooLong: with the field's name.
        """


class Kind(Protocol):
    """A module with these names; `server.kinds.KINDS` lists them.

    It may also have a `CAPABILITY`, what it asks of an engine: then a job goes to the workers that
    have the best one, or the one that the field `engine` of its spec names. Where it has
    `IS_FOR_OPERATORS`, only an admin's key may order it; where it has `IS_INTERNAL`, no client may:
    the server does.
    """

    NAME: str
    QUEUE: str
    SUMMARY: str
    Spec: type[Any]

    def run(self, spec: Any, ctx: Context) -> None:
        """Do the job; what it stores goes through `ctx`."""
        ...


Kinds = Mapping[str, Kind]


def refusal_of(error: ValidationError) -> errors.InvalidInput:
    """Return the first thing found wrong as a sentence; it names the field and repeats no value."""
    problem = error.errors(include_input=False, include_url=False)[0]
    field = ".".join(str(part) for part in problem["loc"])
    return errors.InvalidInput(_sentence(field or "The body", problem), field=field or None)


def _sentence(field: str, problem: Mapping[str, Any]) -> str:
    said = str(problem["msg"])
    if problem["type"] == "missing":
        return f"{field} is missing."
    if problem["type"] == "extra_forbidden":
        return f"There is no field {field[:64]}."
    if said.startswith("Input should "):
        return f"{field} must {said.removeprefix('Input should ')}."
    return f"{field}: {said.removeprefix('Value error, ')}."
