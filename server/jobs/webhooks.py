"""Webhooks: who wants to be told of a job's ending, and how far that is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class DeliveryState(StrEnum):
    """Where the telling of an ending is."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The ending of one job, as one address is told of it.

    Attributes:
        id: the same for every attempt, so that a receiver can tell one that it had already.
        body: JSON, word for word.
        attempts: how many were begun.
        last_outcome: of the last attempt: a status, or what went wrong in words.
        due_at: of the next attempt; None once nothing more is tried.
    """

    id: str
    job_id: str
    owner: str | None
    url: str
    body: str
    attempts: int
    last_outcome: str | None
    created_at: datetime
    due_at: datetime | None
    ended_at: datetime | None

    @property
    def state(self) -> DeliveryState:
        """Where it is."""
        return state_of(self.last_outcome, has_ended=self.ended_at is not None)


def state_of(outcome: str | None, *, has_ended: bool) -> DeliveryState:
    """Return the state of a delivery with that last outcome."""
    if not has_ended:
        return DeliveryState.WAITING
    is_told = outcome is not None and outcome.startswith("2")
    return DeliveryState.DELIVERED if is_told else DeliveryState.GIVEN_UP


class Webhooks(Protocol):
    """What the web process needs to know of webhooks; it never calls one."""

    def check(self, url: str) -> None:
        """Refuse a URL that can be seen to lead nowhere public. Raises `errors.InvalidInput`."""
        ...

    def counts(self) -> Mapping[DeliveryState, int]:
        """Return how many deliveries there are in each state, of those not forgotten yet."""
        ...

    def of_job(self, job_id: str) -> Delivery | None:
        """Return the delivery of a job's ending, None where there is none."""
        ...
