"""`/jobs/<id>/events`: what happened to a job, for those who were away and those who wait."""

from typing import Annotated

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field

from server.web import documentation, jobs, views
from server.web.documentation import answers
from server.web.services import current

api = APIBlueprint(
    "happenings", __name__, abp_tags=[documentation.tag("jobs", "What happened to them.")]
)


class Since(jobs.Waiting):
    """What is known already, and how long to wait for more."""

    after: Annotated[int, Field(ge=-1, lt=2**31)] = Field(
        -1, description="The version of the last event that is known; -1 is none."
    )
    wait: Annotated[float, Field(ge=0, le=jobs.LONGEST_WAIT_SECONDS, allow_inf_nan=False)] = Field(
        0, description="Answer when there is something new, or after this many seconds."
    )


@api.get("/jobs/<id>/events", responses=answers({200: views.HappeningsView}, 404, 422, 503))
def look(path: jobs.JobPath, query: Since) -> Response:
    """List what happened to a job since a version, oldest first."""
    happened = current().jobs.happenings(path.id, after=query.after, seconds=query.wait)
    return views.HappeningsView.of(path.id, happened).answer()
