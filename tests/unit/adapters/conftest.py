"""Every kind of record and of store."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from obstore.store import ObjectStore

from server.adapters import migrate
from server.adapters.artifacts import StoredArtifacts, open_store
from server.adapters.database import Database
from server.adapters.tables import metadata

KEEP = timedelta(hours=24)


@pytest.fixture(params=["sqlite", "postgresql"])
def record(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Open an empty record, once in SQLite and once in PostgreSQL."""
    if request.param == "sqlite":
        yield request.getfixturevalue("database")
        return
    with closing(Database(request.getfixturevalue("postgres_url"))) as database:
        migrate.upgrade(database)
        with database.transaction() as connection:
            for table in metadata.sorted_tables:
                connection.execute(table.delete())
        yield database


@pytest.fixture(params=[None, "memory:"], ids=["directory", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """Open an empty object store."""
    return open_store(request.param, tmp_path / "artifacts")


@pytest.fixture
def artifacts(store: ObjectStore, database: Database) -> StoredArtifacts:
    """Open an empty artifact store."""
    return StoredArtifacts(store, database, keep=KEEP)
