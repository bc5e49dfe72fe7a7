"""Gives memory that is free inside this process back to the machine."""

import ctypes
from collections.abc import Callable
from functools import lru_cache


def trim() -> None:
    """Return free memory to the machine where the C library can do that (glibc); else do nothing.

    Arrays of a few megabytes come and go between small things that stay, and leave gaps that the
    library keeps. It takes a few milliseconds.
    """
    _trimmer()(0)


@lru_cache(maxsize=1)
def _trimmer() -> Callable[[int], object]:
    try:
        trimmer: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return lambda _kept_bytes: None
    return trimmer
