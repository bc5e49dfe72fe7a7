"""Brings the database to the tables of today, from any state and by several processes at once."""

from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from server import errors
from server.adapters.database import Database

HEAD = "0004"
"""The newest migration; a test compares it with the files."""

SCRIPTS = Path(__file__).with_name("migrations")

_LOCK = 0x6D656C6F
"""Number of the PostgreSQL advisory lock: the first migrator goes, the others wait for it."""


def upgrade(database: Database) -> None:
    """Make the tables, or change them to what this version needs.

    Raises:
        errors.Unavailable: the database does not answer.
    """
    if not is_current(database):
        engine = database.engine.execution_options(sqlite_begin="BEGIN EXCLUSIVE")
        try:
            with engine.begin() as connection:
                _lock(connection)
                _run(connection)
        except SQLAlchemyError as error:
            raise errors.Unavailable("The database could not be prepared.") from error


def is_current(database: Database) -> bool:
    """Whether there is nothing to migrate; costs one query and no import of the migrator."""
    try:
        with database.engine.connect() as connection:
            found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    except SQLAlchemyError:
        return False
    return bool(found == HEAD)


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def _run(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - a quarter of a second that most starts save
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
