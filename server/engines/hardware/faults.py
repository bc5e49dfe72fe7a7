"""What the errors of torch and CUDA mean, read from their messages; torch itself is not needed."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """Memory that was not there, as far as the error tells."""

    needed_mb: float | None = None
    free_mb: float | None = None

    def __str__(self) -> str:
        needed = "?" if self.needed_mb is None else f"{self.needed_mb:.0f}"
        free = "?" if self.free_mb is None else f"{self.free_mb:.0f}"
        return f"{needed} MB needed, {free} MB free"


_SHORT = re.compile(
    r"out of memory|can't allocate memory|not enough memory|(CUBLAS|CUDNN)_STATUS_ALLOC_FAILED"
    r"|unable to find a valid cuDNN algorithm",
    re.IGNORECASE,
)
_NEEDED = re.compile(r"tried to allocate ([\d.]+) ?(bytes|KiB|MiB|GiB)", re.IGNORECASE)
_FREE = re.compile(r"of which ([\d.]+) ?(bytes|KiB|MiB|GiB) is free", re.IGNORECASE)
_MEGABYTES = {"bytes": 2.0**-20, "kib": 2.0**-10, "mib": 1.0, "gib": 1024.0}

_FATAL = re.compile(
    r"CUDA error|CUBLAS_STATUS_|CUDNN_STATUS_(INTERNAL_ERROR|EXECUTION_FAILED|MAPPING_ERROR)"
    r"|device-side assert|illegal memory access|unspecified launch failure|device (is )?lost"
    r"|fallen off the bus|uncorrectable ECC|no CUDA-capable device",
    re.IGNORECASE,
)


def shortage_of(error: BaseException) -> Shortage | None:
    """Return how much memory was missing, or None if the error is of another kind."""
    message = str(error)
    is_short = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if not is_short and not (isinstance(error, RuntimeError) and _SHORT.search(message)):
        return None
    return Shortage(needed_mb=_amount(_NEEDED, message), free_mb=_amount(_FREE, message))


def is_fatal(error: BaseException) -> bool:
    """Whether the error leaves the card of no use to this process: only a fresh one may go on."""
    if not isinstance(error, RuntimeError) or shortage_of(error) is not None:
        return False
    return type(error).__name__ == "AcceleratorError" or bool(_FATAL.search(str(error)))


def _amount(pattern: re.Pattern[str], message: str) -> float | None:
    found = pattern.search(message)
    return float(found[1]) * _MEGABYTES[found[2].lower()] if found else None
