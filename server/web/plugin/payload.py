"""What clients put into an event: an object, or text of one with backslashes gone astray."""

import json
from collections.abc import Mapping
from typing import Any

from server import errors
from server.web import parsing

Fields = Mapping[str, Any]

_MOST_WRAPPINGS = 3


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


def _read(text: str) -> Any:
    for candidate in (text, text.replace("\\", "")):
        try:
            return json.loads(candidate)
        except (ValueError, RecursionError):
            continue
    raise errors.InvalidInput("Invalid JSON format: this is not JSON.")
