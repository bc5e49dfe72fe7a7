"""The record keeps what it is given, in SQLite and in PostgreSQL alike."""

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import text

from server import errors
from server.adapters.database import Database
from server.adapters.job_store import SqlJobs
from server.adapters.session_store import SqlSessions
from server.adapters.worker_store import SqlWorkers
from server.engines.catalog import Device
from server.jobs.ports import Offer, Session, WorkerNote
from server.jobs.record import Job, JobError, Output, Role, Status, now

LEASE = timedelta(seconds=12)
KEEP = timedelta(hours=24)


@pytest.fixture(name="jobs")
def _jobs(record: Database) -> SqlJobs:
    return SqlJobs(record)


def _job(**facts: Any) -> Job:
    return replace(Job(kind="transform", spec={"a": [1, "é"], "b": None}), **facts)


def test_a_job_comes_back_as_it_was_kept(jobs: SqlJobs) -> None:
    job = _job(
        seed=2**63 - 1,
        session_id="s" * 200,
        outputs=(Output("a.wav", "1"), Output("b.wav", "2", Role.PREVIEW)),
        report={"kept": {"bpm": 120.5}},
        recipe={"kind": "transform"},
        error=JobError("storage", "No room."),
        expires_at=now(),
    )
    jobs.add(job)

    assert job == jobs.get(job.id)


def test_files_of_older_records_are_results(jobs: SqlJobs, record: Database) -> None:
    """They were written before there were previews."""
    job = _job(outputs=(Output("a.wav", "1"),))
    jobs.add(job)
    with record.transaction() as connection:
        older = json.dumps([{"name": "a.wav", "artifact_id": "1"}])
        connection.execute(
            text("UPDATE jobs SET outputs = :older WHERE id = :id"), {"older": older, "id": job.id}
        )

    assert job.outputs == jobs.get(job.id).outputs


def test_every_later_version_comes_back_as_well(jobs: SqlJobs) -> None:
    job = _job()
    jobs.add(job)
    started = job.started(worker="w", lease=LEASE)
    further = started.evolved(progress=0.5, stage="storing", engine="arranger")
    ended = further.ended(Status.FINISHED, keep=KEEP, progress=1.0)
    for before, after in pairwise((job, started, further, ended)):
        jobs.update(before, after)
        assert after == jobs.get(job.id)


def test_an_unknown_job_is_an_error(jobs: SqlJobs) -> None:
    with pytest.raises(errors.NoSuchJob):
        jobs.get("nobody")


def test_every_change_is_an_event_and_progress_within_a_stage_is_one(jobs: SqlJobs) -> None:
    job = _job()
    started = job.started(worker="w", lease=LEASE)
    steps = [started]
    for stage, progress in (("listening", 0.1), ("listening", 0.2), ("playing", 0.5)):
        steps.append(steps[-1].evolved(stage=stage, progress=progress))
    steps.append(steps[-1].handed_back())
    steps.append(again := steps[-1].started(worker="v", lease=LEASE))
    steps.append(again.evolved(stage="listening", progress=0.1))
    jobs.add(job)
    for before, after in pairwise((job, *steps)):
        jobs.update(before, after)

    told = jobs.events(job.id)

    assert [
        (0, "queued"),
        (1, "started"),
        (3, "progress"),
        (4, "progress"),
        (5, "restarted"),
        (6, "started"),
        (7, "progress"),
    ] == [(each.version, str(each.name)) for each in told]
    assert ["listening", "playing"] == [each.facts["stage"] for each in told[2:4]]
    assert [4, 5, 6, 7] == [each.version for each in jobs.events(job.id, after=3)]


def test_a_refused_change_is_no_event(jobs: SqlJobs) -> None:
    job = _job()
    jobs.add(job)
    jobs.update(job, job.started(worker="a", lease=LEASE))
    with pytest.raises(errors.Conflict):
        jobs.update(job, job.started(worker="b", lease=LEASE))

    assert ["queued", "started"] == [str(each.name) for each in jobs.events(job.id)]


def test_the_second_of_two_writers_is_refused(jobs: SqlJobs) -> None:
    job = _job()
    jobs.add(job)
    jobs.update(job, job.started(worker="a", lease=LEASE))

    with pytest.raises(errors.Conflict):
        jobs.update(job, job.started(worker="b", lease=LEASE))
    assert "a" == jobs.get(job.id).worker


def test_one_of_many_writers_at_once_wins(jobs: SqlJobs) -> None:
    job, won, together = _job(), [], threading.Barrier(8)
    jobs.add(job)

    def write(worker: str) -> None:
        together.wait()
        try:
            jobs.update(job, job.started(worker=worker, lease=LEASE))
        except errors.Conflict:
            return
        won.append(worker)

    threads = [threading.Thread(target=write, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [jobs.get(job.id).worker] == won


def test_a_request_to_cancel_is_no_change_of_the_record(jobs: SqlJobs) -> None:
    job = _job()
    jobs.add(job)
    jobs.request_cancel(job.id)
    jobs.update(job, job.started(worker="a", lease=LEASE))

    assert jobs.is_cancel_requested(job.id)
    assert not jobs.is_cancel_requested("nobody")


def test_waiting_jobs_are_listed_oldest_first(jobs: SqlJobs) -> None:
    at = now()
    new, old = _job(created_at=at), _job(created_at=at - timedelta(seconds=1))
    for job in (new, old):
        jobs.add(job)

    assert [old.id, new.id] == [job.id for job in jobs.waiting()]


def test_jobs_of_the_same_instant_have_an_order(jobs: SqlJobs) -> None:
    at = now()
    twins = [_job(created_at=at) for _ in range(4)]
    for job in twins:
        jobs.add(job)

    first = [job.id for job in jobs.waiting()]
    assert {twin.id for twin in twins} == set(first)
    assert first == [job.id for job in jobs.waiting()]


def test_running_and_abandoned_jobs_are_told_apart(jobs: SqlJobs) -> None:
    alive, dead = _job(), _job()
    for job, lease in ((alive, LEASE), (dead, -LEASE)):
        jobs.add(job)
        jobs.update(job, job.started(worker="w", lease=lease))

    assert {alive.id, dead.id} == {job.id for job in jobs.running()}
    assert [dead.id] == [job.id for job in jobs.abandoned(now())]


def test_a_lease_is_extended_by_its_holder_alone(jobs: SqlJobs) -> None:
    job, until = _job(), now() + timedelta(hours=1)
    jobs.add(job)
    jobs.update(job, job.started(worker="a", lease=LEASE))

    assert [False, True] == [jobs.extend_lease(job.id, name, until) for name in ("b", "a")]
    assert until == jobs.get(job.id).lease_expires_at


def test_a_session_has_one_unfinished_job(jobs: SqlJobs) -> None:
    first = _job(session_id="s")
    jobs.add(first)
    with pytest.raises(errors.Busy):
        jobs.add(_job(session_id="s"))
    jobs.update(first, first.ended(Status.CANCELLED, keep=KEEP))
    second = _job(session_id="s")
    jobs.add(second)

    assert second == jobs.active_in_session("s") == jobs.newest_in_session("s")
    assert jobs.active_in_session("other") is None


def test_jobs_without_a_session_do_not_disturb_each_other(jobs: SqlJobs) -> None:
    for _ in range(3):
        jobs.add(_job())

    assert 3 == len(jobs.waiting())


def test_times_are_the_same_moment_in_utc(jobs: SqlJobs) -> None:
    """Whatever zone a time was given in, and whether or not the database knows zones."""
    given = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=timezone(timedelta(hours=-8)))
    job = _job(created_at=given)
    jobs.add(job)
    kept = jobs.get(job.id).created_at

    assert (given, UTC) == (kept, kept.tzinfo)


def test_a_session_is_kept_replaced_and_forgotten(record: Database) -> None:
    sessions, session = SqlSessions(record), Session(id="s", last_input="a")
    sessions.put(session)
    sessions.put(changed := replace(session, last_processed="b", job_id="j"))
    kept = sessions.find("s")
    sessions.delete("s")
    sessions.delete("s")

    assert changed == kept
    assert sessions.find("s") is None


def test_sessions_that_nobody_used_are_forgotten(record: Database, jobs: SqlJobs) -> None:
    """Neither those used since, nor those whose job still lives."""
    sessions, at = SqlSessions(record), now()
    for name in ("old", "waiting", "ended"):
        sessions.put(Session(id=name, updated_at=at - timedelta(hours=2)))
    sessions.put(Session(id="new", updated_at=at))
    jobs.add(_job(session_id="waiting"))
    jobs.add(ended := _job(session_id="ended"))
    jobs.update(ended, ended.ended(Status.CANCELLED, keep=KEEP))
    forgotten = [sessions.forget_unused(at - timedelta(hours=1)) for _ in range(2)]

    assert [2, 0] == forgotten
    assert {"waiting", "new"} == {
        name for name in ("old", "waiting", "ended", "new") if sessions.find(name)
    }


def test_workers_are_live_for_a_while(record: Database) -> None:
    workers = SqlWorkers(record)
    offers = (Offer(engine="arranger", available=False, reason="no sounds", advice="make assets"),)
    card = Device(id="GPU-1", name="A card", total_mb=24576.0, used_mb=512.5)
    note = WorkerNote(
        id="a",
        queues=("audio",),
        offers=offers,
        loaded=("arranger",),
        devices=(card,),
        job_id="j",
        memory_mb=300,
    )
    silent = WorkerNote(id="b", queues=(), offers=(), seen_at=now() - timedelta(minutes=1))
    for each in (note, silent, note):
        workers.announce(each)

    assert [note] == list(workers.live(LEASE))
    assert ["a", "b"] == [each.id for each in workers.live(timedelta(hours=1))]


def test_a_worker_that_leaves_takes_old_notes_along(record: Database) -> None:
    workers = SqlWorkers(record)
    for name, age in (("a", 0), ("b", 1), ("long dead", 5)):
        seen_at = now() - timedelta(hours=age * 0.5)
        workers.announce(WorkerNote(id=name, queues=(), offers=(), seen_at=seen_at))
    workers.leave("a")

    assert ["b"] == [note.id for note in workers.live(timedelta(days=1))]


def test_a_database_that_is_gone_is_unavailable(record: Database) -> None:
    with record.transaction() as connection:
        connection.execute(text("ALTER TABLE jobs RENAME TO hidden"))
    try:
        with pytest.raises(errors.Unavailable, match="cannot be reached"):
            SqlJobs(record).get("anything")
    finally:
        with record.transaction() as connection:
            connection.execute(text("ALTER TABLE hidden RENAME TO jobs"))
