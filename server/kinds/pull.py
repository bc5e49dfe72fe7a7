"""Job kind `pull`: fetches the weights of a network. It makes no sound."""

from typing import Annotated

from pydantic import Field

from server.jobs.context import Context
from server.jobs.kind import JobSpec
from server.kinds import recipe

NAME = "pull"
QUEUE = "audio"
SUMMARY = "Fetches weights of a network; asking for them is agreeing to their licence."

IS_FOR_OPERATORS = True
"""It fills the disk and agrees to terms: where keys are asked for, an admin's is needed."""


class Spec(JobSpec):
    """Which weights."""

    name: Annotated[str, Field(max_length=200, pattern=r"^[\w][\w.-]*/[\w][\w.-]*$")] = Field(
        description="A name of models list, or one of MELODYFLOW_MUSICGEN_FINETUNES."
    )


def run(spec: Spec, ctx: Context) -> None:
    """Fetch, check, convert; what has come when it is stopped stays for the next time."""
    ctx.report(0.0, stage="looking")
    facts = ctx.pull(spec.name)
    ctx.conclude(seed=None, report=dict(facts), recipe=recipe.of(NAME, spec, None))
