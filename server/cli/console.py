"""How commands speak: plain lines, aligned tables, one bar, one sentence when something is wrong.

Results go to the standard output, complaints and the bar to the standard error.
"""

import sys
from collections.abc import Sequence
from typing import NoReturn

from tqdm import tqdm

REFUSED = 2
"""Exit code of a command that could not do what was asked."""

_BAR = "{desc:<13}{percentage:3.0f} % |{bar:40}| {elapsed}"


def say(text: str = "") -> None:
    """Write one line for the reader."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def complain(sentence: str) -> int:
    """Write one sentence about what is wrong and return the exit code that goes with it."""
    sys.stderr.write(f"{sentence}\n")
    return REFUSED


def table(rows: Sequence[Sequence[str]], *, indent: str = "  ", gap: str = "   ") -> str:
    """Return rows with their columns aligned; the last column is as long as it likes."""
    if not rows:
        return ""
    widths = [max(map(len, column)) for column in zip(*(row[:-1] for row in rows), strict=True)]
    lines = (
        gap.join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    )
    return "\n".join((indent + line).rstrip() for line in lines)


class Bar:
    """A progress bar for one job, drawn from the first news on; it names the stage."""

    def __init__(self) -> None:
        """Draw nothing yet."""
        self._bar: tqdm[NoReturn] | None = None

    def show(self, progress: float, stage: str) -> None:
        """Draw how far the job is (0 to 1); it never goes back."""
        if self._bar is None:
            self._bar = tqdm(total=100.0, bar_format=_BAR, desc=stage, miniters=1)
        self._bar.set_description_str(stage, refresh=False)
        self._bar.n = max(self._bar.n, round(100.0 * progress, 1))
        self._bar.refresh()

    def close(self) -> None:
        """Leave it as it is."""
        if self._bar is not None:
            self._bar.close()
