"""What the plugins' routes answer with. Made from records; decides nothing."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field

from server.jobs.record import Job
from server.web.errors import Failure
from server.web.plugin import wording
from server.web.views import View


class PluginRefusal(View):
    """A failure, as plugins read it."""

    success: bool = False
    error: str = Field(description="A sentence for people.")
    code: str = Field(description="For programs.")
    field: str | None = Field(None, description="The input that is wrong, where it is one.")


class Submitted(View):
    """A transform that was taken."""

    success: bool = True
    session_id: str
    seed: int | None = Field(description="The seed that is really used.")
    message: str = "Transform started"
    note: str

    @classmethod
    def of(cls, job: Job) -> Self:
        """Confirm a transform."""
        session_id = str(job.session_id)
        note = f"Poll /api/juce/poll_status/{session_id} for progress and result"
        return cls(session_id=session_id, seed=job.seed, note=note)


class Polled(View):
    """How a session's newest job stands; one record, read once."""

    success: bool = True
    session_id: str
    transform_in_progress: bool
    generation_in_progress: bool = False
    progress: int = Field(description="From 0 to 100.")
    status: str = Field(description="queued, warming, processing, completed, failed or unknown.")
    error: str | None = None
    audio_data: str | None = Field(None, description="The result as base64 of a WAV file.")
    seed: int | None = None
    queue_status: dict[str, Any] = Field(description="Its status is never empty while a job lives.")

    @classmethod
    def waiting(cls, job: Job, *, ahead: int, total: int) -> Self:
        """Show a job that has not ended."""
        return cls(
            session_id=str(job.session_id),
            transform_in_progress=True,
            progress=wording.percent(job),
            status=str(wording.state_of(job)),
            seed=job.seed,
            queue_status=wording.queue_status(job, ahead=ahead, total=total),
        )

    @classmethod
    def completed(cls, job: Job, audio: str) -> Self:
        """Show a result."""
        return cls(
            session_id=str(job.session_id),
            transform_in_progress=False,
            progress=100,
            status=str(wording.State.COMPLETED),
            audio_data=audio,
            seed=job.seed,
            queue_status=wording.queue_status(job),
        )

    @classmethod
    def failed(cls, job: Job, error: str) -> Self:
        """Show a job without a result."""
        return cls(
            session_id=str(job.session_id),
            transform_in_progress=False,
            progress=wording.percent(job),
            status=str(wording.State.FAILED),
            error=error,
            seed=job.seed,
            queue_status={**wording.queue_status(job), "status": str(wording.State.FAILED)},
        )

    @classmethod
    def idle(cls, session_id: str) -> Self:
        """Show a session that has had no job."""
        return cls(
            session_id=session_id,
            transform_in_progress=False,
            progress=0,
            status="unknown",
            queue_status={},
        )


class Undone(View):
    """The audio before a transform."""

    success: bool = True
    session_id: str
    audio_data: str
    message: str = "Transform undone"


class Cropped(View):
    """Audio that a session took."""

    success: bool = True
    session_id: str
    message: str = "Audio updated"
    auto_created: bool = Field(description="Whether the session was made for it.")


class Latest(View):
    """The audio a session had last, for clients that lost it."""

    status: str = Field(description="success, in_progress, not_found or no_audio.")
    session_id: str
    audio_data: str | None = None
    model_name: str | None = None
    prompt_duration: float | None = None
    error: str | None = None


def plugin_refusal(failure: Failure) -> Mapping[str, Any]:
    """Return how plugins are told of a failure."""
    sentence = wording.final(failure.message)
    return PluginRefusal(error=sentence, code=failure.code, field=failure.field).model_dump()
