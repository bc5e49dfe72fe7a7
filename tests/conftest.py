"""Real servers that tests share: a Valkey, a PostgreSQL where there is one, an empty record."""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from server.adapters import embedded, migrate
from server.adapters.database import Database
from tests import postgres

# Tests run beside each other: networks that wait for one another's threads take many times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run one Valkey for all tests of this process."""
    with embedded.valkey(tmp_path_factory.mktemp("broker") / "valkey") as url:
        yield url


@pytest.fixture
def valkey_url(valkey: str) -> str:
    """Return the address of a Valkey that holds nothing."""
    with redis.Redis.from_url(valkey) as client:
        client.flushall()
    return valkey


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Run a PostgreSQL; skip where there is none."""
    with postgres.server() as url:
        yield url


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate a database once; tests start with a copy."""
    file = tmp_path_factory.mktemp("migrated") / "record.sqlite3"
    with closing(Database(f"sqlite:///{file}")) as database:
        migrate.upgrade(database)
    return file


@pytest.fixture
def database(tmp_path: Path, migrated: Path) -> Iterator[Database]:
    """Open an empty record in a file."""
    shutil.copy(migrated, tmp_path / "record.sqlite3")
    with closing(Database(f"sqlite:///{tmp_path / 'record.sqlite3'}")) as database:
        yield database
