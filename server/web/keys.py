"""The door of the routes: which key a request came with, and whether that may go on.

A key may be in `Authorization: Bearer`, in `X-API-Key`, or, for programs that can be given nothing
but a URL, in the query as `api_key`. That one is taken out before anybody else sees the URL: no
log, no answer and no route has it.
"""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote_plus

from flask import Flask, request

from server import errors
from server.jobs import keys
from server.web import callers
from server.web.callers import Caller
from server.web.services import Services

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PARAMETER = "api_key"

_ENVIRON = "melodyflow.api_key"
_URLS = ("RAW_URI", "REQUEST_URI")

_OPEN = ("/health", "/static/", "/docs", "/openapi.json")
"""Routes that need no key, beside the page: how the server is, and what it says of itself."""

SIGNED = "artifacts.fetch"
"""The route that checks a signed link by itself."""


def attach(app: Flask, services: Services) -> None:
    """Let nobody past without a key where keys are asked for."""

    def knock() -> None:
        text = given(request.environ)
        rule = request.url_rule.rule if request.url_rule else ""
        if request.method == "OPTIONS" or is_open(rule):
            callers.let_in(_known(services, text) or callers.NOBODY)
            return
        if text is None and services.asks_for_keys and _has_link():
            callers.let_in(callers.NOBODY)
            return
        caller = admitted(services, text)
        spend(services, caller, "requests")
        callers.let_in(caller)

    app.before_request(knock)


def admitted(services: Services, text: str | None) -> Caller:
    """Return who has this key.

    Raises:
        errors.Unauthorized: nobody has, and keys are asked for.
    """
    caller = _known(services, text)
    if caller is None:
        raise errors.Unauthorized(None if text is None else "This API key is not valid.")
    return caller


def spend(services: Services, caller: Caller, what: str) -> None:
    """Count a request or a job of a caller.

    Raises:
        errors.TooManyRequests: there were too many within a minute.
    """
    if caller.id is None:
        return
    per_minute = services.settings.jobs_per_minute
    if what == "requests":
        per_minute = caller.requests_per_minute or services.settings.requests_per_minute
    seconds = services.rates.spend(what, caller.id, per_minute=per_minute)
    if seconds is not None:
        raise errors.TooManyRequests(retry_after_seconds=max(1, math.ceil(seconds)))


def given(environ: "WSGIEnvironment") -> str | None:
    """Return the key that a request came with."""
    scheme, _, token = str(environ.get("HTTP_AUTHORIZATION", "")).partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    text = environ.get("HTTP_X_API_KEY") or environ.get(_ENVIRON)
    return str(text).strip() if text else None


class KeyOutOfUrl:
    """Takes the key out of the URL before the application sees it."""

    def __init__(self, app: "WSGIApplication") -> None:
        """Take the application."""
        self._app = app

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer a request."""
        query = str(environ.get("QUERY_STRING", ""))
        if PARAMETER in unquote_plus(query):
            environ[_ENVIRON] = dict(parse_qsl(query)).get(PARAMETER)
            environ["QUERY_STRING"] = _without_key(query)
            for name in _URLS:
                if name in environ:
                    path, _, rest = str(environ[name]).partition("?")
                    environ[name] = f"{path}?{_without_key(rest)}"
        return self._app(environ, start_response)


def _without_key(query: str) -> str:
    parts = query.split("&")
    return "&".join(each for each in parts if unquote_plus(each).partition("=")[0] != PARAMETER)


def _known(services: Services, text: str | None) -> Caller | None:
    """Return who has a key: everybody where none is asked for, else None if nobody has."""
    key = None if text is None else keys.recognised(services.keys, text)
    if not services.asks_for_keys:
        return Caller(is_admin=True) if key is not None and key.is_admin else callers.EVERYBODY
    if key is None:
        return None
    return Caller(
        id=key.id,
        is_admin=key.is_admin,
        requests_per_minute=key.requests_per_minute,
        jobs_at_once=key.jobs_at_once,
    )


def is_open(rule: str) -> bool:
    """Whether a route needs no key."""
    return rule == "/" or rule.startswith(_OPEN)


def _has_link() -> bool:
    return request.endpoint == SIGNED and "signature" in request.args
