"""How long a result may be: as long as a sound that may be sent, so that it can be sent again."""

from server import errors
from server.kinds.insertions import ROUNDING_SECONDS


def check(seconds: float, *, most_seconds: float, field: str) -> None:
    """Refuse a result of more than so many seconds.

    Raises:
        errors.TooLong: names the field.
    """
    if seconds > most_seconds + ROUNDING_SECONDS:
        words = f"It would be {seconds:.1f} seconds long; {most_seconds:g} are the most here."
        raise errors.TooLong(words, field=field)
