"""What the native routes answer with; each view is also its own schema.

JSON is shaped in views alone: here, in `health_views`, `legacy_views` and `plugin.views`. They are
made from records by their `of` and decide nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Self

from flask import Response
from pydantic import BaseModel, Field

from server import errors
from server.engines.catalog import ENGINES, EngineCard
from server.jobs import record
from server.jobs.estimates import Outlook
from server.jobs.events import EventName, Happening
from server.jobs.kind import Kind
from server.jobs.ports import Artifact, ArtifactStore, Offer
from server.jobs.webhooks import Delivery, DeliveryState
from server.kinds import picture
from server.web.errors import Failure

JSON = "application/json"


class View(BaseModel):
    """An answer."""

    def answer(self, status: int = 200, **headers: str) -> Response:
        """Return the HTTP answer; a header's underscores stand for hyphens."""
        # numbers that JSON has no name for, such as NaN, become null
        response = Response(self.model_dump_json(by_alias=True), status=status, mimetype=JSON)
        for name, value in headers.items():
            response.headers[name.replace("_", "-")] = value
        return response


# Failures


class RefusalFacts(BaseModel):
    """Why a request was refused."""

    code: str = Field(description="For programs.")
    message: str = Field(description="For people.")
    field: str | None = Field(description="The input that is wrong.")
    position: int | None = Field(
        None, description="How many jobs wait already, where the queue is full."
    )


class Refusal(View):
    """A failure."""

    error: RefusalFacts


def refusal(failure: Failure) -> Mapping[str, Any]:
    """Return how native routes say a failure."""
    facts = RefusalFacts(
        code=failure.code,
        message=failure.message,
        field=failure.field,
        position=failure.position,
    )
    return Refusal(error=facts).model_dump()


# Artifacts

Link = Callable[[Artifact], str]
"""Returns where an artifact can be fetched."""


def plain_link(artifact: Artifact) -> str:
    """Return where it can be fetched by those who may see it."""
    return f"/artifacts/{artifact.id}"


class ArtifactView(View):
    """A stored file."""

    id: str
    url: str
    name: str
    media_type: str
    seconds: float | None
    sample_rate: int | None
    channels: int | None
    size_bytes: int
    expires_at: datetime | None
    role: record.Role | None = Field(
        None,
        description="Within a job: a result, a preview of one that is not finished, or a file "
        "beside a result: its notes, a stem of it, the source as loud as it, a picture.",
    )

    @classmethod
    def of(cls, artifact: Artifact, *, link: Link, output: record.Output | None = None) -> Self:
        """Show an artifact, under the name it has within its job if there is one."""
        return cls(
            id=artifact.id,
            url=link(artifact),
            name=output.name if output else artifact.name,
            role=output.role if output else None,
            media_type=artifact.media_type,
            seconds=artifact.seconds,
            sample_rate=artifact.sample_rate,
            channels=artifact.channels,
            size_bytes=artifact.size_bytes,
            expires_at=artifact.expires_at,
        )


def outputs_of(
    job: record.Job, artifacts: ArtifactStore, *, link: Link = plain_link
) -> Iterator[ArtifactView]:
    """Show what a job made, as far as it is still there."""
    for output in job.outputs:
        try:
            yield ArtifactView.of(artifacts.get(output.artifact_id), link=link, output=output)
        except errors.NotFound:  # deleted or expired; the record stays
            continue


# Jobs


def licence_of(job: record.Job) -> str | None:
    """Return what a job's engine stands under, None where the engine is not known."""
    card = ENGINES.get(job.engine or "")
    return card.licence if card else None


class JobLinks(BaseModel):
    """Where to go from a job."""

    self_: str = Field(serialization_alias="self", description="GET it; add ?wait=10 to wait.")
    cancel: str | None = Field(description="DELETE it to cancel; null once the job ended.")
    events: str = Field(description="Socket.IO endpoint; rooms are named by session id.")
    picture: str | None = Field(
        None, description="GET it to look at what was made: notes, chords, what was kept."
    )

    @classmethod
    def of(cls, job: record.Job) -> Self:
        """Return the links of a job."""
        here = f"/jobs/{job.id}"
        cancel = None if job.status.is_final else here
        drawn = f"{here}/report.png" if picture.can_show(job) else None
        return cls(self_=here, cancel=cancel, events="/socket.io/", picture=drawn)


class Receipt(View):
    """A job that was taken."""

    id: str
    kind: str
    status: record.Status
    session_id: str | None
    position: int | None = Field(description="How many jobs are ahead.")
    eta_seconds: float | None = Field(
        description="Until it ends, by what others of its kind took; null while nobody knows."
    )
    seed: int | None
    replay_of: str | None = Field(description="The job whose recipe it follows.")
    links: JobLinks

    @classmethod
    def of(cls, job: record.Job, *, outlook: Outlook) -> Self:
        """Confirm a job."""
        return cls(
            id=job.id,
            kind=job.kind,
            status=job.status,
            session_id=job.session_id,
            position=outlook.ahead,
            eta_seconds=outlook.eta_seconds,
            seed=job.seed,
            replay_of=job.replay_of,
            links=JobLinks.of(job),
        )


class JobErrorView(BaseModel):
    """Why a job failed."""

    code: str
    message: str


class WebhookView(BaseModel):
    """How far the telling of a job's ending is."""

    state: DeliveryState
    attempts: int = Field(description="How often it was tried.")
    last_outcome: str | None = Field(description="What the receiver answered, or what went wrong.")
    next_attempt_at: datetime | None

    @classmethod
    def of(cls, job: record.Job, delivery: Delivery | None) -> Self | None:
        """Show it; None where nobody is told, or it was forgotten."""
        if delivery is None:
            is_to_come = job.webhook is not None and not job.status.is_final
            waiting = DeliveryState.WAITING
            nothing = cls(state=waiting, attempts=0, last_outcome=None, next_attempt_at=None)
            return nothing if is_to_come else None
        return cls(
            state=delivery.state,
            attempts=delivery.attempts,
            last_outcome=delivery.last_outcome,
            next_attempt_at=delivery.due_at,
        )


class JobView(Receipt):
    """A job."""

    version: int = Field(description="Rises with every change; of two views it tells the newer.")
    attempt: int = Field(description="How often it was started.")
    progress: float = Field(description="From 0 to 1.")
    stage: str
    engine: str | None
    licence: str | None = Field(description="What the engine and its results stand under.")
    artifacts: list[ArtifactView] = Field(
        description="What it made, while that is kept: results in order, then all other files."
    )
    report: dict[str, Any] | None = Field(description="Facts about source and result.")
    recipe: dict[str, Any] | None = Field(description="Everything needed to run it again.")
    error: JobErrorView | None
    webhook: WebhookView | None = Field(
        None, description="How far the telling of its ending is, where it has a webhook."
    )
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime | None

    @classmethod
    def of(
        cls,
        job: record.Job,
        *,
        outlook: Outlook,
        artifacts: Iterable[ArtifactView] = (),
        webhook: WebhookView | None = None,
    ) -> Self:
        """Show a job."""
        error = job.error
        return cls(
            **dict(Receipt.of(job, outlook=outlook)),
            version=job.version,
            attempt=job.attempt,
            progress=job.progress,
            stage=job.stage,
            engine=job.engine,
            licence=licence_of(job),
            artifacts=list(artifacts),
            report=None if job.report is None else dict(job.report),
            recipe=None if job.recipe is None else dict(job.recipe),
            error=JobErrorView(code=error.code, message=error.message) if error else None,
            webhook=webhook,
            created_at=job.created_at,
            started_at=job.started_at,
            ended_at=job.ended_at,
            expires_at=job.expires_at,
        )


class HappeningView(BaseModel):
    """One thing that happened to a job, and how the job was after it."""

    version: int = Field(description="Of the job; rises from one event to the next.")
    event: EventName
    at: datetime
    status: record.Status
    progress: float = Field(description="From 0 to 1.")
    stage: str
    attempt: int
    engine: str | None
    error: JobErrorView | None

    @classmethod
    def of(cls, happening: Happening) -> Self:
        """Show an event."""
        return cls.model_validate(
            {
                **happening.facts,
                "version": happening.version,
                "event": happening.name,
                "at": happening.at,
            }
        )


class HappeningsView(View):
    """What happened to a job, oldest first; of the progress within a stage the newest alone."""

    job_id: str
    events: list[HappeningView]

    @classmethod
    def of(cls, job_id: str, happenings: Iterable[Happening]) -> Self:
        """Show events."""
        return cls(job_id=job_id, events=[HappeningView.of(each) for each in happenings])


# What the server has


class EngineView(BaseModel):
    """An engine, and whether a live worker has it."""

    name: str
    offers: list[str]
    summary: str
    licence: str
    available: bool
    reason: str = Field(description="Why it is not available, or not fully.")
    advice: str = Field(description="What would help.")

    @classmethod
    def of(cls, card: EngineCard, offer: Offer) -> Self:
        """Show an engine."""
        return cls(
            name=card.name,
            offers=sorted(card.offers),
            summary=card.summary,
            licence=card.licence,
            available=offer.available,
            reason=offer.reason,
            advice=offer.advice,
        )


class EnginesView(View):
    """The engines, best first."""

    engines: list[EngineView]


class KindView(BaseModel):
    """A job kind."""

    name: str
    summary: str
    parameters: dict[str, Any] = Field(description="JSON schema of its parameters.")

    @classmethod
    def of(cls, kind: Kind) -> Self:
        """Show a job kind."""
        return cls(name=kind.NAME, summary=kind.SUMMARY, parameters=kind.Spec.model_json_schema())


class KindsView(View):
    """The job kinds."""

    kinds: list[KindView]
