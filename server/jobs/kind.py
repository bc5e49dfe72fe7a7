"""What makes a module a job kind."""

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from server.jobs.context import Context


class JobSpec(BaseModel):
    """Base of every kind's parameters: frozen, and closed to unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Kind(Protocol):
    """A module with these names; `server.kinds.KINDS` lists them."""

    NAME: str
    QUEUE: str
    SUMMARY: str
    Spec: type[Any]

    def run(self, spec: Any, ctx: Context) -> None:
        """Do the job; what it stores goes through `ctx`."""
        ...


Kinds = Mapping[str, Kind]
