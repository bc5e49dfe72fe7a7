"""What the plugins' routes answer with. Made from records; decides nothing."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, Field

from server.jobs.estimates import Outlook
from server.jobs.ports import Session
from server.jobs.record import Job
from server.web.errors import Failure
from server.web.plugin import acts, wording
from server.web.plugin.sessions import Standing
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
    """A job that was taken."""

    success: bool = _DONE
    session_id: str = Field(description="Poll, undo and go on with it.")
    seed: int | None = Field(description="The seed that is really used.")
    message: str = Field(description=_FOR_PEOPLE)
    note: str = Field(description="Which route to poll.")

    @classmethod
    def of(cls, job: Job) -> Self:
        """Confirm it."""
        session_id = str(job.session_id)
        note = f"Poll /api/juce/poll_status/{session_id} for progress and result"
        begun = acts.likened(job).begun
        return cls(session_id=session_id, seed=job.seed, message=begun, note=note)


class Parameters(BaseModel):
    """How a language model was asked to draw."""

    top_k: int | None = Field(None, description="Of how many of the likeliest tokens.")
    temperature: float | None = Field(None, description="Higher is wilder.")
    cfg_coef: float | None = Field(None, description="How strongly the words guide.")


class SessionData(BaseModel):
    """What a session was last played with; null where it never was."""

    model_name: str | None = Field(None, description="The weights that were asked for.")
    prompt_duration: float | None = Field(None, description="Seconds of the sound that were heard.")
    parameters: Parameters = Field(
        default_factory=Parameters, description="Of the newest job, where it is a continuation."
    )
    description: str | None = Field(None, description="The words of that job.")

    @classmethod
    def of(cls, session: Session, job: Job | None) -> Self:
        """Show a session and its newest job."""
        known = cls(model_name=session.model_name, prompt_duration=session.prompt_duration)
        if job is None or not acts.likened(job).is_generation:
            return known
        facts = {"parameters": Parameters(**_drawing(job)), "description": job.spec.get("prompt")}
        return known.model_copy(update=facts)


def _drawing(job: Job) -> dict[str, Any]:
    return {name: job.spec.get(name) for name in Parameters.model_fields}


class Polled(View):
    """How a session's newest job stands; one record, read once."""

    success: bool = Field(True, description="True even where the job failed.")
    session_id: str = _SESSION
    transform_in_progress: bool = Field(description="Falls as the result or error appears.")
    generation_in_progress: bool = Field(description="The same, of a continuation.")
    progress: int = Field(description="From 0 to 100.")
    status: str = Field(description="queued, warming, processing, completed, failed or unknown.")
    error: str | None = Field(None, description="Why it failed, in a sentence.")
    audio_data: str | None = Field(None, description="The result as base64 of a WAV file.")
    seed: int | None = Field(None, description="The seed that is really used.")
    generation_seed: int | None = Field(None, description="The same, of a continuation.")
    queue_status: dict[str, Any] = Field(description="Its status is never empty while a job lives.")
    session_data: SessionData = Field(description="What the session was last played with.")

    @classmethod
    def waiting(cls, here: Standing, job: Job, outlook: Outlook) -> Self:
        """Show a job that has not ended."""
        is_generation = acts.likened(job).is_generation
        return cls(
            **_common(here, job),
            transform_in_progress=not is_generation,
            generation_in_progress=is_generation,
            progress=wording.percent(job),
            status=str(wording.state_of(job)),
            queue_status=wording.queue_status(job, outlook),
        )

    @classmethod
    def completed(cls, here: Standing, job: Job, audio: str) -> Self:
        """Show a result."""
        return cls(
            **_common(here, job),
            **_NOTHING_IN_PROGRESS,
            progress=100,
            status=str(wording.State.COMPLETED),
            audio_data=audio,
            queue_status=wording.queue_status(job),
        )

    @classmethod
    def failed(cls, here: Standing, job: Job, error: str) -> Self:
        """Show a job without a result."""
        return cls(
            **_common(here, job),
            **_NOTHING_IN_PROGRESS,
            progress=wording.percent(job),
            status=str(wording.State.FAILED),
            error=error,
            queue_status={**wording.queue_status(job), "status": str(wording.State.FAILED)},
        )

    @classmethod
    def idle(cls, here: Standing) -> Self:
        """Show a session that has had no job."""
        return cls(
            **_NOTHING_IN_PROGRESS,
            session_id=here.session.id,
            progress=0,
            status="unknown",
            queue_status={},
            session_data=SessionData.of(here.session, None),
        )


_NOTHING_IN_PROGRESS = {"transform_in_progress": False, "generation_in_progress": False}


def _common(here: Standing, job: Job) -> dict[str, Any]:
    is_generation = acts.likened(job).is_generation
    return {
        "session_id": here.session.id,
        "seed": job.seed,
        "generation_seed": job.seed if is_generation else None,
        "session_data": SessionData.of(here.session, job),
    }


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
    model_name: str | None = Field(None, description="What it was last played with.")
    prompt_duration: float | None = Field(None, description="Seconds that were heard of it.")
    error: str | None = Field(None, description="Why there is none.")


def plugin_refusal(failure: Failure) -> Mapping[str, Any]:
    """Return how plugins are told of a failure."""
    sentence = wording.final(failure.message)
    return PluginRefusal(error=sentence, code=failure.code, field=failure.field).model_dump()
