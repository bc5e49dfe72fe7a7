"""`/jobs`: submit, look, wait, cancel."""

from typing import Annotated

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, ConfigDict, Field

from server import kinds
from server.jobs.record import Job
from server.web import documentation, intake, parsing, views, webhooks
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


@api.post(
    "/jobs",
    request_body=documentation.job_request(),
    responses=answers({202: views.Receipt}, 400, 409, 413, 415, 422, 503, 507),
)
def submit() -> Response:
    """Submit a job."""
    with parsing.submission("audio") as sent:
        job = intake.submit(current(), _order(sent))
    receipt = views.Receipt.of(job, position=current().jobs.position(job))
    return receipt.answer(202, Location=f"/jobs/{job.id}")


@api.get("/jobs/<id>", responses=answers({200: views.JobView}, 404, 422, 503))
def look(path: JobPath, query: Waiting) -> Response:
    """Show a job; with `?wait=` as soon as it has ended."""
    return _shown(current().jobs.wait(path.id, seconds=query.wait))


@api.delete(
    "/jobs/<id>", responses=answers({200: views.JobView, 202: views.JobView}, 404, 409, 422, 503)
)
def cancel(path: JobPath) -> Response:
    """Cancel a job: 200 when it is cancelled, 202 when it will stop at its next step."""
    job = current().jobs.cancel(path.id)
    return _shown(job, status=200 if job.status.is_final else 202)


def _order(sent: parsing.Submission) -> intake.Order:
    parameters = dict(sent.fields)
    return intake.Order(
        kind=kinds.kind_named(parsing.word(parameters.pop("kind", "transform"), field="kind")),
        session_id=parsing.session_id(parameters.pop("session_id", None)),
        webhook=webhooks.address(parameters.pop("webhook", None)),
        parameters=parameters,
        audio=sent.audio,
    )


def _shown(job: Job, *, status: int = 200) -> Response:
    services = current()
    artifacts = views.outputs_of(job, services.artifacts)
    position = services.jobs.position(job)
    webhook = webhooks.shown(job)
    view = views.JobView.of(job, position=position, artifacts=artifacts, webhook=webhook)
    return view.answer(status)
