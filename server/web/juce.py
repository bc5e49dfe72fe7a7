"""`/api/juce/*` as the JUCE plugin polls it, and the recovery route of mobile clients.

A translation: jobs and sessions are those of every other door. The plugin ignores statuses of what
it submits and reads `success` and `error`; a failed job is a successful poll.
"""

from typing import Any

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel

from server import errors
from server.jobs.record import Job, Status, new_id
from server.web import documentation, intake, parsing
from server.web.documentation import answers
from server.web.plugin import (
    acts,
    orders,
    payload,
    refusals,
    requests,
    sessions,
    sound,
    views,
    wording,
)
from server.web.plugin.acts import Act
from server.web.plugin.sessions import Standing
from server.web.services import current

api = APIBlueprint(
    "juce", __name__, abp_tags=[documentation.tag("plugins", "The contract of the JUCE plugin.")]
)


class SessionPath(BaseModel):
    """Which session."""

    session_id: str


def _json(model: type[BaseModel]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": model.model_json_schema()}}}


_UNDO = _json(requests.SessionRequest)
_RETRY = _json(requests.RetryRequest)
_TAKEN = answers({200: views.Submitted}, 400, 404, 413, 503, 507, refusal=views.PluginRefusal)


def _with_audio(model: type[BaseModel]) -> dict[str, Any]:
    return documentation.form_request(model, file_field="audio_data")


@api.post(
    "/api/juce/transform_audio",
    request_body=_with_audio(requests.TransformRequest),
    responses=_TAKEN,
)
def transform_audio(header: parsing.IdempotencyHeader) -> Response:
    """Submit a transform; answers at once."""
    return _submitted(acts.TRANSFORM, header)


@api.post(
    "/api/juce/process_audio",
    request_body=_with_audio(requests.ProcessRequest),
    responses=_TAKEN,
)
def process_audio(header: parsing.IdempotencyHeader) -> Response:
    """Submit 30 s of music that begin as a sound does; answers at once."""
    return _submitted(acts.PROCESS, header)


@api.post(
    "/api/juce/continue_music",
    request_body=_with_audio(requests.ContinueRequest),
    responses=_TAKEN,
)
def continue_music(header: parsing.IdempotencyHeader) -> Response:
    """Submit what goes on where a sound ends; answers at once."""
    return _submitted(acts.CONTINUE, header)


@api.post("/api/juce/retry_music", request_body=_RETRY, responses=_TAKEN)
def retry_music(header: parsing.IdempotencyHeader) -> Response:
    """Submit once more what a session's last job was given; answers at once."""
    return _submitted(acts.RETRY, header)


@api.get(
    "/api/juce/poll_status/<session_id>",
    responses=answers({200: views.Polled}, 404, 503, refusal=views.PluginRefusal),
)
def poll_status(path: SessionPath) -> Response:
    """Tell how a session's newest job stands, with its result once there is one."""
    session_id = _of_path(path)
    here = sessions.standing(current(), session_id)
    return (views.Polled.idle(here) if here.job is None else _polled(here, here.job)).answer()


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
    return views.Latest(
        status="success",
        session_id=session_id,
        audio_data=audio,
        model_name=here.session.model_name,
        prompt_duration=here.session.prompt_duration,
    ).answer()


def _of_path(path: SessionPath) -> str:
    """Return the session in a path.

    Raises:
        errors.NoSuchSession: no session has such an id.
    """
    try:
        return payload.named_session_id(path.model_dump())
    except errors.InvalidInput as error:
        raise errors.NoSuchSession from error


def _submitted(act: Act, header: parsing.IdempotencyHeader) -> Response:
    with parsing.submission("audio_data") as sent:
        once = intake.once(header.key, sent, asked_as=act.name)
        job = intake.earlier(current(), once)
        if job is None:
            job = orders.submit(
                current(),
                sent.fields,
                act=act,
                audio=sent.audio,
                session_id=orders.session_id(act, sent.fields) or new_id(),
                once=once,
            )
    return views.Submitted.of(job).answer()


def _polled(here: Standing, job: Job) -> views.Polled:
    services = current()
    if not job.status.is_final:
        return views.Polled.waiting(here, job, services.jobs.outlook(job))
    if job.status is not Status.FINISHED:
        return views.Polled.failed(here, job, wording.error_of(job).message)
    if not job.results:  # it makes no sound, so there is nothing to wait for
        return views.Polled.idle(here)
    try:
        audio = sound.base64_wav(services.artifacts, job.results[0].artifact_id)
    except errors.NotFound as error:
        return views.Polled.failed(here, job, error.message)
    return views.Polled.completed(here, job, audio)


def _no_audio(session_id: str, status: str, error: str) -> Response:
    return views.Latest(status=status, session_id=session_id, error=error).answer(404)


refusals.attach(api)
