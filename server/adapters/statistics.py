"""Statistics from the record: right with any number of web processes, and after a restart.

Ended jobs never change, so each is counted once: what ended a while ago is kept as sums, and only
later endings are looked up. What is forgotten in the record stays counted here.
"""

import threading
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Float, case, cast, extract, func, literal, select

from server.adapters.database import Database
from server.adapters.tables import jobs
from server.jobs.record import FINAL, now
from server.jobs.statistics import BOUNDS_SECONDS, Backlog, Ending, Standing, Tally

SETTLED = timedelta(seconds=60)
"""Endings older than this are all there: none is written so long after the time that it carries."""

_NEVER_STARTED = -1

_IS_UNFINISHED = jobs.c.status.not_in([str(status) for status in FINAL])

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
        wait = self._seconds(jobs.c.created_at, jobs.c.started_at)
        duration = self._seconds(jobs.c.started_at, jobs.c.ended_at)
        code = jobs.c.error["code"].as_string()
        groups = (jobs.c.kind, jobs.c.engine, jobs.c.status, code, _bucket(wait), _bucket(duration))
        names = [group.label(f"group_{number}") for number, group in enumerate(groups)]
        query = (
            select(
                *names,
                func.count(),
                func.coalesce(func.sum(wait), 0.0),
                func.coalesce(func.sum(duration), 0.0),
                func.sum(_restarts()),
                func.sum(jobs.c.device_losses),
            )
            .where(*_ended_within(since, until))
            .group_by(*names)
        )
        for row in connection.execute(query):
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


def _bucket(seconds: Any) -> ColumnElement[int]:
    steps = [(seconds <= bound, literal(number)) for number, bound in enumerate(BOUNDS_SECONDS)]
    never = (seconds.is_(None), literal(_NEVER_STARTED))
    return case(never, *steps, else_=literal(len(BOUNDS_SECONDS)))


def _restarts() -> ColumnElement[int]:
    return case((jobs.c.attempt > 1, jobs.c.attempt - 1), else_=0)


def _add(tallies: Tallies, row: tuple[Any, ...]) -> None:
    kind, engine, status, code, wait, duration, number, waited, worked, restarts, losses = row
    tally = tallies[Ending(kind, engine or "", status, code or "")]
    tally.number += number
    tally.restarts += int(restarts)
    tally.device_losses += int(losses)
    if wait != _NEVER_STARTED:
        tally.waits.add(wait, number, max(waited, 0.0))
    if duration != _NEVER_STARTED:
        tally.durations.add(duration, number, max(worked, 0.0))
