"""Which connections are in which session's room, and since when. This process only, not kept."""

import threading
from collections.abc import Mapping
from datetime import datetime

from server.jobs.record import now


class Presence:
    """Connections by their sessions; any number of threads may use it."""

    def __init__(self) -> None:
        """Start with nobody."""
        self._lock = threading.Lock()
        self._sessions: dict[str, dict[str, datetime]] = {}

    def enter(self, connection: str, session_id: str) -> bool:
        """Note that a connection is in a session; False where it was there before."""
        with self._lock:
            entered = self._sessions.setdefault(connection, {})
            is_new = session_id not in entered
            entered.setdefault(session_id, now())
            return is_new

    def leave(self, connection: str, session_id: str) -> None:
        """Note that it is not in that session any more."""
        with self._lock:
            self._sessions.get(connection, {}).pop(session_id, None)

    def go(self, connection: str) -> Mapping[str, datetime]:
        """Forget a connection; returns which sessions it was in, since when."""
        with self._lock:
            return self._sessions.pop(connection, {})

    def sessions_of(self, connection: str) -> Mapping[str, datetime]:
        """Return which sessions a connection is in, since when."""
        with self._lock:
            return dict(self._sessions.get(connection, {}))

    def sessions(self) -> frozenset[str]:
        """Return the sessions that anybody is in."""
        with self._lock:
            return frozenset().union(*self._sessions.values())

    def within(self, session_id: str) -> Mapping[str, datetime]:
        """Return which connections are in a session, since when."""
        with self._lock:
            return {
                connection: entered[session_id]
                for connection, entered in self._sessions.items()
                if session_id in entered
            }
