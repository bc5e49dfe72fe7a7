"""Ports of a process that stands alone: there is no wire, and nobody to tell."""

from server.jobs.events import Event
from server.jobs.record import Job


class Silence:
    """`Events` for nobody."""

    def publish(self, event: Event) -> None:
        """Tell nobody."""


class Unattended:
    """A `Queue` that leaves everything to the janitors of workers: the record is the truth."""

    def enqueue(self, job: Job) -> None:
        """Leave it in the record."""

    def knows(self, _job: Job) -> bool:
        """Know nothing."""
        return False

    def ask_unload(self) -> None:
        """Ask nobody."""

    def ping(self) -> bool:
        """Stand in for a wire that answers."""
        return True
