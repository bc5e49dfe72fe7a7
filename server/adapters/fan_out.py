"""Tells several listeners of the same event, none of which can hurt the others or the teller.

Each listener has a thread and hears its events in order. A job therefore never waits for a broker,
and a listener that fails is a line in the log. Who must not be overtaken by what follows from an
event (a worker's news of a job that was just queued) waits until it was heard, within limits.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from server.adapters import logs
from server.jobs.events import Event
from server.jobs.ports import Events

log = logging.getLogger(__name__)


class FanOut:
    """`Events` for many listeners."""

    def __init__(self, listeners: Sequence[Events], *, patience_seconds: float = 0.0) -> None:
        """Take the listeners, and how long `publish` waits for them to have heard."""
        self._patience_seconds = patience_seconds
        self._listeners = [(listener, _thread()) for listener in listeners]

    def publish(self, event: Event) -> None:
        """Tell every listener; waits no longer than the patience for them to have heard it."""
        telling = [thread.submit(listener.publish, event) for listener, thread in self._listeners]
        for told in telling:
            told.add_done_callback(_log_failure)
        if self._patience_seconds:
            wait(telling, timeout=self._patience_seconds)

    def close(self) -> None:
        """Return when everything published has been heard."""
        for _, thread in self._listeners:
            thread.shutdown()


def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="events", initializer=logs.beside_the_jobs)


def _log_failure(told: Future[None]) -> None:
    error = told.exception()
    if error is not None:
        log.error("an event could not be told", exc_info=error)
