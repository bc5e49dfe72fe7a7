"""An opened audio file: what its header says, and its samples block by block.

`sndfile` and `containers` open files; this is what they open them to, and imports neither library.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Source:
    """Sound that has been opened and not yet decoded.

    Attributes:
        channels: as the header says.
        sample_rate: in Hz.
        length: samples a channel as the header says, or None where it does not; it may lie.
        is_exact: whether the header counts samples, rather than giving a rounded duration.
        blocks: `[n, C]` float32 each.
    """

    channels: int
    sample_rate: int
    length: int | None
    is_exact: bool
    blocks: Iterator[Block]
