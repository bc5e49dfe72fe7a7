"""Statistics from the record: right with any number of web processes, and after a restart.

Ended jobs never change, so each is counted once: what ended a while ago is kept as sums, and only
later endings are looked up. What is forgotten in the record stays counted here.
"""

import threading
from collections import defaultdict
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Float, case, cast, extract, func, select

from server import errors
from server.adapters.database import Database
from server.adapters.tables import jobs
from server.jobs.record import Status, now
from server.jobs.statistics import Backlog, Ending, Standing, Tally

SETTLED = timedelta(seconds=60)
"""Endings older than this are all there: none is written so long after the time that it carries."""

_IS_UNFINISHED = jobs.c.status.in_([str(status) for status in Status if not status.is_final])
"""Named, not excluded: an index finds what is looked for, and not what is left."""

AT_ONCE = 1000
"""Rows in memory."""

Tallies = defaultdict[Ending, Tally]


class SqlStatistics:
    """`Statistics` of a database."""

    def __init__(self, database: Database) -> None:
        """Take a migrated database; nothing is counted yet."""
        self._database = database
        self._lock = threading.Lock()
        self._settled: Tallies = defaultdict(Tally)
        self._settled_until: datetime | None = None

    def read(self) -> Standing:
        """Count. Raises `errors.Unavailable`."""
        with self._lock, self._database.transaction() as connection:
            self._settle(connection, now() - SETTLED)
            tallies = defaultdict(Tally, {each: it.copy() for each, it in self._settled.items()})
            self._count(connection, tallies, since=self._settled_until, until=None)
            return Standing(self._backlogs(connection), tallies)

    def begin(self) -> None:
        """Count for the first time, which reads the whole record, so that nobody waits for it."""
        with suppress(errors.Unavailable):
            self.read()

    def _settle(self, connection: Connection, until: datetime) -> None:
        self._count(connection, self._settled, since=self._settled_until, until=until)
        self._settled_until = until

    def _count(
        self,
        connection: Connection,
        tallies: Tallies,
        *,
        since: datetime | None,
        until: datetime | None,
    ) -> None:
        """Add what ended in (since, until]."""
        query = select(
            jobs.c.kind,
            jobs.c.engine,
            jobs.c.status,
            jobs.c.error["code"].as_string(),
            self._seconds(jobs.c.created_at, jobs.c.started_at),
            self._seconds(jobs.c.started_at, jobs.c.ended_at),
            jobs.c.attempt,
            jobs.c.device_losses,
        ).where(*_ended_within(since, until))
        for row in connection.execute(query, execution_options={"yield_per": AT_ONCE}):
            _add(tallies, tuple(row))

    def _backlogs(self, connection: Connection) -> list[Backlog]:
        query = (
            select(
                jobs.c.kind,
                jobs.c.status,
                func.count(),
                func.min(jobs.c.created_at),
                func.sum(_restarts()),
            )
            .where(_IS_UNFINISHED)
            .group_by(jobs.c.kind, jobs.c.status)
        )
        at = now()
        return [
            Backlog(kind, status, number, max((at - oldest).total_seconds(), 0.0), int(restarts))
            for kind, status, number, oldest, restarts in connection.execute(query)
        ]

    def _seconds(self, earlier: ColumnElement[Any], later: ColumnElement[Any]) -> Any:
        """Return the seconds between two times, in the words of the database."""
        if self._database.engine.dialect.name == "sqlite":
            days = func.julianday(later, type_=Float) - func.julianday(earlier, type_=Float)
            return days * 86400.0
        return cast(extract("epoch", later - earlier), Float)


def _ended_within(since: datetime | None, until: datetime | None) -> list[ColumnElement[bool]]:
    within: list[ColumnElement[bool]] = [jobs.c.ended_at.is_not(None)]
    if since is not None:
        within.append(jobs.c.ended_at > since)
    if until is not None:
        within.append(jobs.c.ended_at <= until)
    return within


def _restarts() -> ColumnElement[int]:
    return case((jobs.c.attempt > 1, jobs.c.attempt - 1), else_=0)


def _add(tallies: Tallies, row: tuple[Any, ...]) -> None:
    kind, engine, status, code, wait, duration, attempt, device_losses = row
    tally = tallies[Ending(kind, engine or "", status, code or "")]
    tally.number += 1
    tally.restarts += max(attempt - 1, 0)
    tally.device_losses += device_losses
    if wait is not None:
        tally.waits.add(wait)
    if duration is not None:
        tally.durations.add(duration)
