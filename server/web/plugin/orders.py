"""What plugins ask for, as an order like that of any other door."""

from typing import Any

from server import errors
from server.jobs.ports import Session
from server.jobs.record import Job
from server.kinds import choices, continuation
from server.kinds import transform as kind
from server.web import intake
from server.web.intake import Once
from server.web.plugin import acts, generations, payload, sessions
from server.web.plugin.acts import Act
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


def session_id(act: Act, sent: Fields) -> str | None:
    """Return the session a request is for; None where one has to be made.

    Raises:
        errors.InvalidInput: another try names none, or one that cannot be.
    """
    return payload.named_session_id(sent) if act is acts.RETRY else payload.session_id(sent)


def submit(
    services: Services,
    sent: Fields,
    *,
    audio: bytes | None,
    session_id: str,
    act: Act = acts.TRANSFORM,
    once: Once | None = None,
) -> Job:
    """Submit what was asked for; without audio it is of what the session had last.

    Another try never is of audio that comes with it.

    Raises:
        errors.InvalidInput: a field or the audio is wrong, or there is none.
        errors.TooLong: there is too much audio.
        errors.Busy: the session has an unfinished job.
        errors.Unavailable: too many jobs wait, or the queue cannot be reached.
    """
    if act is acts.RETRY:
        audio = None
    order = _order(services, act, sent, audio=audio, session_id=session_id, once=once)
    is_new = services.sessions.find(session_id) is None
    _note(services, act, sent, session_id=session_id)
    try:
        job = intake.submit(services, order).job
    except errors.Busy as error:
        raise sessions.busy(services, session_id) from error
    except errors.MelodyflowError:
        if is_new:
            services.sessions.delete(session_id)
        raise
    if is_new and job.session_id != session_id:  # the same request came twice at once
        services.sessions.delete(session_id)
    return job


def _order(
    services: Services,
    act: Act,
    sent: Fields,
    *,
    audio: bytes | None,
    session_id: str,
    once: Once | None,
) -> intake.Order:
    if act.is_generation:
        session = services.sessions.find(session_id) or Session(id=session_id)
        newest = services.jobs.newest_in_session(session_id)
        parameters = generations.parameters(act, sent, session=session, newest=newest)
    else:
        parameters = _of_transform(sent)
    if audio is None:
        parameters["source"] = _known_source(services, act, session_id)
    return intake.Order(
        kind=continuation if act.is_generation else kind,
        parameters=parameters,
        audio=audio,
        session_id=session_id,
        asked_as=act.name,
        once=once,
    )


def _note(services: Services, act: Act, sent: Fields, *, session_id: str) -> None:
    """Have a session know what is asked for; a new one is made."""
    session = services.sessions.find(session_id)
    if session is None or not sessions.has_unfinished(services, session_id):
        session = session or Session(id=session_id)
        noted = generations.remembered(sent, session) if act.is_generation else {}
        sessions.change(services, session_id, **noted)


def _of_transform(sent: Fields) -> dict[str, Any]:
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


def _known_source(services: Services, act: Act, session_id: str) -> str:
    """Return the artifact to work on where no sound was sent."""
    if act is acts.RETRY:
        return sessions.last_input(services, session_id)
    artifact_id = sessions.last_audio(services, session_id)
    if artifact_id is None:
        raise errors.InvalidInput(sessions.NO_AUDIO, field="audio_data")
    return artifact_id
