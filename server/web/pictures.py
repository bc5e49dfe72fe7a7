"""`/jobs/<id>/report.png`: what a finished job made of what, to be looked at.

A worker draws it, once for each result; this process orders that, waits, and hands over the file.
"""

from typing import Annotated

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field

from server import errors
from server.jobs.ports import Artifact
from server.jobs.record import Job, Role, Status, now
from server.jobs.service import JobService
from server.kinds import picture
from server.web import artifacts, asking_views, documentation, jobs
from server.web.documentation import answers
from server.web.services import Services, current

MOST_TRIES = 3
"""Of drawing a picture; one that fails so often fails of the sounds, and is not tried again."""

NOT_FINISHED = "The job is {}; there is a picture of it once it is finished."
STILL_DRAWING = "The picture is being drawn; ask again in a moment."
NOT_DRAWN = "The picture could not be drawn."

api = APIBlueprint(
    "pictures", __name__, abp_tags=[documentation.tag("jobs", "Work to be looked at.")]
)


class Viewing(jobs.Waiting):
    """Which result, and how long to wait for its picture."""

    wait: Annotated[float, Field(ge=0, le=jobs.LONGEST_WAIT_SECONDS, allow_inf_nan=False)] = Field(
        jobs.LONGEST_WAIT_SECONDS, description="Give up after this many seconds with 503."
    )
    result: Annotated[int, Field(ge=1, lt=2**31)] = Field(
        1, description="Of a job with several results: which one, in their order."
    )
    variation: Annotated[int, Field(ge=1, lt=2**31)] | None = Field(
        None, description="The same, as transforms of several variations call it."
    )
    download: bool = Field(default=False, description="Ask browsers to save it, not to show it.")


@api.get(
    "/jobs/<id>/report.png",
    responses=answers(
        {
            200: documentation.picture("Notes and chords over the sound, what was kept below."),
            206: documentation.picture("A part of it."),
            304: None,
            410: asking_views.ExpiredJob,
        },
        404,
        409,
        416,
        422,
        429,
        503,
    ),
)
def look(path: jobs.JobPath, query: Viewing) -> Response:
    """Show a finished job as a picture; it is drawn when it is first asked for."""
    services = current()
    job = services.jobs.get(path.id)
    if job.is_expired(now()):
        return asking_views.ExpiredJob.of(job, errors.Expired().message).answer(410)
    if job.status is not Status.FINISHED:
        raise errors.Conflict(NOT_FINISHED.format(job.status))
    number = query.variation or query.result
    source_id, result = picture.shown(job, number)
    # whoever deletes a sound shall not find it in a picture
    for sound in (source_id, result.artifact_id):
        services.artifacts.get(sound)
    drawn = _stored(services, job) if number == 1 else None
    drawn = drawn or _drawn(services, job, number, seconds=query.wait)
    return artifacts.deliver(drawn, download=query.download)


def _stored(services: Services, job: Job) -> Artifact | None:
    """Return the picture that a job drew by itself, None where it drew none."""
    for output in job.outputs:
        if output.role is Role.PICTURE:
            return _kept(services, output.artifact_id)
    return None


def _drawn(services: Services, job: Job, number: int, *, seconds: float) -> Artifact:
    """Return the picture of a result once a worker has drawn it.

    Raises:
        errors.Unavailable: that takes longer.
        errors.EngineFailed: it cannot be drawn.
    """
    # nobody's, whoever looks: it must not wait for the one long job that its reader may run
    everybody = services.jobs.seen_by(None, lambda _owner: True)
    for attempt in range(MOST_TRIES):
        drawing = _ordered(everybody, job, number, attempt)
        drawing = everybody.wait(drawing.id, seconds=seconds)
        if not drawing.status.is_final:
            raise errors.Unavailable(STILL_DRAWING, retry_after_seconds=2)
        for output in drawing.outputs:
            if (found := _kept(services, output.artifact_id)) is not None:
                return found
    raise errors.EngineFailed(NOT_DRAWN)


def _ordered(everybody: JobService, job: Job, number: int, attempt: int) -> Job:
    """Return the one job that draws this picture; it is ordered when it is first asked for."""
    # no client can choose such a key: theirs begin with an owner and a colon
    key = f"picture {job.id} {number} {attempt}"
    drawing = everybody.earlier(key, None)
    if drawing is not None:
        return drawing
    spec = picture.Spec(job=job.id, result=number)
    return everybody.submit(picture, spec, idempotency_key=key, source_seconds=job.source_seconds)


def _kept(services: Services, artifact_id: str) -> Artifact | None:
    try:
        return services.artifacts.get(artifact_id)
    except errors.NotFound:  # deleted, and to be drawn again
        return None
