"""`/jobs`: submit, ask before submitting, look, wait, cancel, do again."""

from dataclasses import replace
from typing import Annotated

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from flask_openapi.types import ResponseDict
from pydantic import BaseModel, ConfigDict, Field

from server import errors, kinds
from server.jobs.record import Job, now
from server.web import asking_views, documentation, intake, parsing, replays, views, webhooks
from server.web.documentation import answers
from server.web.services import current

LONGEST_WAIT_SECONDS = 30

api = APIBlueprint(
    "jobs", __name__, abp_tags=[documentation.tag("jobs", "Work that is done in the background.")]
)


class JobPath(BaseModel):
    """Which job."""

    id: str = Field(max_length=64)


class Waiting(BaseModel):
    """How long to wait."""

    model_config = ConfigDict(extra="forbid")

    wait: Annotated[float, Field(ge=0, le=LONGEST_WAIT_SECONDS, allow_inf_nan=False)] = Field(
        0, description="Answer when the job has ended, or after this many seconds."
    )


class Asking(BaseModel):
    """Whether this is serious."""

    dry_run: bool = Field(
        default=False,
        description="Check everything and estimate; answers 200, stores and submits nothing.",
    )


_SUBMITTED: ResponseDict = {200: asking_views.KnownOrForecast, 202: views.Receipt}

TAKEN = answers(_SUBMITTED, 400, 409, 413, 415, 422, 429, 503, 507)
"""What a route answers that takes a sound and an order of one kind."""


@api.post(
    "/jobs",
    request_body=documentation.job_request(),
    responses=answers(
        _SUBMITTED,
        400,
        404,
        409,
        413,
        415,
        422,
        429,
        503,
        507,
    ),
)
def submit(query: Asking, header: parsing.IdempotencyHeader) -> Response:
    """Submit a job: 202, or 200 when the same request under the same key did so before."""
    return submitted(query, header)


def submitted(
    query: Asking, header: parsing.IdempotencyHeader, *, kind: str | None = None
) -> Response:
    """Submit what the present request asks for; a route for one kind of job names it."""
    with parsing.submission("audio") as sent:
        order = replace(order_of(sent, kind=kind), once=intake.once(header.key, sent))
        if query.dry_run:
            return asking_views.ForecastView.of(intake.forecast(current(), order)).answer()
        taken = intake.submit(current(), order)
    return confirmed(taken)


@api.post(
    "/jobs/<id>/replay",
    responses=answers(
        {200: views.Receipt, 202: views.Receipt, 410: asking_views.ExpiredJob},
        404,
        409,
        422,
        429,
        503,
    ),
)
def replay(path: JobPath, header: parsing.IdempotencyHeader) -> Response:
    """Do a finished job again by its recipe: the same samples, on the same machine."""
    job = current().jobs.get(path.id)
    sent = parsing.Submission(None, {"replay_of": job.id})
    order = replays.order(job, once=intake.once(header.key, sent))
    if intake.earlier(current(), order.once) is None and not replays.has_source(current(), order):
        return asking_views.ExpiredJob.of(job, replays.NO_SOURCE).answer(410)
    return confirmed(intake.submit(current(), order))


@api.get(
    "/jobs/<id>",
    responses=answers({200: views.JobView, 410: asking_views.ExpiredJob}, 404, 422, 503),
)
def look(path: JobPath, query: Waiting) -> Response:
    """Show a job; with `?wait=` as soon as it has ended. Of an expired one its recipe is left."""
    job = current().jobs.wait(path.id, seconds=query.wait)
    if job.is_expired(now()):
        return asking_views.ExpiredJob.of(job, errors.Expired().message).answer(410)
    return _shown(job)


@api.delete(
    "/jobs/<id>", responses=answers({200: views.JobView, 202: views.JobView}, 404, 409, 422, 503)
)
def cancel(path: JobPath) -> Response:
    """Cancel a job: 200 when it is cancelled, 202 when it will stop at its next step."""
    job = current().jobs.cancel(path.id)
    return _shown(job, status=200 if job.status.is_final else 202)


def order_of(sent: parsing.Submission, *, kind: str | None = None) -> intake.Order:
    """Return the order in a request; without a kind the request names it."""
    parameters = dict(sent.fields)
    named = kind or parsing.word(parameters.pop("kind", "transform"), field="kind")
    return intake.Order(
        kind=kinds.kind_named(named),
        session_id=parsing.session_id(parameters.pop("session_id", None)),
        webhook=webhooks.address(parameters.pop("webhook", None)),
        parameters=parameters,
        audio=sent.audio,
    )


def confirmed(taken: intake.Taken) -> Response:
    """Confirm a job, or show again which one the same request had made."""
    job = taken.job
    receipt = views.Receipt.of(job, outlook=current().jobs.outlook(job))
    return receipt.answer(202 if taken.is_new else 200, Location=f"/jobs/{job.id}")


def _shown(job: Job, *, status: int = 200) -> Response:
    services = current()
    artifacts = views.outputs_of(job, services.artifacts, link=services.downloads.url)
    outlook = services.jobs.outlook(job)
    webhook = webhooks.shown(job)
    view = views.JobView.of(job, outlook=outlook, artifacts=artifacts, webhook=webhook)
    return view.answer(status)
