"""No room, a store that is ill, a process that dies half way: nothing half is ever seen or kept."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import obstore
import pytest
from sqlalchemy import event

from server import errors
from server.adapters.artifacts import StoredArtifacts, open_store
from server.adapters.database import Database
from server.jobs.record import new_id
from tests.unit.adapters.conftest import KEEP

WORDS = "text/plain"
MEGABYTE = 2**20
HOUR = timedelta(hours=1)
SOON = timedelta(seconds=1)


def stored_in(folder: Path, database: Database) -> StoredArtifacts:
    """Open a store in a directory."""
    return StoredArtifacts(open_store(None, folder / "kept"), database, keep=KEEP)


def files(folder: Path) -> set[str]:
    """Return the names of all files in a store, those written aside included."""
    return {path.name for path in (folder / "kept").rglob("*") if path.is_file()}


# Room


FILL_A_SMALL_DISK = """
import sys
from datetime import timedelta
from pathlib import Path
from server import errors
from server.adapters.artifacts import StoredArtifacts, open_store
from server.adapters.database import Database

disk, record = Path(sys.argv[1]), Database(f"sqlite:///{sys.argv[2]}")
kept = StoredArtifacts(open_store(None, disk), record, keep=timedelta(hours=1))
(disk / "filler").write_bytes(bytes(600_000))
try:
    kept.save(bytes(900_000), name="a", media_type="text/plain")
except errors.StorageFailed as error:
    cause = error.__cause__
    print("full", "No space left" in str(cause), [p.name for p in disk.rglob("*") if p.is_file()])
(disk / "filler").unlink()
print(len(kept.read(kept.save(bytes(900_000), name="a", media_type="text/plain").id)))
record.close()
"""


def test_a_disk_that_is_really_full_is_left_as_it_was(
    tmp_path: Path, database: Database, migrated: Path
) -> None:
    """A megabyte of memory as a disk, in a name space of its own; and then there is room again."""
    disk = tmp_path / "disk"
    disk.mkdir()
    record = shutil.copy(migrated, tmp_path / "other.sqlite3")
    mount = 'mount -t tmpfs -o size=1m none "$0" && exec "$@"'
    program = [sys.executable, "-c", FILL_A_SMALL_DISK, str(disk), record]
    command = ["unshare", "-Urm", "sh", "-c", mount, str(disk), *program]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*command[:6], "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no file system can be mounted here; the next test needs none")

    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    assert ["full True ['filler']", "900000"] == done.stdout.splitlines()


@contextmanager
def little_room(size: int) -> Iterator[None]:
    """Let no file grow beyond a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_where_a_file_cannot_grow_nothing_is_left(tmp_path: Path, database: Database) -> None:
    """The same without a disk of its own."""
    kept = stored_in(tmp_path, database)
    with little_room(MEGABYTE), pytest.raises(errors.StorageFailed):
        kept.save(bytes(2 * MEGABYTE), name="a", media_type=WORDS)

    assert set() == files(tmp_path)
    assert b"x" == kept.read(kept.save(b"x", name="a", media_type=WORDS).id)


def test_bytes_that_do_not_reach_the_disk_are_no_file(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems tell of a full disk only when they are asked to write everything out."""

    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    kept = stored_in(tmp_path, database)
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(errors.StorageFailed):
        kept.save(b"sound", name="a", media_type=WORDS)

    assert set() == files(tmp_path)


def save_many(kept: StoredArtifacts) -> None:
    """Save so much that the facts need pages of their own."""
    for _ in range(200):
        kept.save(b"sound", name="n" * 1000, media_type=WORDS)


def test_a_full_database_takes_no_facts_and_leaves_no_bytes(
    tmp_path: Path, database: Database
) -> None:
    """It says that it cannot be reached, and takes them once it has room."""
    kept, room = stored_in(tmp_path, database), {"pages": 1}
    event.listen(
        database.engine,
        "begin",
        lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count = {room['pages']}"),
    )
    with pytest.raises(errors.Unavailable) as refused:
        save_many(kept)
    with database.transaction() as connection:
        noted = connection.exec_driver_sql("SELECT count(*) FROM artifacts").scalar_one()

    assert "full" in str(refused.value.__cause__)
    assert noted == len(files(tmp_path))
    room["pages"] = 100_000
    assert b"x" == kept.read(kept.save(b"x", name="n" * 5000, media_type=WORDS).id)


# Stores that are ill


class Ill(BaseHTTPRequestHandler):
    """Answers 500 whatever it is asked."""

    def do_PUT(self) -> None:
        """Refuse."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_DELETE = do_HEAD = do_PUT  # noqa: N815 - and these

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


@pytest.fixture(name="bucket")
def _bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "something",
        "AWS_REGION": "eu-west-1",
        "AWS_ALLOW_HTTP": "true",
    }.items():
        monkeypatch.setenv(name, value)


@contextmanager
def ill_server() -> Iterator[int]:
    """Run a store that fails, and return its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Ill) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@contextmanager
def deaf_server() -> Iterator[int]:
    """Run a store that takes every connection and never answers, and return its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def no_server() -> Iterator[int]:
    """Return a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield port


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize(
    ("server", "reason"),
    [(ill_server, "500"), (deaf_server, "TimedOut"), (no_server, "refused")],
)
def test_a_distant_store_that_is_ill_is_given_up(
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server: Callable[[], AbstractContextManager[int]],
    reason: str,
) -> None:
    """After a bounded time; no facts tell of bytes that never came."""
    with server() as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        store = open_store("s3://bucket/sounds", tmp_path, patience=SOON)
        kept = StoredArtifacts(store, database, keep=KEEP)
        with pytest.raises(errors.StorageFailed) as refused:
            kept.save(b"sound", name="a", media_type=WORDS)
        with pytest.raises(errors.StorageFailed):
            kept.remove_orphans()
    assert reason in str(refused.value.__cause__)

    with database.transaction() as connection:
        assert 0 == connection.exec_driver_sql("SELECT count(*) FROM artifacts").scalar_one()


# Orphans


DIE_BETWEEN = """
import os, signal, sys
from datetime import timedelta
from pathlib import Path
from server.adapters.artifacts import StoredArtifacts, open_store
from server.adapters.database import Database

class Dies(StoredArtifacts):
    def _note(self, artifact):
        print(artifact.id, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

kept = Dies(open_store(None, Path(sys.argv[1]) / "kept"), Database(f"sqlite:///{sys.argv[2]}"),
            keep=timedelta(hours=1))
kept.save(b"nobody's", name="a", media_type="text/plain")
"""


def age(folder: Path, name: str, by: timedelta) -> None:
    """Make a file of a store look older."""
    (path,) = (folder / "kept").rglob(name)
    written = path.stat().st_mtime - by.total_seconds()
    os.utime(path, (written, written))


def test_what_a_killed_process_left_is_removed_when_it_is_old(
    tmp_path: Path, database: Database, migrated: Path
) -> None:
    """Not before: the facts of a young file may be on their way."""
    kept = stored_in(tmp_path, database)
    record = shutil.copy(migrated, tmp_path / "other.sqlite3")
    died = subprocess.run(
        [sys.executable, "-c", DIE_BETWEEN, str(tmp_path), record],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    orphan = died.stdout.strip()
    assert (-signal.SIGKILL, {orphan}) == (died.returncode, files(tmp_path))

    assert 0 == kept.remove_orphans()
    age(tmp_path, orphan, 2 * HOUR)
    assert 1 == kept.remove_orphans()
    assert set() == files(tmp_path)


def test_half_a_file_aside_is_removed_and_no_other_is(tmp_path: Path, database: Database) -> None:
    """Neither one in use, however old, nor what somebody else put there."""
    kept = stored_in(tmp_path, database)
    used, fresh = (kept.save(b"sound", name="a", media_type=WORDS).id for _ in range(2))
    half = f"{new_id()}#1"
    strange = {"README", f"{new_id()}.bak", new_id()}
    (tmp_path / "kept" / half[:2]).mkdir(exist_ok=True)
    (tmp_path / "kept" / half[:2] / half).write_bytes(b"so")
    (tmp_path / "kept" / "theirs").mkdir()
    for name in strange:
        (tmp_path / "kept" / "theirs" / name).write_bytes(b"mine")
    for name in (used, half, *strange):
        age(tmp_path, name, 1000 * HOUR)

    assert 1 == kept.remove_orphans()
    assert {used, fresh, *strange} == files(tmp_path)
    assert b"sound" == kept.read(used)


def test_in_other_stores_orphans_are_found_as_well(database: Database) -> None:
    """They are listed, as in a bucket."""
    store = open_store("memory:", Path())
    lost = new_id()
    obstore.put(store, f"{lost[:2]}/{lost}", b"nobody's")
    kept = StoredArtifacts(store, database, keep=KEEP)
    used = kept.save(b"sound", name="a", media_type=WORDS)

    assert 0 == kept.remove_orphans()
    assert 1 == kept.remove_orphans(older_than=timedelta(seconds=-1))
    assert 0 == kept.remove_orphans(older_than=timedelta(seconds=-1))
    assert b"sound" == kept.read(used.id)
