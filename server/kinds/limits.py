"""How long a result may be: as long as a sound that may be sent, so that it can be sent again."""

from typing import Annotated

from pydantic import Field

from server import errors
from server.jobs.kind import Number
from server.kinds.insertions import ROUNDING_SECONDS

SHORTEST_SECONDS = 0.25
LONGEST_SECONDS = 3600.0

Length = Annotated[Number, Field(ge=SHORTEST_SECONDS, le=LONGEST_SECONDS, allow_inf_nan=False)]
"""Of music that is asked for."""

Prompted = Annotated[Number, Field(ge=1.0, le=30.0, allow_inf_nan=False)]
"""How much an engine hears before it goes on: a second, or all that a network hears at once."""

MOST_TAKES = 4

Takes = Annotated[int, Field(ge=1, le=MOST_TAKES)]
"""How often music may be played until it does not stop by itself."""


def check(seconds: float, *, most_seconds: float, field: str) -> None:
    """Refuse a result of more than so many seconds.

    Raises:
        errors.TooLong: names the field.
    """
    if seconds > most_seconds + ROUNDING_SECONDS:
        words = f"It would be {seconds:.1f} seconds long; {most_seconds:g} are the most here."
        raise errors.TooLong(words, field=field)
