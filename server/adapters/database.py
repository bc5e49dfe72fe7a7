"""The record's database: SQLite or PostgreSQL by URL, and how its troubles are told.

Knows nothing of jobs. Every statement of the stores runs inside `Database.transaction`, the one
place where a driver's error becomes one of ours.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from server import errors

log = logging.getLogger(__name__)

BUSY_SECONDS = 15.0
"""How long a writer of SQLite waits for another one."""

_POSTGRESQL = "postgresql+psycopg"


class Database:
    """One database. Connects when first used."""

    def __init__(self, url: str) -> None:
        """Take an SQLAlchemy URL; `postgres://` and `postgresql://` mean psycopg 3."""
        self.engine = _engine(driver_url(url))

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yield a connection; commit at the end, roll back on an error.

        Raises:
            IntegrityError: a constraint refuses it; for the store that expects it.
            errors.Unavailable: the database does not answer.
        """
        try:
            with self.engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            log.warning("database: %s", error)
            raise errors.Unavailable("The record cannot be reached. Please try again.") from error

    def put(self, table: Table, row: Mapping[str, Any]) -> None:
        """Insert a row, or replace the one with the same `id`.

        Raises:
            errors.Unavailable: the database does not answer.
        """
        dialect = import_module(f"sqlalchemy.dialects.{self.engine.dialect.name}")
        statement = dialect.insert(table).values(**row)
        changes = {name: value for name, value in row.items() if name != "id"}
        with self.transaction() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changes))

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def driver_url(url: str) -> URL:
    """Return the URL with the driver that this program uses."""
    scheme, separator, rest = url.partition("://")
    if separator and scheme in {"postgres", "postgresql"}:
        return make_url(f"{_POSTGRESQL}://{rest}")
    return make_url(url)


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, pool_size=8, max_overflow=32)
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url, pool_size=8, max_overflow=32, connect_args={"timeout": BUSY_SECONDS}
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: `_begin_sqlite` does
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))
