"""Minds the memory of one engine: ladders of its kinds of work, and what a job leaves.

Knows nothing of networks: an engine says which ways there are to do a piece of work, best first.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from server import errors
from server.engines.hardware.device import CPU, DeviceMemory, Held
from server.engines.hardware.faults import is_fatal
from server.engines.hardware.ladder import Ladder, Rung

log = logging.getLogger(__name__)

T = TypeVar("T")


class WorkingMemory:
    """What one engine may use, and how it makes do with less. One thread uses it."""

    def __init__(self, held: Held | None = None, *, device: DeviceMemory | None = None) -> None:
        """Take the place to give up in the end, and its memory; by default the processor."""
        self._held = held
        self._device = device or DeviceMemory(held.place.name if held else CPU)
        self._ladders: dict[str, Ladder] = {}
        self._used: dict[str, str] = {}
        self._device.baseline()

    @contextmanager
    def minded(self) -> Iterator[None]:
        """Give back what the block needed, and tell what ends this process's use of the device.

        Raises:
            errors.DeviceLost: the device failed and is of no use to this process any more.
        """
        self._used.clear()
        try:
            yield
        except RuntimeError as error:
            if is_fatal(error):
                raise errors.DeviceLost("The graphics card failed.") from error
            raise
        self.rest()

    def rest(self) -> None:
        """Give back what is held and not in use; called between jobs."""
        self._device.release()
        if not self._device.is_back_to_baseline():
            log.info("%.0f MB are held after the job", self._device.held_mb())

    def rebase(self) -> None:
        """Take what is held now for what an engine at rest needs: its networks are others now."""
        self._device.baseline()

    def climb(self, what: str, rungs: Sequence[Rung[T]], *, size: float = 1.0) -> T:
        """Do a piece of work on the first rung that it fits.

        Raises:
            errors.OutOfMemory: it did not fit in any way.
        """
        if what not in self._ladders:
            self._ladders[what] = Ladder(
                what, release=self._device.release, free_mb=self._device.free_mb
            )
        climbed = self._ladders[what].climb(rungs, size=size)
        if climbed.rung != rungs[0].name:
            self._used[what] = climbed.rung
        return climbed.value

    def rungs(self) -> list[str]:
        """Return what this job did in a smaller way than usual, such as `decode: tiled`."""
        return [f"{what}: {rung}" for what, rung in self._used.items()]

    def close(self) -> None:
        """Forget what did not fit, and give the memory and the place back."""
        for ladder in self._ladders.values():
            ladder.forget()
        self._device.release()
        if self._held is not None:
            self._held.give_up()
