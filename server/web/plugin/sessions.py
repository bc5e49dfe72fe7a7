"""What a session remembers: the audio that undo, crop, restore and transform-again refer to."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from server import errors
from server.jobs.ports import Session
from server.jobs.record import Job, new_id, now
from server.web import intake
from server.web.plugin import acts
from server.web.services import Services

NOTHING_TO_UNDO = "No previous audio found to undo to"
NO_AUDIO = "No audio data available"
NOTHING_TO_RETRY = "No last input audio available for retry"


@dataclass(frozen=True, slots=True)
class Standing:
    """A session and its newest job, read once."""

    session: Session
    job: Job | None


@dataclass(frozen=True, slots=True)
class Kept:
    """Audio that a session was given, and whether the session is new."""

    session_id: str
    is_new: bool
    size_bytes: int


def standing(services: Services, session_id: str) -> Standing:
    """Return how a session stands.

    Raises:
        errors.NoSuchSession: it was never there, or was cleaned up.
    """
    session = services.sessions.find(session_id)
    job = services.jobs.newest_in_session(session_id)
    if session is None and (job is None or job.status.is_final):
        raise errors.NoSuchSession
    return Standing(session or Session(id=session_id), job)


def keep(services: Services, audio: bytes, *, session_id: str | None, **remembered: Any) -> Kept:
    """Store audio as what a session last had; without a session one is made.

    `remembered` is what else the session shall know.

    Raises:
        errors.InvalidInput: this is no audio.
        errors.TooLong: there is too much of it.
    """
    artifact = intake.keep(services, audio, name="source")
    session_id = session_id or new_id()
    is_new = services.sessions.find(session_id) is None
    change(services, session_id, last_processed=artifact.id, **remembered)
    return Kept(session_id, is_new, artifact.size_bytes)


def undo(services: Services, session_id: str) -> str:
    """Return the artifact that was submitted last; the session has that again.

    Undoing twice is undoing once.

    Raises:
        errors.InvalidInput: nothing was submitted.
    """
    try:
        here = standing(services, session_id)
    except errors.NoSuchSession as error:
        raise errors.InvalidInput(NOTHING_TO_UNDO, field="session_id") from error
    source = _submitted(here.job) or here.session.transform_input
    if source is None:
        raise errors.InvalidInput(NOTHING_TO_UNDO, field="session_id")
    if here.job is None or here.job.status.is_final:  # a running job writes this at its end
        change(services, session_id, last_processed=source)
    return source


def last_input(services: Services, session_id: str) -> str:
    """Return the artifact that a session's newest job was given, to be done once more.

    Raises:
        errors.NoSuchSession: there is no such session.
        errors.InvalidInput: it has had no job.
    """
    here = standing(services, session_id)
    source = _submitted(here.job) or here.session.last_input
    if source is None:
        raise errors.InvalidInput(NOTHING_TO_RETRY, field="session_id")
    return source


def has_unfinished(services: Services, session_id: str) -> bool:
    """Whether a session has a job that waits or runs."""
    job = services.jobs.newest_in_session(session_id)
    return job is not None and not job.status.is_final


def busy(services: Services, session_id: str) -> errors.Busy:
    """Return how a second job of a session is refused: by what the first one is."""
    job = services.jobs.newest_in_session(session_id)
    return errors.Busy(acts.likened(job).busy if job is not None else None)


def last_audio(services: Services, session_id: str) -> str | None:
    """Return the artifact a session had last, None where there is none."""
    session = services.sessions.find(session_id)
    return session.last_processed if session else None


def forget(services: Services, session_id: str) -> None:
    """Forget a session and stop its job."""
    with suppress(errors.NoSuchSession):  # somebody else's: as if it were not there
        services.sessions.find(session_id)
        job = services.jobs.newest_in_session(session_id)
        if job is not None and not job.status.is_final:
            with suppress(errors.Conflict):  # it may have ended meanwhile
                services.jobs.cancel(job.id)
        services.sessions.delete(session_id)


def change(services: Services, session_id: str, **changes: Any) -> None:
    """Note something in a session, which is made if it is not there."""
    session = services.sessions.find(session_id) or Session(id=session_id)
    services.sessions.put(replace(session, updated_at=now(), **changes))


def _submitted(job: Job | None) -> str | None:
    source = job.spec.get("source") if job else None
    return source if isinstance(source, str) else None
