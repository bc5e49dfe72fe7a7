"""What the plugins' routes answer with. Made from records; decides nothing."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field

from server.jobs.estimates import Outlook
from server.jobs.record import Job
from server.web.errors import Failure
from server.web.plugin import wording
from server.web.views import View

_FOR_PEOPLE = "A sentence for people."
_DONE = Field(True, description="True: it was done.")
_SESSION = Field(description="The session.")


class PluginRefusal(View):
    """A failure, as plugins read it."""

    success: bool = Field(False, description="False: nothing was done.")
    error: str = Field(description="A sentence for people.")
    code: str = Field(description="For programs.")
    field: str | None = Field(None, description="The input that is wrong, where it is one.")


class Submitted(View):
    """A transform that was taken."""

    success: bool = _DONE
    session_id: str = Field(description="Poll, undo and transform again with it.")
    seed: int | None = Field(description="The seed that is really used.")
    message: str = Field("Transform started", description=_FOR_PEOPLE)
    note: str = Field(description="Which route to poll.")

    @classmethod
    def of(cls, job: Job) -> Self:
        """Confirm a transform."""
        session_id = str(job.session_id)
        note = f"Poll /api/juce/poll_status/{session_id} for progress and result"
        return cls(session_id=session_id, seed=job.seed, note=note)


class Polled(View):
    """How a session's newest job stands; one record, read once."""

    success: bool = Field(True, description="True even where the job failed.")
    session_id: str = _SESSION
    transform_in_progress: bool = Field(description="Falls as the result or error appears.")
    generation_in_progress: bool = Field(False, description="Of a continuation.")
    progress: int = Field(description="From 0 to 100.")
    status: str = Field(description="queued, warming, processing, completed, failed or unknown.")
    error: str | None = Field(None, description="Why it failed, in a sentence.")
    audio_data: str | None = Field(None, description="The result as base64 of a WAV file.")
    seed: int | None = Field(None, description="The seed that is really used.")
    queue_status: dict[str, Any] = Field(description="Its status is never empty while a job lives.")

    @classmethod
    def waiting(cls, job: Job, outlook: Outlook) -> Self:
        """Show a job that has not ended."""
        return cls(
            session_id=str(job.session_id),
            transform_in_progress=True,
            progress=wording.percent(job),
            status=str(wording.state_of(job)),
            seed=job.seed,
            queue_status=wording.queue_status(job, outlook),
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

    success: bool = _DONE
    session_id: str = _SESSION
    audio_data: str = Field(description="What was submitted last, as base64 of a WAV file.")
    message: str = Field("Transform undone", description=_FOR_PEOPLE)


class Cropped(View):
    """Audio that a session took."""

    success: bool = _DONE
    session_id: str = _SESSION
    message: str = Field("Audio updated", description=_FOR_PEOPLE)
    auto_created: bool = Field(description="Whether the session was made for it.")


class Latest(View):
    """The audio a session had last, for clients that lost it."""

    status: str = Field(description="success, in_progress, not_found or no_audio.")
    session_id: str = _SESSION
    audio_data: str | None = Field(None, description="Base64 of a WAV file.")
    model_name: str | None = Field(None, description="Of a continuation.")
    prompt_duration: float | None = Field(None, description="Of a continuation.")
    error: str | None = Field(None, description="Why there is none.")


def plugin_refusal(failure: Failure) -> Mapping[str, Any]:
    """Return how plugins are told of a failure."""
    sentence = wording.final(failure.message)
    return PluginRefusal(error=sentence, code=failure.code, field=failure.field).model_dump()
