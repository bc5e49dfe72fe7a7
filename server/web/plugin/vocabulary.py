"""Every Socket.IO event: who says it, with which fields, and what it means.

Models of what is sent; tests hold every message of every story against them. `described` is the
part of the OpenAPI document that OpenAPI has no words for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from server.web import views
from server.web.plugin import requests


@dataclass(frozen=True, slots=True)
class Phrase:
    """One event: what it says, what it means, and which events answer it if all goes well."""

    fields: type[BaseModel]
    meaning: str
    answers: tuple[str, ...] = ()


class Told(BaseModel):
    """Something the server says to the clients of one session."""

    model_config = ConfigDict(extra="forbid", strict=True)

    session_id: str = Field(description="Whose news this is; also the room it is sent to.")


class QueueStatus(Told):
    """Where a job stands."""

    message: str = Field(description="A sentence for people.")
    position: int = Field(description="1 is next; 0 once it runs.")
    total_queued: int = Field(description="How many jobs wait.")
    estimated_time: str | None = Field(
        description="Until there is a result, in words; null without history and once it runs."
    )
    estimated_seconds: int = Field(description="The same as a number; 0 where it is null.")
    status: str = Field(description="queued, warming or processing; never empty.")


class QueuePosition(Told):
    """The place in the queue, by its older name."""

    position: int = Field(description="1 is next.")


class ProgressUpdate(Told):
    """How far a job is."""

    progress: int = Field(description="Whole percent, 0 to 100; never goes back within an attempt.")


class Progress(Told):
    """How far a job is, by its older name."""

    progress: float = Field(description="0 to 99.9 while it runs, then 100.")


class Sound(Told):
    """Audio."""

    audio_data: str = Field(description="A WAV file in base64, on one line.")


class Transformed(Sound):
    """A result."""

    variation: str = Field(description="The preset it was made with.")


class Succeeded(Told):
    """A transform that succeeded, by its older name."""

    status: str = Field(description="Always success.")


class JobDone(Told):
    """A job that succeeded, by its older name."""

    job_id: str = Field(description="The job's id.")


class JobFailed(JobDone):
    """A job that did not, by its older name."""

    error: str = Field(description="A sentence for people.")


class TransformError(Told):
    """A transform that did not succeed, by its older name."""

    error: str = Field(description="A sentence for people.")


class Refused(BaseModel):
    """What was wrong."""

    model_config = ConfigDict(extra="forbid", strict=True)

    message: str = Field(description="A sentence for people; always there.")
    code: str = Field(description="For programs; DATA_TOO_LARGE or one of the failures below.")
    field: str | None = Field(None, description="The field that is wrong, where it is one.")
    session_id: str | None = Field(None, description="The session, where it is known.")


class Previewed(BaseModel):
    """What can be heard of a followed job before its end."""

    model_config = ConfigDict(extra="forbid", strict=True)

    job_id: str = Field(description="The job's id.")
    artifacts: list[dict[str, Any]] = Field(
        description="One unfinished sound a variation, as in the job's view."
    )


class Restarted(BaseModel):
    """A followed job whose worker is gone."""

    model_config = ConfigDict(extra="forbid", strict=True)

    job_id: str = Field(description="The job's id.")
    version: int = Field(description="Of the job after it.")
    attempt: int = Field(description="How often it had been started.")


class Message(Told):
    """A confirmation."""

    message: str = Field(description="A sentence for people.")


class Cropped(Message):
    """Audio that a session took."""

    auto_created: bool = Field(description="Whether the session was made for it.")


class Restored(Message):
    """Audio that came back."""

    data_size: int = Field(description="Bytes of the audio file.")


class ReadyForChunks(Told):
    """Where pieces may go."""

    chunk_size: int = Field(description="Characters that a piece should have.")


class ChunkReceived(Told):
    """A piece that came."""

    chunk_index: int = Field(description="Which.")
    total_chunks: int = Field(description="Of how many.")
    received_chunks: int = Field(description="How many are there.")


class ChunksMissing(Told):
    """Pieces that did not."""

    missing_chunks: list[int] = Field(description="Their indices.")


ASKED: Mapping[str, Phrase] = {
    "transform_audio_request": Phrase(
        requests.TransformRequest,
        "Transform audio, or what the session had last.",
        ("transform_audio_received", "queue_status", "progress_update", "audio_transformed"),
    ),
    "process_audio_request": Phrase(
        requests.ProcessRequest,
        "Make 30 s of music that begin as a sound does.",
        ("process_audio_received", "queue_status", "progress_update", "audio_processed"),
    ),
    "continue_music_request": Phrase(
        requests.ContinueRequest,
        "Go on where a sound ends, or where what the session had last does.",
        ("continue_music_received", "queue_status", "progress_update", "music_continued"),
    ),
    "retry_music_request": Phrase(
        requests.RetryRequest,
        "Do once more what the session's last job was given.",
        ("retry_music_received", "queue_status", "progress_update", "music_retried"),
    ),
    "undo_transform_request": Phrase(
        requests.SessionRequest, "Give back what was submitted last.", ("transform_undone",)
    ),
    "update_cropped_audio": Phrase(
        requests.CropRequest,
        "Replace the audio a session had last.",
        ("update_cropped_audio_complete",),
    ),
    "cleanup_session_request": Phrase(
        requests.SessionRequest, "Forget a session and stop its job.", ("cleanup_complete",)
    ),
    "verify_session": Phrase(
        requests.SessionRequest,
        "Let a client that reconnected back in; what it missed is sent once.",
        (
            "queue_status",
            "progress_update",
            "audio_transformed",
            "audio_processed",
            "music_continued",
            "music_retried",
        ),
    ),
    "request_progress_status": Phrase(
        requests.ProgressRequest, "Ask how far the newest job is.", ("progress_update",)
    ),
    "restore_processed_audio": Phrase(
        requests.RestoredRequest,
        "Bring audio back that the client kept while its session was forgotten.",
        ("restore_complete",),
    ),
    "begin_restore_audio": Phrase(
        requests.RestoreRequest, "Announce audio in pieces.", ("ready_for_chunks",)
    ),
    "audio_chunk": Phrase(
        requests.ChunkRequest,
        "Bring one piece; the last one to arrive makes the audio whole.",
        ("chunk_received", "chunks_missing", "restore_complete"),
    ),
    "follow": Phrase(
        requests.FollowRequest,
        "Hear every change of a job; the acknowledgement is the job's view.",
        ("job", "restarted", "preview"),
    ),
    "unfollow": Phrase(requests.JobRequest, "Hear no more of it.", ()),
}
"""What clients say. A request that fails is answered by `error`."""

TOLD: Mapping[str, Phrase] = {
    "transform_audio_received": Phrase(Told, "The request was taken."),
    "process_audio_received": Phrase(Told, "The request was taken."),
    "continue_music_received": Phrase(Told, "The request was taken."),
    "retry_music_received": Phrase(Told, "The request was taken."),
    "queue_status": Phrase(QueueStatus, "Where the job stands, whenever that changes."),
    "queue_position": Phrase(QueuePosition, "Its place, for clients of the first service."),
    "progress_update": Phrase(ProgressUpdate, "How far the job is, at most twice a second."),
    "progress": Phrase(Progress, "The same, for clients of the first service."),
    "audio_transformed": Phrase(Transformed, "The result."),
    "audio_processed": Phrase(Sound, "The result: the beginning of the sound, and what is new."),
    "music_continued": Phrase(Sound, "The result: the whole sound, and what is new."),
    "music_retried": Phrase(Sound, "The result of another try."),
    "transform_complete": Phrase(Succeeded, "After the result, for clients of the first service."),
    "job_complete": Phrase(JobDone, "The last of a job that succeeded."),
    "error": Phrase(Refused, "A request was refused, or a job ended without a result."),
    "transform_error": Phrase(TransformError, "After a transform's error, for older clients."),
    "job_failed": Phrase(JobFailed, "The last of a job that did not succeed."),
    "transform_undone": Phrase(Sound, "What was submitted last."),
    "update_cropped_audio_complete": Phrase(Cropped, "The audio was taken."),
    "cleanup_complete": Phrase(Message, "The session is forgotten."),
    "restore_complete": Phrase(Restored, "The audio is back."),
    "ready_for_chunks": Phrase(ReadyForChunks, "Pieces may come."),
    "chunk_received": Phrase(ChunkReceived, "A piece came."),
    "chunks_missing": Phrase(ChunksMissing, "The client thought it was done; these are missing."),
    "job": Phrase(views.JobView, "A followed job, as `GET /jobs/{id}` shows it."),
    "restarted": Phrase(
        Restarted, "A followed job waits again, and begins anew: its worker died or was ended."
    ),
    "preview": Phrase(Previewed, "What can be heard of a followed job before its end."),
}
"""What the server says: to those who follow a job `job`, `restarted` and `preview`, all else to a
session or to who asked."""


def described() -> dict[str, Any]:
    """Return all of it as JSON Schema, by who says it."""
    return {
        "client": {name: _described(phrase) for name, phrase in ASKED.items()},
        "server": {name: _described(phrase) for name, phrase in TOLD.items()},
    }


def _described(phrase: Phrase) -> dict[str, Any]:
    return {
        "description": phrase.meaning,
        "payload": _payload(phrase.fields),
        "answers": list(phrase.answers),
    }


def _payload(fields: type[BaseModel]) -> dict[str, Any]:
    if issubclass(fields, views.View):  # routes answer with it, so it is described already
        return {"$ref": f"#/components/schemas/{fields.__name__}"}
    return fields.model_json_schema()
