"""Continuations as plugins ask for them, in the words of the job kind that makes them.

What is left unsaid is as the session had it, as far as that is the choice of weights and how much
of the sound is heard; everything else has its default.
"""

from collections.abc import Mapping
from typing import Any

from server.jobs.ports import Session
from server.jobs.record import Job
from server.kinds import continuation as kind
from server.web.plugin import acts, payload
from server.web.plugin.acts import Act
from server.web.plugin.payload import Fields

PROMPT_SECONDS = 6.0
"""How much is heard where nobody says."""

DESCRIPTIONS: Mapping[str, str] = {
    "thepatch/gary_orchestra": "an orchestra with strings, brass and piano, as for a film",
    "thepatch/gary_orchestra_2": "an orchestra with strings, brass and piano, as for a film",
}
"""Words for weights that were never played without any."""

_PASSED_ON = ("top_k", "top_p", "temperature", "cfg_coef", "seed", "bpm", "engine")

_AFTER_ITS_START: Mapping[str, Any] = {
    "prompt_from": "start",
    "total_seconds": kind.USUAL_SECONDS,
}
_AFTER_ITS_END: Mapping[str, Any] = {"prompt_from": "end"}


def remembered(sent: Fields, session: Session) -> dict[str, Any]:
    """Return what a session remembers of a request: weights, and how many seconds are heard.

    Raises:
        errors.InvalidInput: one of them cannot be.
    """
    return {
        "model_name": payload.model_name(sent) or session.model_name,
        "prompt_duration": payload.prompt_duration(sent)
        or session.prompt_duration
        or PROMPT_SECONDS,
    }


def parameters(act: Act, sent: Fields, *, session: Session, newest: Job | None) -> dict[str, Any]:
    """Return the parameters of a continuation; the sound comes beside them.

    Once more is from the same part of the sound as the session's newest job.

    Raises:
        errors.InvalidInput: a field is wrong.
    """
    known = remembered(sent, session)
    given = {name: sent[name] for name in _PASSED_ON if sent.get(name) not in (None, "")}
    is_of_start = act is acts.PROCESS or (act is acts.RETRY and _is_of_start(newest))
    return {
        "model": known["model_name"] or "",
        "prompt": _words(sent, known["model_name"]),
        "prompt_duration": known["prompt_duration"],
        **(_AFTER_ITS_START if is_of_start else _AFTER_ITS_END),
        **given,
    }


def _words(sent: Fields, model_name: str | None) -> object:
    words = sent.get("description")
    is_blank = words is None or (isinstance(words, str) and not words.strip())
    return DESCRIPTIONS.get(model_name or "") if is_blank else words


def _is_of_start(job: Job | None) -> bool:
    return job is not None and job.spec.get("prompt_from") == "start"
