"""What the operators' routes answer with."""

from collections.abc import Sequence
from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from server.jobs import record
from server.web.views import JobErrorView, View


class JobRow(BaseModel):
    """A job in a list."""

    id: str
    kind: str
    status: record.Status
    owner: str | None = Field(description="The id of the key it was submitted with.")
    session_id: str | None
    attempt: int = Field(description="How often it was started.")
    progress: float = Field(description="From 0 to 1.")
    stage: str
    engine: str | None
    worker: str | None = Field(description="Who has it, or had it last.")
    error: JobErrorView | None
    replay_of: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, job: record.Job) -> Self:
        """Show a job."""
        return cls.model_validate(job, from_attributes=True)


class JobsView(View):
    """Jobs, newest first."""

    jobs: list[JobRow]
    before: str | None = Field(description="Ask for the next page with this; null on the last.")

    @classmethod
    def of(cls, jobs: Sequence[record.Job], *, limit: int) -> Self:
        """Show a page of at most `limit` jobs."""
        rest = jobs[-1].id if len(jobs) == limit else None
        return cls(jobs=[JobRow.of(each) for each in jobs], before=rest)
