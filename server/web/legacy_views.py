"""What `/transform` and its relatives answer with, in the words of the first MelodyFlow service."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

import pybase64
from pydantic import Field

from server.jobs import record
from server.jobs.estimates import Outlook
from server.web.errors import Failure
from server.web.views import View, licence_of


class PlainRefusal(View):
    """A failure, as the older services say it."""

    error: str = Field(description="A sentence for people.")
    field: str | None = Field(None, description="The input that is wrong, where it is one.")
    code: str = Field(description="For programs.")


def plain_refusal(failure: Failure) -> Mapping[str, Any]:
    """Return how `/transform` says a failure."""
    return PlainRefusal(error=failure.message, field=failure.field, code=failure.code).model_dump()


class TransformView(View):
    """A finished transform."""

    audio: str = Field(description="The result as base64, on one line.")
    message: str = Field("Audio processed successfully", description="A sentence for people.")
    job_id: str = Field(description="The job, for the native routes.")
    session_id: str | None = Field(description="The session.")
    engine: str | None = Field(description="Which engine played it.")
    seed: int | None = Field(description="The seed that was really used.")
    licence: str | None = Field(description="What the engine and its results stand under.")
    report: dict[str, Any] = Field(description="Facts about source and result.")
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

    status: str = Field(description="queued or running.")
    job_id: str = Field(description="Poll /transform/status/{job_id} with it.")
    session_id: str | None = Field(description="The session.")
    position: int = Field(description="Place in the queue, 1 is next; 0 once it runs.")
    eta_seconds: float | None = Field(description="Until it ends; null while nobody knows.")
    progress: float = Field(description="From 0 to 100.")
    enqueued_at: datetime = Field(description="When it was taken.")
    started_at: datetime | None = Field(description="When a worker began.")
    seed: int | None = Field(description="The seed that is really used.")

    @classmethod
    def of(cls, job: record.Job, *, outlook: Outlook) -> Self:
        """Show a waiting or running transform."""
        return cls(
            status=job.status,
            job_id=job.id,
            session_id=job.session_id,
            position=0 if outlook.ahead is None else outlook.ahead + 1,
            eta_seconds=outlook.eta_seconds,
            progress=round(100 * job.progress, 1),
            enqueued_at=job.created_at,
            started_at=job.started_at,
            seed=job.seed,
        )


class FailedView(View):
    """A transform that ended without a result."""

    error: str = Field(description="A sentence for people.")
    status: str = Field(description="failed or cancelled.")
    code: str = Field(description="For programs.")
    job_id: str = Field(description="The job.")

    @classmethod
    def of(cls, job: record.Job) -> Self:
        """Show a failed or cancelled transform."""
        error = job.error or record.JobError("cancelled", "The job was cancelled.")
        return cls(error=error.message, status=job.status, code=error.code, job_id=job.id)


class MessageView(View):
    """A sentence."""

    message: str = Field(description="A sentence for people.")


def base64_of(data: bytes) -> str:
    """Return standard base64 on one line, the only form every client reads."""
    return pybase64.b64encode(data).decode("ascii")
