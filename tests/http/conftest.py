"""The world every story happens in."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from server.adapters import migrate
from server.adapters.artifacts import StoredArtifacts, open_store
from server.adapters.database import Database
from server.adapters.deliveries import SqlDeliveries
from server.adapters.job_store import SqlJobs
from server.adapters.key_store import SqlKeys
from server.adapters.session_store import SqlSessions
from server.adapters.statistics import SqlStatistics
from server.adapters.worker_store import SqlWorkers
from tests.http.world import KEEP, Stores, World, world


class MakeWorld(Protocol):
    """Starts a world with other settings."""

    def __call__(self, **settings: Any) -> World:
        """Start it."""
        ...


@pytest.fixture(scope="session")
def empty_record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate a database once; every world starts with a copy."""
    file = tmp_path_factory.mktemp("record") / "empty.sqlite3"
    with closing(Database(f"sqlite:///{file}")) as database:
        migrate.upgrade(database)
    return file


@contextmanager
def stores(
    folder: Path, empty_record: Path, *, webhook_hosts: Sequence[str] = ()
) -> Iterator[Stores]:
    """Open a record of its own and a directory of files."""
    shutil.copy(empty_record, folder / "record.sqlite3")
    with closing(Database(f"sqlite:///{folder / 'record.sqlite3'}")) as database:
        yield Stores(
            jobs=SqlJobs(database),
            artifacts=StoredArtifacts(open_store(None, folder / "sounds"), database, keep=KEEP),
            sessions=SqlSessions(database),
            workers=SqlWorkers(database),
            statistics=SqlStatistics(database),
            keys=SqlKeys(database),
            webhooks=SqlDeliveries(database, allowed=webhook_hosts),
        )


@pytest.fixture
def make_world(tmp_path: Path, empty_record: Path) -> Iterator[MakeWorld]:
    """Start worlds that end with the test."""
    with ExitStack() as stack:

        def make(**settings: Any) -> World:
            hosts = settings.get("webhook_hosts", ())
            opened = stack.enter_context(stores(tmp_path, empty_record, webhook_hosts=hosts))
            return stack.enter_context(world(tmp_path, opened, **settings))

        yield make


@pytest.fixture
def here(make_world: MakeWorld) -> World:
    """Start a world with the default settings."""
    return make_world()
