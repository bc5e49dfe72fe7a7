"""Socket.IO: who may connect, how events are answered, and following a job.

One of the two places with a broad `except`: a handler that stumbles answers `error`, with the trace
in the log alone. Every event may be acknowledged; the acknowledgement of a failure has `error`.
"""

import logging
from collections.abc import Callable

import flask_socketio
from flask_socketio import SocketIO

from server import errors
from server.web import emissions, parsing
from server.web.plugin import payload, wording
from server.web.plugin.conversation import Answer, Conversation, reply
from server.web.plugin.payload import Fields
from server.web.services import Services

log = logging.getLogger(__name__)

THREADS_FOR_HTTP = 64
"""Threads of the web process that connections leave to everything else."""

_LONGEST_JOB_ID = 64


def register(socketio: SocketIO, services: Services) -> None:
    """Answer everything that connections send."""
    conversation = Conversation(services)
    _admit(socketio, most=services.settings.web_threads - THREADS_FOR_HTTP)
    native = {"follow": _follow(services), "unfollow": _unfollow}
    for name, answer in {**native, **conversation.answers}.items():
        socketio.on_event(name, _answered(answer))
    socketio.on_event("disconnect", conversation.goodbye)


def _admit(socketio: SocketIO, *, most: int) -> None:
    """Refuse connections beyond `most`: each takes a thread for as long as it lasts."""

    def connect(_auth: object = None) -> None:
        if len(socketio.server.eio.sockets) > most:
            log.warning("connection refused, %s are open", most)
            raise flask_socketio.ConnectionRefusedError(errors.AtCapacity().message)

    socketio.on_event("connect", connect)


def _answered(answer: Answer) -> Callable[..., object]:
    """Wrap what answers an event: any payload comes in, and failures become answers."""

    def on_event(*payloads: object) -> object:
        sent: Fields = {}
        try:
            sent = payload.fields(payloads[0] if payloads else None)
            return answer(sent)
        except errors.MelodyflowError as error:
            return _refused(sent, error)
        except Exception:
            log.exception("an event failed unexpectedly")
            return _refused(sent, errors.MelodyflowError())

    return on_event


def _refused(sent: Fields, error: errors.MelodyflowError) -> object:
    message = wording.sentence(error)
    session_id = sent.get("session_id")
    known = {"session_id": session_id} if _is_session_id(session_id) else {}
    told = {"message": message, "code": error.code}
    if (field := wording.field_of(error)) is not None:
        told["field"] = field
    reply("error", {**told, **known})
    return {"error": told}


def _is_session_id(value: object) -> bool:
    try:
        return parsing.session_id(value) is not None
    except errors.InvalidInput:
        return False


def _follow(services: Services) -> Answer:
    def follow(sent: Fields) -> object:
        job_id = _job_id(sent)
        services.jobs.get(job_id)
        # read after joining: what changes in between is told, not missed
        flask_socketio.join_room(emissions.room_of(job_id))
        job = services.jobs.get(job_id)
        position = services.jobs.position(job)
        return emissions.job_view(job, position=position, artifacts=services.artifacts)

    return follow


def _unfollow(sent: Fields) -> object:
    job_id = _job_id(sent)
    flask_socketio.leave_room(emissions.room_of(job_id))
    return {"id": job_id}


def _job_id(sent: Fields) -> str:
    job_id = parsing.word(sent.get("job_id"), field="job_id")
    if not job_id or len(job_id) > _LONGEST_JOB_ID:
        raise errors.NoSuchJob
    return job_id
