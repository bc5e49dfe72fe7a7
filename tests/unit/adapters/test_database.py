"""Connecting and migrating, also by many at once."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from server import errors
from server.adapters import migrate
from server.adapters.database import Database, driver_url
from server.adapters.tables import metadata

_MIGRATE = """
import sys
from server.adapters import migrate
from server.adapters.database import Database
sys.stdin.readline()
migrate.upgrade(Database(sys.argv[1]))
"""


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_any_spelling_of_postgresql_means_our_driver(scheme: str) -> None:
    url = driver_url(f"{scheme}://me:secret@db/record")

    assert ("postgresql+psycopg", "db") == (url.drivername, url.host)


def test_sqlite_lets_readers_and_a_writer_work_at_once(database: Database) -> None:
    with database.engine.connect() as connection:
        mode = connection.execute(text("PRAGMA journal_mode")).scalar()
        keys = connection.execute(text("PRAGMA foreign_keys")).scalar()

    assert ("wal", 1) == (mode, keys)


def test_models_and_migrations_agree(record: Database) -> None:
    with record.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)

    assert [] == differences


def test_a_column_without_migration_would_be_noticed(database: Database) -> None:
    """The test above can fail: a table that no migration makes is a difference."""
    with database.transaction() as connection:
        connection.execute(text("ALTER TABLE jobs ADD COLUMN surprise TEXT"))
    with database.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)

    assert 1 == len(differences)


def test_the_newest_migration_is_the_one_the_program_expects() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.SCRIPTS))

    assert migrate.HEAD == ScriptDirectory.from_config(config).get_current_head()


def test_migrating_again_changes_nothing(database: Database) -> None:
    migrate.upgrade(database)

    assert migrate.is_current(database)


def test_migrations_can_be_undone(tmp_path: Path) -> None:
    with closing(Database(f"sqlite:///{tmp_path / 'a.sqlite3'}")) as database:
        migrate.upgrade(database)
        config = Config()
        config.set_main_option("script_location", str(migrate.SCRIPTS))
        with database.engine.begin() as connection:
            config.attributes["connection"] = connection
            command.downgrade(config, "base")

        assert ["alembic_version"] == inspect(database.engine).get_table_names()
        assert not migrate.is_current(database)


def test_several_processes_may_migrate_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'record.sqlite3'}"
    migrator = [sys.executable, "-W", "error", "-c", _MIGRATE, url]
    processes = [subprocess.Popen(migrator, stdin=subprocess.PIPE) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    codes = [process.wait(timeout=60) for process in processes]

    assert [0, 0, 0, 0] == codes
    with closing(Database(url)) as database:
        assert migrate.is_current(database)


def test_a_database_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "record").mkdir()
    with (
        closing(Database(f"sqlite:///{tmp_path / 'record'}")) as database,
        pytest.raises(errors.Unavailable, match="could not be prepared"),
    ):
        migrate.upgrade(database)
