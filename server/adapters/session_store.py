"""Plugin sessions in the database."""

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, exists, select

from server.adapters.database import Database
from server.adapters.tables import jobs, sessions
from server.jobs.ports import Session
from server.jobs.record import Status


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

    def forget_unused(self, since: datetime) -> int:
        """Forget what was last used before then, save where a job lives; return how many."""
        unused = _unused(since)
        with self._database.transaction() as connection:
            # looked up first: a statement that deletes nothing would still lock out writers
            if connection.execute(select(sessions.c.id).where(unused).limit(1)).first() is None:
                return 0
        with self._database.transaction() as connection:
            return connection.execute(delete(sessions).where(unused)).rowcount


def _unused(since: datetime) -> ColumnElement[bool]:
    lives = exists().where(
        jobs.c.session_id == sessions.c.id, jobs.c.status.in_((Status.QUEUED, Status.RUNNING))
    )
    return and_(sessions.c.updated_at < since, ~lives)
