"""The Socket.IO events of plugins and front servers.

Each method answers one event; what happens to jobs later is told by `server.web.emissions`. Runs
in the request of a connection and speaks to that connection alone.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import flask_socketio
from flask import request

from server import errors
from server.jobs.events import Emission
from server.jobs.record import Job, new_id
from server.web import callers, emissions, parsing, rooms
from server.web.plugin import acts, chunks, orders, payload, sessions, sound, wording
from server.web.plugin.acts import Act
from server.web.plugin.delivery import Delivery
from server.web.plugin.payload import Fields
from server.web.plugin.presence import Presence
from server.web.services import Services

Answer = Callable[[Fields], object]

_NOTHING_TO_GO_ON_FROM = "No session ID provided and no audio data to create session"

_CLEAN_GOODBYES = frozenset({"client disconnect", "server disconnect", "transport close"})


def reply(name: str, facts: Mapping[str, Any]) -> None:
    """Send an event to the connection that is being answered."""
    # past the message queue: nobody else has that connection
    flask_socketio.emit(name, dict(facts), ignore_queue=True)


class Conversation:
    """Answers events of any number of connections.

    Attributes:
        presence: which connections are in which session's room.
    """

    def __init__(self, services: Services) -> None:
        """Take the services; nobody is connected yet."""
        self._all = services
        self.presence = Presence()
        self._delivery = Delivery(services, self.presence)
        most = services.settings.max_body_megabytes * 2**20
        self._uploads = chunks.Uploads(most_characters=most)

    @property
    def _services(self) -> Services:
        """The services as the caller of the present event meets them."""
        return self._all.seen_by(callers.current())

    @property
    def answers(self) -> Mapping[str, Answer]:
        """Who answers which event."""
        return {
            **{act.request: partial(self.order, act) for act in acts.ACTS},
            "undo_transform_request": self.undo,
            "update_cropped_audio": self.crop,
            "cleanup_session_request": self.clean_up,
            "verify_session": self.verify,
            "request_progress_status": self.tell_progress,
            "restore_processed_audio": self.restore,
            "begin_restore_audio": self.begin_restore,
            "audio_chunk": self.take_chunk,
        }

    def order(self, act: Act, sent: Fields) -> None:
        """Submit what is asked for; the job's events confirm it."""
        named = orders.session_id(act, sent)
        if named is not None:
            self._services.sessions.find(named)  # nobody joins another one's session
        self._refuse_second(named)
        session_id = named or new_id()
        has_joined = self._join(session_id)
        try:
            audio = payload.audio(sent, "audio_data")
            if act.is_generation and named is None and audio is None:
                raise errors.InvalidInput(_NOTHING_TO_GO_ON_FROM, field="audio_data")
            orders.submit(self._services, sent, act=act, audio=audio, session_id=session_id)
        except errors.MelodyflowError:
            if has_joined:
                self._leave(session_id)
            raise

    def undo(self, sent: Fields) -> None:
        """Give back the audio that was submitted last."""
        session_id = payload.named_session_id(sent)
        source = sessions.undo(self._services, session_id)
        audio = sound.base64_wav(self._services.artifacts, source)
        reply("transform_undone", {"audio_data": audio, "session_id": session_id})

    def crop(self, sent: Fields) -> None:
        """Replace the audio a session had last."""
        kept = self._keep(sent, payload.audio(sent, "audio_data"))
        reply(
            "update_cropped_audio_complete",
            {
                "message": "Audio updated",
                "session_id": kept.session_id,
                "auto_created": kept.is_new,
            },
        )

    def clean_up(self, sent: Fields) -> None:
        """Forget a session; what still comes of its job is not told to this connection."""
        session_id = payload.named_session_id(sent)
        self._leave(session_id)
        self._uploads.drop(_upload(session_id))
        sessions.forget(self._services, session_id)
        reply("cleanup_complete", {"message": "Session cleaned up", "session_id": session_id})

    def verify(self, sent: Fields) -> object:
        """Let a client that reconnected back into its session and tell it what it missed."""
        session_id = payload.named_session_id(sent)
        sessions.standing(self._services, session_id)
        self._join(session_id)
        job = self._services.jobs.newest_in_session(session_id)
        if job is not None and not job.status.is_final:
            _tell(self._place(job))
            _tell(emissions.progress(job))
        missed = self._delivery.missed(session_id, _connection())
        if missed is not None:
            _tell(emissions.ending(missed, self._services.artifacts))
        return {"session_id": session_id}

    def tell_progress(self, sent: Fields) -> None:
        """Tell how far a session's newest job is, or why it goes no further."""
        session_id = payload.named_session_id(sent)
        job = sessions.standing(self._services, session_id).job
        if job is None:
            raise errors.NoSuchSession
        if wording.state_of(job) is wording.State.FAILED:  # progress would have it ask for ever
            _tell(emissions.ending(job, self._services.artifacts))
        else:
            _tell(emissions.progress(job))

    def restore(self, sent: Fields) -> None:
        """Take audio that a client kept while the session was forgotten."""
        kept = self._keep(sent, payload.audio(sent, "audio_data"), about=_played_with(sent))
        _tell_restored(kept)

    def begin_restore(self, sent: Fields) -> None:
        """Make ready for audio in pieces."""
        session_id = payload.session_id(sent) or new_id()
        self._uploads.begin(_upload(session_id))
        reply("ready_for_chunks", {"session_id": session_id, "chunk_size": chunks.CHUNK_SIZE})

    def take_chunk(self, sent: Fields) -> None:
        """Take one piece; the last one makes the audio whole."""
        session_id = payload.named_session_id(sent)
        piece = chunks.Piece(
            index=payload.whole_number(sent, "chunk_index"),
            total=payload.whole_number(sent, "total_chunks"),
            text=parsing.word(sent.get("chunk"), field="chunk"),
            about=_played_with(sent),
        )
        arrived = self._uploads.add(_upload(session_id), piece)
        counted = {"chunk_index": piece.index, "total_chunks": piece.total}
        here = {"session_id": session_id}
        reply("chunk_received", {**here, **counted, "received_chunks": arrived.received})
        if not arrived.missing:
            self._complete(session_id)
        elif parsing.is_yes(sent.get("is_last")):
            reply("chunks_missing", {**here, "missing_chunks": list(arrived.missing)})

    def goodbye(self, reason: str) -> None:
        """Note that the connection ended."""
        self._delivery.goodbye(_connection(), is_clean=reason in _CLEAN_GOODBYES)

    def _complete(self, session_id: str) -> None:
        whole = self._uploads.take(_upload(session_id))
        with parsing.turn():
            audio = _joined(whole.texts)
        _tell_restored(self._keep({"session_id": session_id}, audio, about=whole.about))

    def _keep(
        self, sent: Fields, audio: bytes | None, *, about: Mapping[str, Any] | None = None
    ) -> sessions.Kept:
        if audio is None:
            raise errors.InvalidInput("No audio data provided", field="audio_data")
        session_id = payload.session_id(sent)
        kept = sessions.keep(self._services, audio, session_id=session_id, **(about or {}))
        self._join(kept.session_id)
        return kept

    def _refuse_second(self, named: str | None) -> None:
        """Refuse what would be a second job: clients that press twice may not know their session.

        Raises:
            errors.Busy: there is an unfinished one.
        """
        for session_id in [named] if named else self.presence.sessions_of(_connection()):
            if sessions.has_unfinished(self._services, session_id):
                raise sessions.busy(self._services, session_id)

    def _place(self, job: Job) -> Iterable[Emission]:
        return emissions.place_in_queue(job, self._services.jobs.outlook(job))

    def _join(self, session_id: str) -> bool:
        rooms.join(session_id)
        return self.presence.enter(_connection(), session_id)

    def _leave(self, session_id: str) -> None:
        rooms.leave(session_id)
        self.presence.leave(_connection(), session_id)


def _upload(session_id: str) -> str:
    """Return the name of an upload: nobody adds to another one's."""
    return f"{callers.current().id}/{session_id}"


def _connection() -> str:
    return str(request.sid)  # type: ignore[attr-defined]  # Flask-SocketIO adds it


def _tell(news: Iterable[Emission]) -> None:
    for emission in news:
        reply(emission.name, emission.payload)


def _tell_restored(kept: sessions.Kept) -> None:
    reply(
        "restore_complete",
        {
            "message": "Audio restored",
            "session_id": kept.session_id,
            "data_size": kept.size_bytes,
        },
    )


def _played_with(sent: Fields) -> dict[str, Any]:
    """Return what a client says its audio was played with, as far as it does."""
    said = {
        "model_name": payload.model_name(sent),
        "prompt_duration": payload.prompt_duration(sent),
    }
    return {name: value for name, value in said.items() if value is not None}


def _joined(pieces: list[str]) -> bytes:
    """Return what pieces are together: one text that was cut, or texts encoded one by one."""
    try:
        return parsing.audio_bytes("".join(pieces), field="chunk")
    except errors.InvalidInput:
        return b"".join(parsing.audio_bytes(each, field="chunk") for each in pieces)
