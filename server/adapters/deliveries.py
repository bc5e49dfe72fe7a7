"""The outbox of webhooks in the database.

What is to be told is written in the transaction of the ending it tells of: no crash loses it, and
nothing is told of a result that was discarded.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, fields, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, delete, func, insert, select, update

from server.adapters import outbound
from server.adapters.database import Database
from server.adapters.tables import deliveries
from server.jobs.record import Job, new_id, now
from server.jobs.webhooks import Delivery, DeliveryState, state_of

_COLUMNS = tuple(deliveries.c[field.name] for field in fields(Delivery))


def promise(connection: Connection, job: Job) -> None:
    """Write down that the webhook of a job is to be told, where it has one and has just ended."""
    if job.webhook is None or not job.status.is_final:
        return
    connection.execute(
        insert(deliveries).values(
            id=new_id(),
            job_id=job.id,
            owner=job.owner,
            url=job.webhook,
            body=json.dumps(told_of(job)),
            created_at=now(),
            due_at=now(),
        )
    )


def told_of(job: Job) -> Mapping[str, Any]:
    """Return what a webhook is told of an ended job; where links lead says everything else."""
    return {
        "event": str(job.status),
        "job": {
            "id": job.id,
            "kind": job.kind,
            "status": str(job.status),
            "session_id": job.session_id,
            "engine": job.engine,
            "seed": job.seed,
            "attempt": job.attempt,
            "error": asdict(job.error) if job.error else None,
            "created_at": _time(job.created_at),
            "started_at": _time(job.started_at),
            "ended_at": _time(job.ended_at),
            "expires_at": _time(job.expires_at),
            "artifacts": [
                {"id": each.artifact_id, "name": each.name, "url": f"/artifacts/{each.artifact_id}"}
                for each in job.results
            ],
        },
        "links": {"self": f"/jobs/{job.id}"},
    }


class SqlDeliveries:
    """Deliveries of webhooks: the web shows them, couriers of all workers share them."""

    def __init__(self, database: Database, *, allowed: Collection[str] = ()) -> None:
        """Take a migrated database, and hosts that may be told although they are not public."""
        self._database = database
        self._allowed = allowed

    def check(self, url: str) -> None:
        """Refuse a URL that can be seen to lead nowhere public. Raises `errors.InvalidInput`."""
        outbound.check_looks(url, allowed=self._allowed)

    def of_job(self, job_id: str) -> Delivery | None:
        """Return the delivery of a job's ending, None where there is none."""
        query = select(*_COLUMNS).where(deliveries.c.job_id == job_id).limit(1)
        with self._database.transaction() as connection:
            row = connection.execute(query).mappings().first()
        return Delivery(**row) if row is not None else None

    def claim(self, most: int, *, lease: timedelta) -> Sequence[Delivery]:
        """Return what is due, those tried least first; nobody else gets them within the lease.

        Each counts one attempt more: one that ends with its worker was an attempt as well.
        """
        query = (
            select(*_COLUMNS)
            .where(deliveries.c.due_at <= now())
            .order_by(deliveries.c.attempts, deliveries.c.due_at)
            .limit(most)
        )
        with self._database.transaction() as connection:
            found = [Delivery(**row) for row in connection.execute(query).mappings()]
        return [claimed for each in found if (claimed := self._claimed(each, lease))]

    def settle(self, delivery: Delivery, outcome: str, *, due_at: datetime | None) -> None:
        """Note how an attempt went and when the next one is due; None ends the delivery."""
        ended_at = now() if due_at is None else None
        with self._database.transaction() as connection:
            connection.execute(
                update(deliveries)
                .where(_is_still(delivery))
                .values(last_outcome=outcome, due_at=due_at, ended_at=ended_at)
            )

    def forget_ended(self, since: datetime) -> None:
        """Forget deliveries that ended before then."""
        with self._database.transaction() as connection:
            connection.execute(delete(deliveries).where(deliveries.c.ended_at < since))

    def counts(self) -> Mapping[DeliveryState, int]:
        """Return how many there are in each state, of those not forgotten yet."""
        has_ended = deliveries.c.ended_at.is_not(None)
        query = select(has_ended, deliveries.c.last_outcome, func.count())
        counted = dict.fromkeys(DeliveryState, 0)
        with self._database.transaction() as connection:
            groups = connection.execute(query.group_by(has_ended, deliveries.c.last_outcome))
            for ended, outcome, number in groups:
                counted[state_of(outcome, has_ended=bool(ended))] += number
        return counted

    def _claimed(self, delivery: Delivery, lease: timedelta) -> Delivery | None:
        due_at, attempts = now() + lease, delivery.attempts + 1
        statement = update(deliveries).where(_is_still(delivery))
        with self._database.transaction() as connection:
            changed = connection.execute(statement.values(due_at=due_at, attempts=attempts))
        is_ours = changed.rowcount == 1
        return replace(delivery, due_at=due_at, attempts=attempts) if is_ours else None


def _is_still(delivery: Delivery) -> Any:
    is_it = deliveries.c.id == delivery.id
    return and_(is_it, deliveries.c.attempts == delivery.attempts, deliveries.c.ended_at.is_(None))


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
