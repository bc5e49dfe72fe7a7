"""`/api/juce/*` as the JUCE plugin polls it, and the recovery route of mobile clients.

A translation: jobs and sessions are those of every other door. The plugin ignores statuses of what
it submits and reads `success` and `error`; a failed job is a successful poll.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel

from server import errors
from server.jobs.record import Job, Status, new_id
from server.web import documentation, intake, parsing
from server.web import errors as failures
from server.web.documentation import answers
from server.web.plugin import orders, payload, requests, sessions, sound, views, wording
from server.web.services import current

api = APIBlueprint(
    "juce", __name__, abp_tags=[documentation.tag("plugins", "The contract of the JUCE plugin.")]
)


class SessionPath(BaseModel):
    """Which session."""

    session_id: str


_UNDO = {"content": {"application/json": {"schema": requests.SessionRequest.model_json_schema()}}}


def _with_audio(model: type[BaseModel]) -> dict[str, Any]:
    return documentation.form_request(model, file_field="audio_data")


@api.post(
    "/api/juce/transform_audio",
    request_body=_with_audio(requests.TransformRequest),
    responses=answers({200: views.Submitted}, 400, 404, 413, 503, 507, refusal=views.PluginRefusal),
)
def transform_audio(header: parsing.IdempotencyHeader) -> Response:
    """Submit a transform; answers at once."""
    with parsing.submission("audio_data") as sent:
        once = intake.once(header.key, sent)
        job = intake.earlier(current(), once)
        if job is None:
            session_id = payload.session_id(sent.fields) or new_id()
            job = orders.submit(
                current(), sent.fields, audio=sent.audio, session_id=session_id, once=once
            )
    return views.Submitted.of(job).answer()


@api.get(
    "/api/juce/poll_status/<session_id>",
    responses=answers({200: views.Polled}, 404, 503, refusal=views.PluginRefusal),
)
def poll_status(path: SessionPath) -> Response:
    """Tell how a session's newest job stands, with its result once there is one."""
    session_id = _of_path(path)
    job = sessions.standing(current(), session_id).job
    return (views.Polled.idle(session_id) if job is None else _polled(job)).answer()


@api.post(
    "/api/juce/undo_transform",
    request_body=_UNDO,
    responses=answers({200: views.Undone}, 400, 404, 503, refusal=views.PluginRefusal),
)
def undo_transform() -> Response:
    """Give back the audio that was submitted last, as WAV; twice gives the same again."""
    with parsing.submission() as sent:
        session_id = payload.named_session_id(sent.fields)
        audio = sound.base64_wav(current().artifacts, sessions.undo(current(), session_id))
    return views.Undone(session_id=session_id, audio_data=audio).answer()


@api.post(
    "/api/juce/update_cropped_audio",
    request_body=_with_audio(requests.CropRequest),
    responses=answers({200: views.Cropped}, 400, 404, 413, 503, 507, refusal=views.PluginRefusal),
)
def update_cropped_audio() -> Response:
    """Replace the audio a session had last; without a session one is made."""
    with parsing.submission("audio_data") as sent:
        if sent.audio is None:
            raise errors.InvalidInput("No audio data provided", field="audio_data")
        session_id = payload.session_id(sent.fields)
        kept = sessions.keep(current(), sent.audio, session_id=session_id)
    return views.Cropped(session_id=kept.session_id, auto_created=kept.is_new).answer()


@api.get(
    "/api/latest_generated_audio/<session_id>",
    responses=answers(
        {200: views.Latest, 202: views.Latest, 404: views.Latest}, 503, refusal=views.PluginRefusal
    ),
)
def latest_generated_audio(path: SessionPath) -> Response:
    """Give the audio a session had last to a client that lost it; 202 while a job lives."""
    try:
        here = sessions.standing(current(), session_id := _of_path(path))
    except errors.NoSuchSession as error:
        return _no_audio(path.session_id, "not_found", error.message)
    if here.job is not None and not here.job.status.is_final:
        return views.Latest(status="in_progress", session_id=session_id).answer(202)
    if here.session.last_processed is None:
        return _no_audio(session_id, "no_audio", sessions.NO_AUDIO)
    try:
        audio = sound.base64_wav(current().artifacts, here.session.last_processed)
    except errors.NotFound as error:
        return _no_audio(session_id, "no_audio", error.message)
    return views.Latest(status="success", session_id=session_id, audio_data=audio).answer()


def _of_path(path: SessionPath) -> str:
    """Return the session in a path.

    Raises:
        errors.NoSuchSession: no session has such an id.
    """
    try:
        return payload.named_session_id(path.model_dump())
    except errors.InvalidInput as error:
        raise errors.NoSuchSession from error


def _polled(job: Job) -> views.Polled:
    services = current()
    if not job.status.is_final:
        return views.Polled.waiting(job, services.jobs.outlook(job))
    if job.status is not Status.FINISHED:
        return views.Polled.failed(job, wording.error_of(job).message)
    try:
        audio = sound.base64_wav(services.artifacts, job.results[0].artifact_id)
    except errors.NotFound as error:
        return views.Polled.failed(job, error.message)
    return views.Polled.completed(job, audio)


def _no_audio(session_id: str, status: str, error: str) -> Response:
    return views.Latest(status=status, session_id=session_id, error=error).answer(404)


def _as_plugins_know(failure: failures.Failure, error: Exception) -> failures.Failure:
    if isinstance(error, errors.MelodyflowError):
        sentence, field = wording.sentence(error), wording.field_of(error)
        failure = replace(failure, message=sentence, field=field)
    failure = failures.as_at_capacity(failure, error)
    status = _STATUSES.get(failure.status, failure.status)
    return replace(failure, status=status)


_STATUSES: Mapping[int, int] = {409: 400, 410: 404, 415: 400, 422: 400}

failures.attach(api, views.plugin_refusal, retell=_as_plugins_know)
