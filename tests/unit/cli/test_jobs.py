"""`jobs`: dead letters from the command line."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from server import bootstrap
from server.__main__ import main
from server.bootstrap import Record
from server.config import Settings
from server.jobs.record import WORKER_LOST, Job, JobError, Status
from tests.unit.jobs.workshop import KEEP


@pytest.fixture(name="record")
def _record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Record]:
    monkeypatch.setenv("MELODYFLOW_DATA_DIR", str(tmp_path))
    record = bootstrap.open_record(Settings.from_environment())
    with closing(record.database):
        yield record


def _dead(record: Record) -> Job:
    job = Job(kind="transform", spec={"source": "x"})
    record.jobs.add(job)
    ended = job.ended(Status.FAILED, keep=KEEP, error=JobError(WORKER_LOST, "It died."))
    record.jobs.update(job, ended)
    return ended


def test_dead_letters_are_listed_and_submitted_again(
    record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a server: workers find in the record what waits."""
    dead = _dead(record)
    assert 0 == main(["jobs", "dead"])
    listed = capsys.readouterr().out
    assert 0 == main(["jobs", "replay", dead.id])
    new = record.jobs.get(capsys.readouterr().out.strip())
    assert 0 == main(["jobs", "dead"])

    assert dead.id in listed
    assert (Status.QUEUED, dead.id) == (new.status, new.replay_of)
    assert "No job was given up.\n" == capsys.readouterr().out


def test_what_is_no_dead_letter_is_said(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main(["jobs", "replay", "nobody"])
    assert "There is no such job.\n" == capsys.readouterr().err
