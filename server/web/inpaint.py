"""`/inpaint`: replace windows of a sound, and ask where something could be put."""

from typing import Any

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field

from server.jobs.record import Job, Status
from server.web import documentation, errors, intake, jobs, parsing, views
from server.web.documentation import answers
from server.web.services import current

SUGGESTING_SECONDS = 25.0
"""How long an answer waits for suggestions; afterwards it is a receipt."""

api = APIBlueprint(
    "inpaint",
    __name__,
    abp_tags=[documentation.tag("inpaint", "Windows of a sound, replaced by something else.")],
)


class SuggestionsView(views.View):
    """Where something could be put."""

    suggestions: list[dict[str, Any]] = Field(
        description="Best first: start_seconds, end_seconds, bars, score, reasons."
    )
    bpm: float | None = Field(description="Tempo, where there is one.")
    seconds: float = Field(description="Length of the sound.")
    source: str = Field(description="Id of the sound, for the inpainting that may follow.")
    notices: list[str] = Field(description="Why there are none, or how else they were found.")

    @classmethod
    def of(cls, job: Job) -> "SuggestionsView":
        """Show what a finished job found."""
        return cls(source=job.spec["source"], **dict(job.report or {}))


@api.post(
    "/inpaint",
    request_body=documentation.order_request("inpaint"),
    responses=jobs.TAKEN,
)
def inpaint(query: jobs.Asking, header: parsing.IdempotencyHeader) -> Response:
    """Submit an inpainting, as `POST /jobs` with the kind inpaint does."""
    return jobs.submitted(query, header, kind="inpaint")


@api.post(
    "/inpaint/suggest",
    request_body=documentation.order_request("suggest"),
    responses=answers(
        {200: SuggestionsView, 202: views.Receipt}, 400, 409, 413, 415, 422, 429, 503, 507
    ),
)
def suggest() -> Response:
    """List windows where something could be put; 202 with a receipt when that takes longer."""
    with parsing.submission("audio") as sent:
        taken = intake.submit(current(), jobs.order_of(sent, kind="suggest"))
    job = current().jobs.wait(taken.job.id, seconds=SUGGESTING_SECONDS)
    if job.status is Status.FINISHED:
        return SuggestionsView.of(job).answer()
    if job.error is not None:
        ending = errors.failure_of_ending(job.error.code, job.error.message)
        return errors.respond(ending, views.refusal)
    return jobs.confirmed(taken)
