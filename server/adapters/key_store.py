"""API keys in the database."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import insert, select, update

from server.adapters.database import Database
from server.adapters.tables import keys
from server.jobs.keys import Key


class SqlKeys:
    """A `Keys`."""

    def __init__(self, database: Database) -> None:
        """Take a migrated database."""
        self._database = database

    def add(self, key: Key) -> None:
        """Keep a new one."""
        with self._database.transaction() as connection:
            connection.execute(insert(keys).values(asdict(key)))

    def find(self, key_id: str) -> Key | None:
        """Return a key, revoked or not, None where there is none."""
        with self._database.transaction() as connection:
            row = connection.execute(select(keys).where(keys.c.id == key_id)).mappings().first()
        return Key(**row) if row is not None else None

    def all(self) -> Sequence[Key]:
        """Return every key, oldest first."""
        with self._database.transaction() as connection:
            rows = connection.execute(select(keys).order_by(keys.c.created_at)).mappings().all()
        return [Key(**row) for row in rows]

    def use(self, key_id: str, at: datetime) -> None:
        """Note that it was used."""
        with self._database.transaction() as connection:
            connection.execute(update(keys).where(keys.c.id == key_id).values(used_at=at))

    def revoke(self, key_id: str, at: datetime) -> bool:
        """Have it refused from now on; False where no such key was good."""
        good = (keys.c.id == key_id) & keys.c.revoked_at.is_(None)
        with self._database.transaction() as connection:
            return connection.execute(update(keys).where(good).values(revoked_at=at)).rowcount > 0
