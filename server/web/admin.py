"""`/admin`: what operators see of everybody's jobs, and those that were given up.

A job that lost one worker after another is a dead letter: it is started no more until somebody who
looked at it says so.
"""

from typing import Annotated

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, ConfigDict, Field

from server.jobs.ports import Wanted
from server.jobs.record import Status
from server.web import callers, documentation, views
from server.web.admin_views import JobsView
from server.web.documentation import answers
from server.web.jobs import JobPath
from server.web.services import current

MOST = 200
"""Jobs of one page."""

api = APIBlueprint(
    "admin",
    __name__,
    url_prefix="/admin",
    abp_tags=[documentation.tag("admin", "For operators: an admin's key is always needed.")],
)


class Page(BaseModel):
    """Which part of a list."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=MOST)] = Field(50, description="Most jobs to list.")
    before: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="The last job of the page before."
    )


class Filter(Page):
    """Which jobs."""

    status: Status | None = None
    kind: Annotated[str, Field(max_length=64)] | None = None
    owner: Annotated[str, Field(max_length=64)] | None = Field(None, description="A key's id.")


@api.get("/jobs", responses=answers({200: JobsView}, 401, 404, 422, 429, 503))
def jobs(query: Filter) -> Response:
    """List everybody's jobs, newest first."""
    return _listed(Wanted(**query.model_dump()))


@api.get("/dead-letters", responses=answers({200: JobsView}, 401, 404, 422, 429, 503))
def dead_letters(query: Page) -> Response:
    """List the jobs that were given up with their last worker and not replayed since."""
    return _listed(Wanted(**query.model_dump(), is_dead=True))


@api.post(
    "/dead-letters/<id>/replay",
    responses=answers({202: views.Receipt}, 401, 404, 409, 422, 429, 503),
)
def replay(path: JobPath) -> Response:
    """Submit a dead letter again for its owner; asked twice, the same new job is the answer."""
    callers.require_admin(always=True)
    service = current().jobs
    job = service.revive(path.id)
    receipt = views.Receipt.of(job, outlook=service.outlook(job))
    return receipt.answer(202, Location=f"/jobs/{job.id}")


def _listed(wanted: Wanted) -> Response:
    callers.require_admin(always=True)
    return JobsView.of(current().jobs.listed(wanted), limit=wanted.limit).answer()
