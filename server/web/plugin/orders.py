"""Transforms as plugins ask for them: the same order as through any other door."""

from server import errors
from server.jobs.record import Job
from server.kinds import choices
from server.kinds import transform as kind
from server.web import intake
from server.web.intake import Once
from server.web.plugin import sessions
from server.web.plugin.payload import Fields
from server.web.services import Services

_PASSED_ON = (
    "flowstep",
    "solver",
    "seed",
    "strength",
    "bpm",
    "engine",
    "start_seconds",
    "end_seconds",
)


def submit(
    services: Services,
    sent: Fields,
    *,
    audio: bytes | None,
    session_id: str,
    once: Once | None = None,
) -> Job:
    """Submit a transform; without audio it is of what the session had last.

    Raises:
        errors.InvalidInput: a field or the audio is wrong, or there is none.
        errors.TooLong: there is too much audio.
        errors.Busy: the session has an unfinished job.
        errors.Unavailable: too many jobs wait, or the queue cannot be reached.
    """
    parameters = _parameters(sent)
    if audio is None:
        parameters["source"] = _last_audio(services, session_id)
    is_new = services.sessions.find(session_id) is None
    if is_new:
        sessions.change(services, session_id)
    order = intake.Order(
        kind=kind, parameters=parameters, audio=audio, session_id=session_id, once=once
    )
    try:
        job = intake.submit(services, order).job
    except errors.MelodyflowError as error:
        if is_new and not isinstance(error, errors.Busy):
            services.sessions.delete(session_id)
        raise
    if is_new and job.session_id != session_id:  # the same request came twice at once
        services.sessions.delete(session_id)
    return job


def _parameters(sent: Fields) -> dict[str, object]:
    given = {name: value for name, value in sent.items() if value not in (None, "")}
    if "variations" in given:
        raise errors.InvalidInput(kind.ONE_AT_A_TIME, field="variations")
    words = given.get("custom_prompt", given.get("prompt"))
    variation = given.get("variation", choices.CUSTOM if words else None)
    if variation is None:
        raise errors.InvalidInput("variation is missing.", field="variation")
    if variation == choices.CUSTOM and words is None:
        raise errors.InvalidInput("variation custom needs a custom_prompt.", field="custom_prompt")
    solver = given.get("solver")
    if isinstance(solver, str):
        given["solver"] = solver.lower()
    passed_on = {name: given[name] for name in _PASSED_ON if name in given}
    return {"variation": variation, "custom_prompt": words, **passed_on}


def _last_audio(services: Services, session_id: str) -> str:
    artifact_id = sessions.last_audio(services, session_id)
    if artifact_id is None:
        raise errors.InvalidInput(sessions.NO_AUDIO, field="audio_data")
    return artifact_id
