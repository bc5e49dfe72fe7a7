"""What plugins and front servers may send, by routes and by events alike.

Descriptions for documents: what is really read, and how forgivingly, is `orders` and `payload`.
"""

from pydantic import BaseModel, Field

_AUDIO = "Base64 of an audio file."
_MADE_UP = "Made up where it is missing."


class TransformRequest(BaseModel):
    """A transform, as the plugin asks for it. Numbers may be sent as text."""

    audio_data: str | None = Field(
        None, description="Base64 of an audio file; without it the session's last audio is used."
    )
    session_id: str | None = Field(None, description=_MADE_UP)
    variation: str | None = Field(None, description="A preset, or custom with custom_prompt.")
    custom_prompt: str | None = Field(None, description="Replaces the preset's prompt.")
    prompt: str | None = Field(None, description="Another name for custom_prompt.")
    flowstep: float | str | None = Field(
        None, description="In (0, 1]; higher stays closer to the source. Unset: the preset's."
    )
    solver: str = Field("euler", description="euler or midpoint, in any case.")
    seed: int | str | None = Field(None, description="-1 or none draws one from 0 to 99999.")
    strength: float | str | None = Field(
        None, description="In [0, 1]; how much the arranger changes. Unset: from flowstep."
    )
    bpm: float | str | None = Field(None, description="The tempo, if the DAW knows it.")
    engine: str = Field("auto", description="auto, or an engine's name.")
    start_seconds: float | str | None = Field(
        None, description="Only what follows it changes; every sample before stays as it is."
    )
    end_seconds: float | str | None = Field(
        None, description="Only what precedes it changes; every sample from there on stays."
    )


class GenerationRequest(BaseModel):
    """How music shall go on. Numbers may be sent as text."""

    model_name: str | None = Field(
        None,
        description="Weights, as /api/models names them in path. Unset: the session's. Where they "
        "are not here another engine plays.",
    )
    prompt_duration: float | str | None = Field(
        None, description="Seconds of the sound that are heard, 1 to 29. Unset: the session's, 6."
    )
    top_k: int | str = Field(250, description="Of how many of the likeliest tokens.")
    temperature: float | str = Field(1.0, description="Higher is wilder.")
    cfg_coef: float | str = Field(3.0, description="How strongly the words guide.")
    description: str | None = Field(None, description="Words; none need be said.")
    seed: int | str | None = Field(None, description="-1 or none draws one from 0 to 99999.")
    bpm: float | str | None = Field(None, description="The tempo, if the DAW knows it.")
    engine: str = Field("auto", description="auto, or an engine's name.")


class ProcessRequest(GenerationRequest):
    """30 s of music that begin as a sound does."""

    audio_data: str | None = Field(
        None, description="Base64 of an audio file; without it the session's last audio is used."
    )
    session_id: str | None = Field(None, description=_MADE_UP)


class ContinueRequest(ProcessRequest):
    """A sound, and what comes after it: 30 s less what is heard of it."""


class RetryRequest(GenerationRequest):
    """Once more what the session's last job was given, never what came out of it."""

    session_id: str = Field(description="As the server told it.")


class SessionRequest(BaseModel):
    """Which session."""

    session_id: str = Field(description="As the server told it.")


class CropRequest(BaseModel):
    """Audio that a session goes on from."""

    audio_data: str = Field(description=_AUDIO)
    session_id: str | None = Field(None, description=_MADE_UP)


class ProgressRequest(SessionRequest):
    """Which session, and what its client saw last."""

    last_progress: float | None = Field(None, description="Not needed.")


class RestoredRequest(CropRequest):
    """Audio that a client kept, and what it was played with."""

    model_name: str | None = Field(None, description="The session knows it from then on.")
    prompt_duration: float | str | None = Field(
        None, description="The session knows it from then on."
    )


class RestoreRequest(BaseModel):
    """Where audio in pieces is to go."""

    session_id: str | None = Field(None, description=_MADE_UP)


class ChunkRequest(SessionRequest):
    """One piece of the base64 text of a file. Numbers may be sent as text."""

    chunk: str = Field(description="The piece, in ASCII.")
    chunk_index: int = Field(description="From 0 to total_chunks - 1; pieces come in any order.")
    total_chunks: int = Field(description="The same in every piece.")
    is_last: bool | None = Field(None, description="Asks which pieces are missing.")
    model_name: str | None = Field(None, description="The session knows it from then on.")
    prompt_duration: float | str | None = Field(
        None, description="The session knows it from then on."
    )


class JobRequest(BaseModel):
    """Which job."""

    job_id: str = Field(description="The job's id.")


class FollowRequest(JobRequest):
    """Which job, and what is known of it already."""

    after: int | None = Field(
        None, description="The last version known; the answer's `events` are what came since."
    )
    cancel_on_disconnect: bool = Field(
        False, description="Cancel the job when the last connection that asked for this is gone."
    )
