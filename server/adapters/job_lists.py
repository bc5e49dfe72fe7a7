"""Lists of jobs for operators, as SQL for both databases."""

from collections.abc import Iterator

from sqlalchemy import ColumnElement, and_, exists, or_

from server.adapters.tables import jobs
from server.jobs.ports import Wanted
from server.jobs.record import WORKER_LOST, Job, Status

NEWEST_FIRST = (jobs.c.created_at.desc(), jobs.c.id.desc())

_replays = jobs.alias("replays")


def conditions(wanted: Wanted, *, before: Job | None) -> Iterator[ColumnElement[bool]]:
    """Yield what a job has to meet to be listed; `before` is the last one of the page before."""
    for column, value in (
        (jobs.c.status, wanted.status and str(wanted.status)),
        (jobs.c.kind, wanted.kind),
        (jobs.c.owner, wanted.owner),
    ):
        if value is not None:
            yield column == value
    if wanted.is_dead:
        yield from _is_dead_letter()
    if before is not None:
        is_older = jobs.c.created_at < before.created_at
        yield or_(is_older, and_(jobs.c.created_at == before.created_at, jobs.c.id < before.id))


def _is_dead_letter() -> Iterator[ColumnElement[bool]]:
    yield jobs.c.status == str(Status.FAILED)
    yield jobs.c.error["code"].as_string() == WORKER_LOST
    # one that was cancelled before it ran, as where the wire was away, did not take its place
    was_taken = _replays.c.status != str(Status.CANCELLED)
    yield ~exists().where(_replays.c.replay_of == jobs.c.id, was_taken)
