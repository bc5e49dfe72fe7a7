"""Files are visible whole or not at all, whatever the store."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obstore.store import LocalStore, S3Store

from server import errors
from server.adapters.artifacts import StoredArtifacts, open_store
from server.adapters.database import Database
from server.jobs.record import now
from tests.unit.adapters.conftest import KEEP

WORDS = "text/plain"
MEGABYTE = 2**20


def _files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def test_what_was_saved_is_read_and_described(artifacts: StoredArtifacts) -> None:
    saved = artifacts.save(
        b"sound", name="../é.wav", media_type="audio/wav", seconds=1.5, sample_rate=48000
    )

    assert b"sound" == artifacts.read(saved.id)
    assert saved == artifacts.get(saved.id)
    assert (5, 1.5, 48000, None) == (
        saved.size_bytes,
        saved.seconds,
        saved.sample_rate,
        saved.channels,
    )


def test_nothing_saved_lives_for_ever(artifacts: StoredArtifacts) -> None:
    saved = artifacts.save(b"", name="a", media_type=WORDS)

    assert saved.expires_at is not None
    assert now() + KEEP - saved.expires_at < timedelta(minutes=1)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=64), st.integers(-3, 70), st.integers(-3, 70))
def test_a_range_is_a_slice(artifacts: StoredArtifacts, data: bytes, start: int, end: int) -> None:
    saved = artifacts.save(data, name="a", media_type=WORDS)

    expected = data[max(start, 0) : max(end, 0)]
    assert expected == b"".join(artifacts.chunks(saved.id, start, end))


def test_a_large_file_comes_in_pieces(tmp_path: Path, database: Database) -> None:
    artifacts = StoredArtifacts(open_store(None, tmp_path / "kept"), database, keep=KEEP)
    data = bytes(range(256)) * (4 * MEGABYTE // 256)
    saved = artifacts.save(data, name="a", media_type=WORDS)
    pieces = list(artifacts.chunks(saved.id, 100, len(data)))

    assert data[100:] == b"".join(pieces)
    assert max(map(len, pieces)) <= 2 * MEGABYTE


@pytest.mark.parametrize("unknown", ["nobody", "", "../../etc/passwd", "a/b", "\0"])
def test_unknown_ids_are_not_found_and_may_be_deleted(
    artifacts: StoredArtifacts, unknown: str
) -> None:
    artifacts.delete(unknown)
    for ask in (artifacts.get, artifacts.read, lambda it: artifacts.chunks(it, 0, 1)):
        with pytest.raises(errors.NoSuchArtifact):
            ask(unknown)


def test_a_deleted_one_is_gone(artifacts: StoredArtifacts) -> None:
    saved = artifacts.save(b"sound", name="a", media_type=WORDS)
    artifacts.delete(saved.id)
    artifacts.delete(saved.id)

    with pytest.raises(errors.NoSuchArtifact):
        artifacts.get(saved.id)


def test_an_expired_one_says_so_before_and_after_it_is_removed(
    artifacts: StoredArtifacts,
) -> None:
    saved = artifacts.save(b"sound", name="a", media_type=WORDS, expires_at=now())
    assert [saved.id] == [each.id for each in artifacts.expired(now())]
    with pytest.raises(errors.Expired):
        artifacts.read(saved.id)

    artifacts.delete(saved.id)
    artifacts.delete(saved.id)
    assert [] == list(artifacts.expired(now()))
    with pytest.raises(errors.Expired):
        artifacts.read(saved.id)


def test_names_of_clients_are_no_paths(tmp_path: Path, database: Database) -> None:
    artifacts = StoredArtifacts(open_store(None, tmp_path / "kept"), database, keep=KEEP)
    saved = artifacts.save(b"sound", name="../../escape.wav", media_type=WORDS)

    assert [tmp_path / "kept" / saved.id[:2] / saved.id] == _files(tmp_path / "kept")


def test_facts_that_cannot_be_kept_leave_no_file(tmp_path: Path) -> None:
    with_no_tables = Database(f"sqlite:///{tmp_path / 'empty.sqlite3'}")
    artifacts = StoredArtifacts(open_store(None, tmp_path / "kept"), with_no_tables, keep=KEEP)
    with pytest.raises(errors.Unavailable):
        artifacts.save(b"sound", name="a", media_type=WORDS)
    with_no_tables.close()

    assert [] == _files(tmp_path / "kept")


def test_a_file_that_somebody_removed_is_not_found(tmp_path: Path, database: Database) -> None:
    artifacts = StoredArtifacts(open_store(None, tmp_path / "kept"), database, keep=KEEP)
    saved = artifacts.save(b"sound", name="a", media_type=WORDS)
    _files(tmp_path / "kept")[0].unlink()

    with pytest.raises(errors.NoSuchArtifact):
        artifacts.read(saved.id)
    artifacts.delete(saved.id)
    assert [] == list(artifacts.expired(now() + 2 * KEEP))


def test_the_setting_chooses_the_store(tmp_path: Path) -> None:
    bucket = open_store("s3://bucket/some/prefix", tmp_path)

    assert isinstance(bucket, S3Store)
    assert isinstance(open_store(None, tmp_path / "here"), LocalStore)
    assert (tmp_path / "here").is_dir()
