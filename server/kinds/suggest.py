"""Job kind `suggest`: where something could be put into a sound. It makes none itself."""

from typing import Annotated, Any

from pydantic import Field

from server import errors
from server.jobs.context import Context
from server.jobs.kind import JobSpec, Number
from server.kinds import recipe
from server.kinds.insertions import LONGEST_SECONDS, SHORTEST_SECONDS
from server.media.bounded import READERS

NAME = "suggest"
QUEUE = "audio"
SUMMARY = "Lists windows of a wanted length where something could be put, and says why."

MOST_SUGGESTIONS = 20


class Spec(JobSpec):
    """What a suggestion needs to know."""

    source: str = Field(description="Id of the artifact to find places in.")
    seconds: Annotated[
        Number, Field(ge=SHORTEST_SECONDS, le=LONGEST_SECONDS, allow_inf_nan=False)
    ] = Field(8.0, description="How long the windows shall be, give or take half a bar.")
    count: Annotated[int, Field(ge=1, le=MOST_SUGGESTIONS)] = Field(
        5, description="How many windows at most."
    )

    def check_source(self, seconds: float) -> None:
        """Refuse a source that is shorter than the window.

        Raises:
            errors.InvalidInput: with the field's name.
        """
        if self.seconds > seconds:
            words = f"The sound is {seconds:.3f} seconds long, shorter than the window wanted."
            raise errors.InvalidInput(words, field="seconds")


def run(spec: Spec, ctx: Context) -> None:
    """Decode, listen, choose."""
    # the web process imports this module for its Spec alone; scipy stays out of it
    from server.media import placement  # noqa: PLC0415

    ctx.report(0.02, stage="reading")
    source = READERS.decode(ctx.read(spec.source), max_seconds=ctx.source_seconds)
    ctx.report(0.2, stage="listening")
    found = placement.suggest(source, seconds=spec.seconds, count=spec.count)
    report: dict[str, Any] = {
        "suggestions": [each.as_dict() for each in found.windows],
        "bpm": None if found.bpm is None else round(found.bpm, 2),
        "seconds": source.seconds,
        "notices": list(found.notices),
    }
    ctx.conclude(seed=None, report=report, recipe=recipe.of(NAME, spec, None))
