"""What clients put into an event: an object, or text of one with backslashes gone astray."""

import json
import re
from collections.abc import Mapping
from typing import Any

from server import errors
from server.kinds import continuation
from server.web import parsing

Fields = Mapping[str, Any]

MOST_PROMPT_SECONDS = continuation.USUAL_SECONDS - 1
"""How much of a sound may be heard: of half a minute a second at least is new."""

_MOST_WRAPPINGS = 3
_MODEL_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}(/[A-Za-z0-9._-]{1,100})?")


def fields(payload: object) -> Fields:
    """Return the fields of a payload; nothing at all is an object without fields.

    Raises:
        errors.InvalidInput: it is neither an object nor the JSON text of one.
    """
    for _ in range(_MOST_WRAPPINGS):
        if isinstance(payload, str):
            payload = _read(payload)
    if payload is None:
        return {}
    if not isinstance(payload, dict):
        raise errors.InvalidInput("Invalid JSON format: an object is expected.")
    return payload


def session_id(sent: Fields) -> str | None:
    """Return the session a client names, None where it names none.

    Raises:
        errors.InvalidInput: no session has such an id.
    """
    value = sent.get("session_id")
    if isinstance(value, str):
        value = value.replace("\\", "").strip()
    return parsing.session_id(value)


def named_session_id(sent: Fields) -> str:
    """Return the session a client has to name.

    Raises:
        errors.InvalidInput: it names none, or one that cannot be.
    """
    named = session_id(sent)
    if named is None:
        raise errors.InvalidInput("No session ID provided", field="session_id")
    return named


def model_name(sent: Fields) -> str | None:
    """Return the weights a client names, without backslashes gone astray; None where it does not.

    Raises:
        errors.InvalidInput: no weights have such a name.
    """
    value = sent.get("model_name")
    if value is None:
        return None
    name = parsing.word(value, field="model_name").replace("\\", "").strip()
    if name and not _MODEL_NAME.fullmatch(name):
        words = "model_name must be the name of weights, such as owner/name."
        raise errors.InvalidInput(words, field="model_name")
    return name or None


def prompt_duration(sent: Fields) -> float | None:
    """Return how many seconds of a sound shall be heard; None where a client does not say.

    Raises:
        errors.InvalidInput: it is no number, or so much is not heard.
    """
    value = sent.get("prompt_duration")
    if value is None or value == "":
        return None
    seconds = _number(value)
    shortest, longest = continuation.SHORTEST_PROMPT, MOST_PROMPT_SECONDS
    if seconds is None or not shortest <= seconds <= longest:
        words = f"prompt_duration must be a number from {shortest:g} to {longest:g}, in seconds."
        raise errors.InvalidInput(words, field="prompt_duration")
    return seconds


def audio(sent: Fields, field: str) -> bytes | None:
    """Return the audio in a field, None where there is none.

    Raises:
        errors.InvalidInput: it is not base64.
    """
    value = sent.get(field)
    if value is None or value == "":
        return None
    with parsing.turn():
        return parsing.audio_bytes(value, field=field)


def whole_number(sent: Fields, field: str) -> int:
    """Return a whole number, sent as a number or as its digits.

    Raises:
        errors.InvalidInput: it is something else.
    """
    value = sent.get(field)
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise errors.InvalidInput(f"{field} must be a whole number.", field=field)
    return value


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _read(text: str) -> Any:
    for candidate in (text, text.replace("\\", "")):
        try:
            return json.loads(candidate)
        except (ValueError, RecursionError):
            continue
    raise errors.InvalidInput("Invalid JSON format: this is not JSON.")
