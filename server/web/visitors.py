"""Who is at the other end of each Socket.IO connection, from the key it connected with."""

import threading

from flask import request

from server import errors
from server.web import callers, keys
from server.web.callers import Caller
from server.web.services import Services


def connection_id() -> str:
    """Return the id of the connection that is being answered."""
    return str(request.sid)  # type: ignore[attr-defined]  # Flask-SocketIO adds it


class Visitors:
    """Callers by their connections; any number of threads may use it."""

    def __init__(self, services: Services) -> None:
        """Take the services; nobody is connected yet."""
        self._services = services
        self._lock = threading.Lock()
        self._callers: dict[str, Caller] = {}

    def enter(self, connection: str, auth: object) -> None:
        """Let a connection in by the key in its `auth`, or as requests have one.

        Raises:
            errors.Unauthorized: it has none.
            errors.TooManyRequests: its caller asks too often.
        """
        named = auth.get(keys.PARAMETER) if isinstance(auth, dict) else None
        text = named if isinstance(named, str) else keys.given(request.environ)
        caller = keys.admitted(self._services, text)
        keys.spend(self._services, caller, "requests")
        with self._lock:
            self._callers[connection] = caller

    def caller(self, connection: str) -> Caller:
        """Return who it is.

        Raises:
            errors.Unauthorized: it was not let in.
        """
        with self._lock:
            caller = self._callers.get(connection)
        if caller is None:
            raise errors.Unauthorized
        return caller

    def leave(self, connection: str) -> None:
        """Forget it."""
        with self._lock:
            self._callers.pop(connection, None)

    def is_welcome(self, connection: str) -> bool:
        """Whether its key is still good; where that cannot be found out it is."""
        with self._lock:
            caller = self._callers.get(connection, callers.EVERYBODY)
        if caller.id is None:
            return True
        try:
            key = self._services.keys.find(caller.id)
        except errors.Unavailable:
            return True
        return key is not None and key.revoked_at is None
