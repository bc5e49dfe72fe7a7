"""What every process of this server signs with: made up once, kept in the record."""

import secrets as randomness

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from server.adapters.database import Database
from server.adapters.tables import secrets

SECRET_BYTES = 32


class SqlSecrets:
    """Secrets by name. The first process that asks for one makes it up for all."""

    def __init__(self, database: Database) -> None:
        """Take a migrated database."""
        self._database = database

    def get(self, name: str) -> bytes:
        """Return the secret of that name: 32 bytes, the same ones ever after.

        Raises:
            errors.Unavailable: the database does not answer.
        """
        return bytes.fromhex(self._found(name) or self._made(name))

    def _found(self, name: str) -> str | None:
        with self._database.transaction() as connection:
            value: str | None = connection.scalar(
                select(secrets.c.value).where(secrets.c.name == name)
            )
        return value

    def _made(self, name: str) -> str:
        value = randomness.token_hex(SECRET_BYTES)
        try:
            with self._database.transaction() as connection:
                connection.execute(insert(secrets).values(name=name, value=value))
        except IntegrityError:  # another process was quicker: its secret is the one
            return self._found(name) or value
        return value
