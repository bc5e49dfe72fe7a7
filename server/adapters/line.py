"""The line of queued jobs in which every owner has its turn, as SQL for both databases.

Turn 0 may run now: of one owner as many jobs as may run at once, less those that do, oldest first.
Turn 1 is the next one of each owner, and so on. Jobs without an owner wait for nobody of theirs.
"""

from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    Subquery,
    and_,
    case,
    func,
    or_,
    select,
)

from server.adapters.tables import jobs, keys
from server.jobs.record import Status

OLDEST_FIRST = (jobs.c.created_at, jobs.c.id)

_others = jobs.alias("others")


def of_turns(at_once: int) -> Subquery:
    """Return id and turn of every queued job; `at_once` is for keys that do not say."""
    place = func.row_number().over(partition_by=jobs.c.owner, order_by=OLDEST_FIRST)
    beyond = place + _running() - _allowed(at_once)
    turn = case((or_(jobs.c.owner.is_(None), beyond <= 0), 0), else_=beyond)
    queued = select(jobs.c.id, turn.label("turn")).where(jobs.c.status == str(Status.QUEUED))
    return queued.subquery("line")


def may_start(at_once: int) -> ColumnElement[bool]:
    """Return whether a job's owner has fewer running than may run at once."""
    return or_(jobs.c.owner.is_(None), _running() < _allowed(at_once))


def enter(connection: Connection, owner: str | None) -> None:
    """Let one transaction at a time start jobs of an owner, until it ends.

    A writer of SQLite is alone anyway.
    """
    if owner is not None and connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(owner, 0))))


def _running() -> ScalarSelect[int]:
    is_one = and_(_others.c.owner == jobs.c.owner, _others.c.status == str(Status.RUNNING))
    return select(func.count()).select_from(_others).where(is_one).scalar_subquery()


def _allowed(at_once: int) -> ColumnElement[int]:
    own = select(keys.c.jobs_at_once).where(keys.c.id == jobs.c.owner).scalar_subquery()
    return func.coalesce(own, at_once)
