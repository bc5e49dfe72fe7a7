"""The journal of jobs: their events, written in the transaction of the change they tell of."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from server.adapters.tables import events
from server.jobs.events import Event, EventName, Happening, facts_of
from server.jobs.record import now


def note(connection: Connection, event: Event) -> None:
    """Keep an event; of the progress within one stage it replaces what was kept before."""
    facts = facts_of(event.job)
    if event.name is EventName.PROGRESS:
        _forget_progress(connection, event)
    connection.execute(
        insert(events).values(
            job_id=event.job.id,
            version=event.job.version,
            name=str(event.name),
            at=now(),
            facts=facts,
        )
    )


def read(connection: Connection, job_id: str, *, after: int) -> Sequence[Happening]:
    """Return the events of a job since a version, oldest first."""
    query = (
        select(events.c.version, events.c.name, events.c.at, events.c.facts)
        .where(events.c.job_id == job_id, events.c.version > after)
        .order_by(events.c.version)
    )
    return [
        Happening(version, EventName(name), at, facts)
        for version, name, at, facts in connection.execute(query)
    ]


def _forget_progress(connection: Connection, event: Event) -> None:
    job = event.job
    same_stage = events.c.facts["stage"].as_string() == job.stage
    same_attempt = events.c.facts["attempt"].as_integer() == job.attempt
    is_progress = events.c.name == str(EventName.PROGRESS)
    connection.execute(
        delete(events).where(events.c.job_id == job.id, is_progress, same_stage, same_attempt)
    )
