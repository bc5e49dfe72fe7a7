"""Failures as answers: always JSON, never a trace, never the text of an unexpected exception.

Each family of routes says its errors in its own shape; which status and code a failure has is
decided here once.
"""

import dataclasses
import errno
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from flask import Blueprint, Flask, Response, jsonify
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from server import errors
from server.jobs.kind import refusal_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What a client is told about something that went wrong."""

    status: int
    code: str
    message: str
    field: str | None = None
    position: int | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


Shape = Callable[[Failure], Mapping[str, Any]]
"""Returns the JSON object that a family of routes says a failure with."""

_NAMES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media",
    416: "range_not_satisfiable",
}


_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What a system says when a body that waits on disk does not fit there."""


def _unchanged(failure: Failure, _error: Exception) -> Failure:
    return failure


def attach(
    routes: Flask | Blueprint,
    shape: Shape,
    *,
    retell: Callable[[Failure, Exception], Failure] = _unchanged,
) -> None:
    """Answer every failure of these routes in a shape; `retell` may change what is told."""

    def answer(error: Exception) -> Response:
        return respond(retell(failure_of(error), error), shape)

    def unexpected(error: Exception) -> Response:
        log.error("a request failed unexpectedly", exc_info=error)
        return respond(failure_of(error), shape)

    for kind in (errors.MelodyflowError, HTTPException):
        routes.register_error_handler(kind, answer)
    routes.register_error_handler(Exception, unexpected)


def respond(failure: Failure, shape: Shape) -> Response:
    """Return the answer that says a failure."""
    response = jsonify(shape(failure))
    response.status_code = failure.status
    response.headers.update(failure.headers)
    return response


def failure_of(error: Exception) -> Failure:
    """Return what is told about an exception; only our own errors have their text told."""
    if isinstance(error, errors.MelodyflowError):
        return Failure(
            status=error.status,
            code=error.code,
            message=error.message,
            field=error.field,
            position=getattr(error, "position", None),
            headers={**_retry_after(error.retry_after_seconds), **_challenge(error)},
        )
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return failure_of(errors.StorageFailed("There is no room for this on the server."))
    if isinstance(error, HTTPException):
        status = error.code or 500
        message = error.description or error.name
        headers = {name: text for name, text in error.get_headers() if name != "Content-Type"}
        code = _NAMES.get(status, "http_error")
        return Failure(status=status, code=code, message=message, headers=headers)
    base = errors.MelodyflowError()
    return Failure(status=base.status, code=base.code, message=base.message)


def failure_of_ending(code: str, message: str) -> Failure:
    """Return what is told about a job that failed with a code."""
    return Failure(status=_statuses().get(code, 500), code=code, message=message)


def _retry_after(seconds: int | None) -> dict[str, str]:
    return {} if seconds is None else {"Retry-After": str(seconds)}


def _challenge(error: errors.MelodyflowError) -> dict[str, str]:
    return {"WWW-Authenticate": "Bearer"} if isinstance(error, errors.Unauthorized) else {}


def _statuses() -> dict[str, int]:
    found: dict[str, int] = {}
    pending = [errors.MelodyflowError]
    while pending:
        kind = pending.pop()
        found[kind.code] = kind.status
        pending.extend(kind.__subclasses__())
    return found


def refuse_parameters(error: ValidationError) -> NoReturn:
    """Turn what pydantic found wrong in a path or query into our error, without its input.

    Raises:
        errors.InvalidInput: always.
    """
    raise refusal_of(error) from error


def as_at_capacity(failure: Failure, error: Exception) -> Failure:
    """Retell a full queue the way the old services did: 503."""
    if not isinstance(error, errors.QueueFull):
        return failure
    before = errors.AtCapacity()
    return replace(failure, status=before.status, code=before.code, message=before.message)


def as_bad_request(failure: Failure, error: Exception) -> Failure:
    """Retell wrong input the way the old services did: 400, whatever was wrong with it."""
    return replace(failure, status=400) if isinstance(error, errors.InvalidInput) else failure
