"""Something done again and again in a thread of its own."""

import logging
import threading
from collections.abc import Callable
from typing import Self

from server import errors
from server.adapters import logs

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 3.0
"""How long leaving waits for an action in progress."""


class Repeated:
    """Does `action` every `seconds` while entered, and `farewell` at the end.

    What cannot be done now is tried again next time.
    """

    def __init__(
        self,
        action: Callable[[], object],
        *,
        seconds: float,
        farewell: Callable[[], None] = lambda: None,
    ) -> None:
        """Take what to do; nothing starts yet."""
        self._action = action
        self._seconds = seconds
        self._farewell = farewell
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._repeat, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(PATIENCE_SECONDS)
        _attempt(self._farewell)

    def _repeat(self) -> None:
        logs.beside_the_jobs()
        _attempt(self._action)
        while not self._done.wait(self._seconds):
            _attempt(self._action)


def _attempt(action: Callable[[], object]) -> None:
    try:
        action()
    except errors.MelodyflowError as error:
        log.warning("will be tried again: %s", error.message)
