"""Ends a worker process whose job never comes back; its crew starts another one.

Between its steps a job asks about its deadline. Native code that never returns asks nothing, so two
watchers stand beside it. A thread ends the job in the record and leaves. Where no thread gets a
turn, because that code holds the interpreter's lock, a watcher that needs no turn ends the process;
then the job's lease runs out, and it counts as one more worker lost.
"""

import faulthandler
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from server import errors
from server.adapters import crew

log = logging.getLogger(__name__)


class Watchdog:
    """Watches over one job at a time."""

    def __init__(
        self,
        *,
        timeout_seconds: float,
        stuck_seconds: float,
        farewell: Callable[[], None] = lambda: None,
    ) -> None:
        """Take a job's deadline, how long beyond it a job may be deaf, and what is done last.

        The second watcher bites after `stuck_seconds` once more: the farewell may not return.
        """
        self._bites_after_seconds = timeout_seconds + stuck_seconds
        self._second_bite_seconds = self._bites_after_seconds + stuck_seconds
        self._farewell = farewell

    @contextmanager
    def guard(self, give_up: Callable[[], None]) -> Iterator[None]:
        """End the process if the block does not end in time; `give_up` is called before."""
        is_over = threading.Event()

        def watch() -> None:
            if not is_over.wait(self._bites_after_seconds):
                self._bite(give_up)

        watching = threading.Thread(target=watch, name="watchdog", daemon=True)
        faulthandler.dump_traceback_later(
            self._second_bite_seconds, exit=True, file=sys.__stderr__ or sys.stderr
        )
        watching.start()
        try:
            yield
        finally:
            is_over.set()
            faulthandler.cancel_dump_traceback_later()

    def _bite(self, give_up: Callable[[], None]) -> None:
        log.error("a job does not come back, the process ends")
        try:
            give_up()
        except errors.MelodyflowError as error:
            log.warning("the job could not be ended: %s", error.message)
        self._farewell()
        logging.shutdown()
        os._exit(crew.FRESH_START)
