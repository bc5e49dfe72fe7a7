"""What `/transform` and its relatives answer with, in the words of the first MelodyFlow service."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

import pybase64
from pydantic import Field

from server.jobs import record
from server.web.errors import Failure
from server.web.views import View, licence_of


class PlainRefusal(View):
    """A failure, as the older services say it."""

    error: str
    field: str | None = None
    code: str


def plain_refusal(failure: Failure) -> Mapping[str, Any]:
    """Return how `/transform` says a failure."""
    return PlainRefusal(error=failure.message, field=failure.field, code=failure.code).model_dump()


class TransformView(View):
    """A finished transform."""

    audio: str = Field(description="The result as base64, on one line.")
    message: str = "Audio processed successfully"
    job_id: str
    session_id: str | None
    engine: str | None
    seed: int | None
    licence: str | None
    report: dict[str, Any]
    understood: list[str] = Field(description="Words of the prompt that had an effect.")
    ignored: list[str] = Field(description="Words of the prompt that had none.")

    @classmethod
    def of(cls, job: record.Job, audio: bytes) -> Self:
        """Show a finished transform."""
        report = dict(job.report or {})
        return cls(
            audio=base64_of(audio),
            job_id=job.id,
            session_id=job.session_id,
            engine=job.engine,
            seed=job.seed,
            licence=licence_of(job),
            report=report,
            understood=report.get("understood", []),
            ignored=report.get("ignored", []),
        )


class WaitingView(View):
    """A transform that is not finished."""

    status: str
    job_id: str
    session_id: str | None
    position: int = Field(description="Place in the queue, 1 is next; 0 once it runs.")
    progress: float = Field(description="From 0 to 100.")
    enqueued_at: datetime
    started_at: datetime | None
    seed: int | None

    @classmethod
    def of(cls, job: record.Job, *, position: int | None) -> Self:
        """Show a waiting or running transform."""
        return cls(
            status=job.status,
            job_id=job.id,
            session_id=job.session_id,
            position=0 if position is None else position + 1,
            progress=round(100 * job.progress, 1),
            enqueued_at=job.created_at,
            started_at=job.started_at,
            seed=job.seed,
        )


class FailedView(View):
    """A transform that ended without a result."""

    error: str
    status: str
    code: str
    job_id: str

    @classmethod
    def of(cls, job: record.Job) -> Self:
        """Show a failed or cancelled transform."""
        error = job.error or record.JobError("cancelled", "The job was cancelled.")
        return cls(error=error.message, status=job.status, code=error.code, job_id=job.id)


class MessageView(View):
    """A sentence."""

    message: str


def base64_of(data: bytes) -> str:
    """Return standard base64 on one line, the only form every client reads."""
    return pybase64.b64encode(data).decode("ascii")
