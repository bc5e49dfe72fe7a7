"""Job kind `picture`: draws what a finished job made of what.

The server orders it by itself when somebody looks at a report: drawing takes a second of work, and
the web process computes nothing. It belongs to nobody, so that it does not wait behind the long
jobs of its reader; the file belongs to the owner of the job it shows, and expires with it.
"""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any

from pydantic import Field

from server import errors
from server.jobs.context import Context
from server.jobs.kind import JobSpec
from server.jobs.record import Job, Output, Role, Status
from server.kinds import recipe
from server.media.bounded import READERS
from server.media.clip import Clip

NAME = "picture"
QUEUE = "audio"
SUMMARY = "Draws what a job made: notes and chords over the sound, what was kept below."

IS_INTERNAL = True
"""No order of a client asks for it: `GET /jobs/<id>/report.png` does."""

NO_SOUND = "This job made no sound out of another one, so there is nothing to draw."
NO_SUCH_RESULT = "The job has fewer results than that."


class Spec(JobSpec):
    """Which job, and which of its results."""

    job: Annotated[str, Field(max_length=64)]
    result: Annotated[int, Field(ge=1)] = 1


def can_show(job: Job) -> bool:
    """Whether a job has sounds to compare."""
    return job.status is Status.FINISHED and bool(job.spec.get("source") and job.results)


def shown(job: Job, result: int) -> tuple[str, Output]:
    """Return the source's id and the file of a finished job that a picture compares.

    Raises:
        errors.NotFound: the job is of another kind, or has fewer results.
    """
    source = job.spec.get("source")
    if not source or not job.results:
        raise errors.NotFound(NO_SOUND)
    if result > len(job.results):
        raise errors.NotFound(NO_SUCH_RESULT)
    return str(source), job.results[result - 1]


def run(spec: Spec, ctx: Context) -> None:
    """Read the sounds and the notes, draw, store."""
    job = ctx.another(spec.job)
    source_id, output = shown(job, spec.result)
    ctx.report(0.05, stage="reading")
    source, result = (
        READERS.decode(ctx.read(each), max_seconds=None) for each in (source_id, output.artifact_id)
    )
    ctx.report(0.3, stage="drawing")
    data = _drawn(report_of(job, spec.result), source, result, _notes(job, output, ctx))
    number = f"-{spec.result}" if spec.result > 1 else ""
    ctx.save(
        data,
        name=f"report{number}.png",
        media_type="image/png",
        role=Role.PICTURE,
        owner=job.owner,
        expires_at=job.expires_at,
    )
    ctx.conclude(seed=None, report={}, recipe=recipe.of(NAME, spec, None))


def _notes(job: Job, output: Output, ctx: Context) -> bytes | None:
    """Return the MIDI file that lies beside a result, None where there is none any more."""
    for each in job.outputs:
        if each.role is Role.MIDI and PurePath(each.name).stem == PurePath(output.name).stem:
            try:
                return ctx.read(each.artifact_id)
            except errors.NotFound:
                return None
    return None


def _drawn(report: Mapping[str, Any], source: Clip, result: Clip, notes: bytes | None) -> bytes:
    """Return the notes over the result they sound as, or both sounds beside each other."""
    # the web process imports this module for its Spec alone; scipy stays out of it
    from server.media import midi, picture, score_picture  # noqa: PLC0415

    if notes is not None:
        return score_picture.report_picture(source, result, midi.decode(notes), report)
    is_judged = "gates" in (report.get("kept") or {})
    return picture.comparison_picture(
        source,
        result,
        titles=("Source", _title(report)),
        kept=report["kept"] if is_judged else None,
        inserts=report.get("windows") or (),
    )


def report_of(job: Job, number: int) -> Mapping[str, Any]:
    """Return what is said of one result of a job."""
    report = job.report or {}
    several = report.get("variations") or [report]
    return dict(several[min(number, len(several)) - 1])


def _title(report: Mapping[str, Any]) -> str:
    words = report.get("custom_prompt") or report.get("variation") or "result"
    return str(words).replace("_", " ")[:60]
