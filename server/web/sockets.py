"""Socket.IO: who may connect, and how events are answered.

One of the two places with a broad `except`: a handler that stumbles answers `error`, with the trace
in the log alone. Every event may be acknowledged; the acknowledgement of a failure has `error`.
"""

import logging
from collections.abc import Callable

import flask_socketio
from flask_socketio import SocketIO

from server import errors
from server.web import callers, parsing
from server.web.following import Following
from server.web.hearing import Hearing
from server.web.lines import Lines
from server.web.plugin import payload, wording
from server.web.plugin.conversation import Answer, Conversation, reply
from server.web.plugin.payload import Fields
from server.web.retelling import Retelling
from server.web.services import Services, current
from server.web.visitors import Visitors, connection_id

log = logging.getLogger(__name__)

THREADS_FOR_HTTP = 64
"""Threads of the web process that connections leave to everything else."""


def register(socketio: SocketIO, services: Services) -> None:
    """Answer everything that connections send."""
    conversation = Conversation(services)
    visitors = Visitors(services)
    most = services.settings.web_threads - THREADS_FOR_HTTP
    _admit(socketio, visitors, most=most)
    Lines(socketio.server, most=most, is_welcome=visitors.is_welcome).attach()
    following = Following(current)
    native = {"follow": following.follow, "unfollow": following.unfollow}
    for name, answer in {**native, **conversation.answers}.items():
        socketio.on_event(name, _answered(answer, visitors))
    socketio.on_event("disconnect", _parted(conversation, following, visitors))
    if isinstance(socketio.server.manager, Hearing):
        socketio.server.manager.on_return = Retelling(
            socketio=socketio,
            services=services,
            following=following,
            presence=conversation.presence,
        ).tell


def _admit(socketio: SocketIO, visitors: Visitors, *, most: int) -> None:
    """Refuse who has no key, and those beyond `most`: each takes a thread while it lasts."""

    def connect(auth: object = None) -> None:
        if len(socketio.server.eio.sockets) > most:
            log.warning("connection refused, %s are open", most)
            raise flask_socketio.ConnectionRefusedError(errors.AtCapacity().message)
        try:
            visitors.enter(connection_id(), auth)
        except errors.MelodyflowError as error:
            told = {"code": error.code}
            raise flask_socketio.ConnectionRefusedError(error.message, told) from error

    socketio.on_event("connect", connect)


def _parted(
    conversation: Conversation, following: Following, visitors: Visitors
) -> Callable[[str], None]:
    def parted(reason: str) -> None:
        conversation.goodbye(reason)
        following.goodbye(connection_id())
        visitors.leave(connection_id())

    return parted


def _answered(answer: Answer, visitors: Visitors) -> Callable[..., object]:
    """Wrap what answers an event: any payload comes in, and failures become answers."""

    def on_event(*payloads: object) -> object:
        sent: Fields = {}
        try:
            callers.let_in(visitors.caller(connection_id()))
            sent = payload.fields(payloads[0] if payloads else None)
            return answer(sent)
        except errors.MelodyflowError as error:
            return _refused(sent, error)
        except Exception:
            log.exception("an event failed unexpectedly")
            return _refused(sent, errors.MelodyflowError())

    return on_event


def _refused(sent: Fields, error: errors.MelodyflowError) -> object:
    if isinstance(error, errors.QueueFull):
        error = errors.AtCapacity()  # as these clients know it
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
