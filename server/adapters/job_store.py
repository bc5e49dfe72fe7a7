"""The record of jobs in the database: the truth about them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    and_,
    case,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from server import errors
from server.adapters import deliveries, job_lists, journal, line, tables
from server.adapters.database import Database
from server.adapters.job_lists import NEWEST_FIRST
from server.adapters.line import OLDEST_FIRST
from server.adapters.tables import jobs
from server.jobs.events import Happening, event_of
from server.jobs.ports import Took, Wanted
from server.jobs.record import FINAL, Job, JobError, Output, Role, Status

_FIELDS = tuple(field.name for field in fields(Job))
_COLUMNS = tuple(jobs.c[name] for name in _FIELDS)
_IS_QUEUED = jobs.c.status == str(Status.QUEUED)
_IS_RUNNING = jobs.c.status == str(Status.RUNNING)
_IS_UNFINISHED = jobs.c.status.not_in([str(status) for status in FINAL])

_FORGOTTEN_AT_ONCE = 200


class SqlJobs:
    """A `JobStore`."""

    def __init__(self, database: Database, *, at_once: int = 1) -> None:
        """Take a migrated database; `at_once` jobs of a key run where the key does not say."""
        self._database = database
        self._at_once = at_once

    def add(self, job: Job) -> None:
        """Keep a new job and the event of it.

        Raises:
            errors.KeyReused: there is one with its idempotency key.
            errors.Busy: its session has an unfinished one.
        """
        try:
            with self._database.transaction() as connection:
                connection.execute(insert(jobs).values(**_row(job)))
                journal.note(connection, event_of(None, job))
        except IntegrityError as error:
            if job.idempotency_key and self.find_by_key(job.idempotency_key):
                raise errors.KeyReused from error
            raise errors.Busy from error

    def find_by_key(self, idempotency_key: str) -> Job | None:
        """Return the job that was asked for under a key."""
        return self._newest(jobs.c.idempotency_key == idempotency_key)

    def get(self, job_id: str) -> Job:
        """Return a job. Raises `errors.NoSuchJob`."""
        found = self._select(jobs.c.id == job_id)
        if not found:
            raise errors.NoSuchJob
        return found[0]

    def update(self, before: Job, after: Job) -> None:
        """Replace version `after.version - 1` and keep the event that this change is.

        Raises:
            errors.Conflict: another change came first.

        The lease of a running job never gets shorter by this: `extend_lease` may have moved it
        since the record was read.
        """
        with self._database.transaction() as connection:
            _replace(connection, before, after)
            deliveries.promise(connection, after)

    def start(self, before: Job, after: Job) -> None:
        """Replace a queued job by a running one, unless its owner has as many running as may be.

        Raises:
            errors.Conflict: another change came first, or it is not its turn.
        """
        with self._database.transaction() as connection:
            line.enter(connection, after.owner)
            _replace(connection, before, after, line.may_start(self._at_once))

    def events(self, job_id: str, *, after: int = -1) -> Sequence[Happening]:
        """Return what happened to a job since that version, oldest first."""
        with self._database.transaction() as connection:
            return journal.read(connection, job_id, after=after)

    def listed(self, wanted: Wanted) -> Sequence[Job]:
        """Return a page of jobs, newest first. Raises `errors.NoSuchJob` of `before`."""
        before = self.get(wanted.before) if wanted.before is not None else None
        which = job_lists.conditions(wanted, before=before)
        query = select(*_COLUMNS).where(*which).order_by(*NEWEST_FIRST).limit(wanted.limit)
        with self._database.transaction() as connection:
            return [_job(row) for row in connection.execute(query).mappings()]

    def request_cancel(self, job_id: str) -> None:
        """Set the flag a running job asks about."""
        with self._database.transaction() as connection:
            connection.execute(
                update(jobs).where(jobs.c.id == job_id).values(cancel_requested=True)
            )

    def is_cancel_requested(self, job_id: str) -> bool:
        """Whether the flag is set."""
        with self._database.transaction() as connection:
            return bool(
                connection.scalar(select(jobs.c.cancel_requested).where(jobs.c.id == job_id))
            )

    def waiting(self) -> Sequence[Job]:
        """Return queued jobs in the order of their turns."""
        turns = line.of_turns(self._at_once)
        query = select(*_COLUMNS).join(turns, turns.c.id == jobs.c.id)
        with self._database.transaction() as connection:
            rows = connection.execute(query.order_by(turns.c.turn, *OLDEST_FIRST)).mappings()
            return [_job(row) for row in rows]

    def due(self, *, owner: str | None = None) -> Sequence[Job]:
        """Return the queued jobs that may run now, oldest first; of one owner where it is given."""
        turns = line.of_turns(self._at_once)
        query = select(*_COLUMNS).join(turns, turns.c.id == jobs.c.id).where(turns.c.turn == 0)
        if owner is not None:
            query = query.where(jobs.c.owner == owner)
        with self._database.transaction() as connection:
            rows = connection.execute(query.order_by(*OLDEST_FIRST)).mappings()
            return [_job(row) for row in rows]

    def count_waiting(self) -> int:
        """Return how many jobs are queued."""
        with self._database.transaction() as connection:
            counted = select(func.count()).select_from(jobs).where(_IS_QUEUED)
            return connection.execute(counted).scalar_one()

    def running(self) -> Sequence[Job]:
        """Return running jobs, oldest first."""
        return self._select(_IS_RUNNING)

    def extend_lease(self, job_id: str, worker: str, until: datetime) -> bool:
        """Move the lease of a job this worker still holds; False when it was taken away."""
        held = and_(jobs.c.id == job_id, jobs.c.worker == worker, _IS_RUNNING)
        with self._database.transaction() as connection:
            changed = connection.execute(update(jobs).where(held).values(lease_expires_at=until))
        return changed.rowcount == 1

    def abandoned(self, at: datetime) -> Sequence[Job]:
        """Return running jobs whose lease ended before `at`."""
        return self._select(_IS_RUNNING, jobs.c.lease_expires_at < at)

    def has_unfinished(self, owner: str) -> bool:
        """Whether an owner has a job that waits or runs."""
        return self._newest(jobs.c.owner == owner, _IS_UNFINISHED) is not None

    def took(self, kind: str, engine: str | None, *, most: int) -> Sequence[Took]:
        """Return what the last finished jobs of a kind took, newest first; None is any engine."""
        which = [jobs.c.kind == kind, jobs.c.status == str(Status.FINISHED)]
        which += [jobs.c.engine == engine] if engine is not None else []
        query = select(jobs.c.started_at, jobs.c.ended_at, jobs.c.source_seconds).where(*which)
        with self._database.transaction() as connection:
            rows = connection.execute(query.order_by(jobs.c.ended_at.desc()).limit(most))
            return [Took((end - start).total_seconds(), source) for start, end, source in rows]

    def forget_ended(self, before: datetime) -> int:
        """Forget some jobs that ended before then, with all that happened; return how many."""
        old = select(jobs.c.id).where(jobs.c.ended_at < before).limit(_FORGOTTEN_AT_ONCE)
        with self._database.transaction() as connection:
            ids = connection.scalars(old).all()
            if ids:
                for column in (tables.events.c.job_id, tables.deliveries.c.job_id, jobs.c.id):
                    connection.execute(delete(column.table).where(column.in_(ids)))
        return len(ids)

    def active_in_session(self, session_id: str) -> Job | None:
        """Return the newest unfinished job of a session."""
        return self._newest(jobs.c.session_id == session_id, _IS_UNFINISHED)

    def newest_in_session(self, session_id: str) -> Job | None:
        """Return the newest job of a session."""
        return self._newest(jobs.c.session_id == session_id)

    def _select(self, *conditions: ColumnElement[bool]) -> list[Job]:
        query = select(*_COLUMNS).where(*conditions).order_by(*OLDEST_FIRST)
        with self._database.transaction() as connection:
            return [_job(row) for row in connection.execute(query).mappings()]

    def _newest(self, *conditions: ColumnElement[bool]) -> Job | None:
        query = select(*_COLUMNS).where(*conditions).order_by(*NEWEST_FIRST).limit(1)
        with self._database.transaction() as connection:
            row = connection.execute(query).mappings().first()
        return _job(row) if row is not None else None


def _replace(
    connection: Connection, before: Job, after: Job, *conditions: ColumnElement[bool]
) -> None:
    row = _row(after)
    if after.lease_expires_at is not None:
        row["lease_expires_at"] = _later_lease(after)
    is_it = and_(jobs.c.id == after.id, jobs.c.version == after.version - 1, *conditions)
    if connection.execute(update(jobs).where(is_it).values(**row)).rowcount == 0:
        raise errors.Conflict
    journal.note(connection, event_of(before, after))


def _later_lease(job: Job) -> ColumnElement[datetime]:
    stored, given = jobs.c.lease_expires_at, job.lease_expires_at
    return case((stored > given, stored), else_=given)


def _row(job: Job) -> dict[str, Any]:
    row = {name: getattr(job, name) for name in _FIELDS}
    return {
        **row,
        "status": str(job.status),
        "spec": dict(job.spec),
        "report": _plain(job.report),
        "recipe": _plain(job.recipe),
        "outputs": [asdict(output) for output in job.outputs],
        "error": asdict(job.error) if job.error else None,
    }


def _plain(facts: Any) -> dict[str, Any] | None:
    return None if facts is None else dict(facts)


def _output(stored: Mapping[str, Any]) -> Output:
    facts = dict(stored)
    role = Role(facts.pop("role", Role.RESULT))  # older records know results alone
    return Output(**facts, role=role)


def _job(row: RowMapping) -> Job:
    values = dict(row)
    values["status"] = Status(values["status"])
    values["outputs"] = tuple(_output(output) for output in values["outputs"])
    values["error"] = JobError(**values["error"]) if values["error"] else None
    return Job(**values)
