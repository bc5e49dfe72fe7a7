"""Plugin sessions in the database."""

from dataclasses import asdict

from sqlalchemy import delete, select

from server.adapters.database import Database
from server.adapters.tables import sessions
from server.jobs.ports import Session


class SqlSessions:
    """A `SessionStore`."""

    def __init__(self, database: Database) -> None:
        """Take a migrated database."""
        self._database = database

    def find(self, session_id: str) -> Session | None:
        """Return a session or None."""
        with self._database.transaction() as connection:
            found = connection.execute(select(sessions).where(sessions.c.id == session_id))
            row = found.mappings().first()
        return Session(**row) if row is not None else None

    def put(self, session: Session) -> None:
        """Create or replace."""
        self._database.put(sessions, asdict(session))

    def delete(self, session_id: str) -> None:
        """Forget it; unknown ids are no error."""
        with self._database.transaction() as connection:
            connection.execute(delete(sessions).where(sessions.c.id == session_id))
