"""`/transform` and `/cleanup` as the first MelodyFlow service had them: a translation, no logic.

Field names, texts and statuses are what its clients know. Input that is wrong is 400 here, whatever
is wrong with it; trouble with a model is never the client's fault.
"""

import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flask import Response, request
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, Field

from server import errors
from server.jobs.record import Job, Status
from server.kinds import choices
from server.kinds import transform as kind
from server.media import formats
from server.web import documentation, intake, legacy_views, parsing, transfer, views
from server.web import errors as failures
from server.web.documentation import answers
from server.web.services import current

SEED_HEADER = "X-Melodyflow-Seed"
SOLVERS = ("euler", "midpoint")

_PREFIXES: Mapping[type[Exception], str] = {
    errors.NoSuchVariation: "Failed to process audio: ",
    errors.UnreadableAudio: "Failed to load audio: ",
    errors.UnsupportedMedia: "Failed to load audio: ",
}

_PASSED_ON = ("strength", "bpm", "engine", "start_seconds", "end_seconds")

api = APIBlueprint(
    "legacy",
    __name__,
    abp_tags=[documentation.tag("transform", "The contract of the first MelodyFlow service.")],
)


class TransformRequest(BaseModel):
    """A transform, as older clients ask for it."""

    variation: str | None = Field(None, description="A preset, or custom with custom_prompt.")
    transformation_type: str | None = Field(None, description="Another name for variation.")
    session_id: str | None = Field(None, description="Made up where it is missing.")
    audio: str | None = Field(None, description="Base64 of an audio file.")
    audio_data: str | None = Field(None, description="Another name for audio.")
    audio_file_path: str | None = Field(
        None, description="A file in the server's transfer directory; wins over audio."
    )
    flowstep: float | str | None = Field(
        None, description="In (0, 1]; higher stays closer to the source. Unset: the preset's."
    )
    solver: str = Field("euler", description="euler or midpoint.")
    custom_prompt: str | None = Field(None, description="Replaces the preset's prompt.")
    prompt: str | None = Field(None, description="Another name for custom_prompt.")
    seed: int | None = Field(None, description="-1 or none draws one.")
    strength: float | None = Field(None, description="In [0, 1]; how much the arranger changes.")
    bpm: float | None = Field(None, description="The tempo, if it is known.")
    engine: str = Field("auto", description="auto, or an engine's name.")
    start_seconds: float | None = Field(
        None, description="Only what follows it changes; every sample before stays as it is."
    )
    end_seconds: float | None = Field(
        None, description="Only what precedes it changes; every sample from there on stays."
    )
    is_async: bool = Field(
        default=False, alias="async", description="Answer 202 at once; poll for the result."
    )


class JobPath(BaseModel):
    """Which job."""

    job_id: str


@dataclass(frozen=True, slots=True)
class _Asked:
    order: intake.Order
    is_async: bool


@api.post(
    "/transform",
    request_body=documentation.form_request(TransformRequest, file_field="audio"),
    responses=answers(
        {200: legacy_views.TransformView, 202: legacy_views.WaitingView},
        400,
        404,
        409,
        413,
        415,
        503,
        507,
        refusal=legacy_views.PlainRefusal,
    ),
)
def transform(header: parsing.IdempotencyHeader) -> Response:
    """Transform a sound and answer with the result, or with 202 when asked to be `async`."""
    with parsing.submission("audio", "audio_data") as sent:
        asked = _understood(sent)
        order = replace(asked.order, once=intake.once(header.key, sent))
        job = intake.submit(current(), order).job
    if not asked.is_async:
        job = current().jobs.wait(job.id, seconds=current().settings.transform_wait_seconds)
    if job.status in (Status.FAILED, Status.CANCELLED):
        return failures.respond(_failure_of(job), legacy_views.plain_refusal)
    return _finished(job) if job.status is Status.FINISHED else _waiting(job)


@api.get(
    "/transform/status/<job_id>",
    responses=answers(
        {
            200: legacy_views.TransformView,
            202: legacy_views.WaitingView,
            400: legacy_views.FailedView,
        },
        404,
        410,
        503,
        refusal=legacy_views.PlainRefusal,
    ),
)
def transform_status(path: JobPath) -> Response:
    """Poll a transform: 202 while it waits or runs, then its result, or 400 if it failed."""
    job = current().jobs.get(path.job_id)
    if job.kind != kind.NAME:
        raise errors.NoSuchJob
    if job.status is Status.FINISHED:
        return _finished(job)
    if job.status.is_final:
        return legacy_views.FailedView.of(job).answer(400)
    return _waiting(job)


@api.post(
    "/cleanup",
    responses=answers({200: legacy_views.MessageView}, 503, refusal=legacy_views.PlainRefusal),
)
def cleanup() -> Response:
    """Ask the workers to unload their engines; the next job loads them again."""
    services = current()
    is_loaded = any(note.loaded for note in services.live_workers())
    services.queue.ask_unload()
    done, nothing = "Model cleaned up successfully", "No model to cleanup"
    return legacy_views.MessageView(message=done if is_loaded else nothing).answer()


def _understood(sent: parsing.Submission) -> _Asked:
    """Translate the fields.

    Raises:
        errors.InvalidInput: with the texts older clients know.
    """
    fields = {name: value for name, value in sent.fields.items() if not _is_blank(value)}
    prompt = fields.get("custom_prompt", fields.get("prompt"))
    variation = fields.get("variation", fields.get("transformation_type"))
    if "variations" in fields:
        raise errors.InvalidInput(kind.ONE_AT_A_TIME, field="variations")
    if variation is None and prompt is None:
        raise errors.InvalidInput("Missing required data", field="variation")
    parameters: dict[str, Any] = {
        "variation": variation or choices.CUSTOM,
        "custom_prompt": prompt,
        "flowstep": _flowstep(fields.get("flowstep")),
        "solver": _solver(fields.get("solver", "euler")),
        "seed": fields.get("seed"),
        **{name: fields[name] for name in _PASSED_ON if name in fields},
    }
    session_id = parsing.session_id(fields.get("session_id")) or uuid.uuid4().hex
    order = intake.Order(
        kind=kind, parameters=parameters, audio=_audio(sent, fields), session_id=session_id
    )
    return _Asked(order, parsing.is_yes(fields.get("async")))


def _is_blank(value: object) -> bool:
    return value is None or value == ""


def _audio(sent: parsing.Submission, fields: Mapping[str, Any]) -> bytes:
    settings = current().settings
    if "audio_file_path" in fields:
        return transfer.read(
            fields["audio_file_path"],
            folder=settings.audio_transfer_dir,
            most_bytes=settings.max_body_megabytes * 2**20,
        )
    if sent.audio is None:
        raise errors.InvalidInput("No audio data or file path provided", field="audio")
    return sent.audio


def _flowstep(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise errors.InvalidInput("Invalid flowstep value", field="flowstep")
    try:
        flowstep = float(value)
    except (ValueError, OverflowError) as error:
        raise errors.InvalidInput("Invalid flowstep value", field="flowstep") from error
    if flowstep <= 0:
        raise errors.InvalidInput("Flowstep must be positive", field="flowstep")
    if math.isnan(flowstep) or flowstep > 1:
        raise errors.InvalidInput("Invalid flowstep value", field="flowstep")
    return flowstep


def _solver(value: object) -> str:
    solver = value.lower() if isinstance(value, str) else ""
    if solver not in SOLVERS:
        raise errors.InvalidInput("Invalid solver", field="solver")
    return solver


def _finished(job: Job) -> Response:
    audio = current().artifacts.read(job.results[0].artifact_id)
    seed = str(job.seed)
    wav = formats.FORMATS["wav"].media_type
    if _wants_sound(wav):
        response = Response(audio, content_type=wav)
        response.headers.set("Content-Disposition", "attachment", filename="transformed_audio.wav")
    else:
        response = legacy_views.TransformView.of(job, audio).answer()
    response.headers[SEED_HEADER] = seed
    return response


def _wants_sound(media_type: str) -> bool:
    accept = request.accept_mimetypes
    return accept.quality(media_type) > accept.quality(views.JSON)


def _waiting(job: Job) -> Response:
    outlook = current().jobs.outlook(job)
    answer = legacy_views.WaitingView.of(job, outlook=outlook).answer(202)
    answer.headers[SEED_HEADER] = str(job.seed)
    return answer


def _failure_of(job: Job) -> failures.Failure:
    if job.error is None:
        return failures.Failure(status=409, code="cancelled", message="The job was cancelled.")
    failure = failures.failure_of_ending(job.error.code, job.error.message)
    return replace(failure, status=400) if failure.status in (415, 422) else failure


def _as_older_clients_know(failure: failures.Failure, error: Exception) -> failures.Failure:
    if isinstance(error, errors.NoSuchJob):
        return replace(failure, message="Job not found")
    failure = failures.as_at_capacity(failures.as_bad_request(failure, error), error)
    return replace(failure, message=_PREFIXES.get(type(error), "") + failure.message)


failures.attach(api, legacy_views.plain_refusal, retell=_as_older_clients_know)
