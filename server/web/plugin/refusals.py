"""Failures of the routes that plugins call, in the shape and with the statuses they know."""

from collections.abc import Mapping
from dataclasses import replace

from flask import Blueprint

from server import errors
from server.web import errors as failures
from server.web.plugin import views, wording

_STATUSES: Mapping[int, int] = {409: 400, 410: 404, 415: 400, 422: 400}


def attach(routes: Blueprint) -> None:
    """Answer every failure of these routes so."""
    failures.attach(routes, views.plugin_refusal, retell=as_plugins_know)


def as_plugins_know(failure: failures.Failure, error: Exception) -> failures.Failure:
    """Retell a failure in words, fields and statuses that plugins know."""
    if isinstance(error, errors.MelodyflowError):
        sentence, field = wording.sentence(error), wording.field_of(error)
        failure = replace(failure, message=sentence, field=field)
    failure = failures.as_at_capacity(failure, error)
    status = _STATUSES.get(failure.status, failure.status)
    return replace(failure, status=status)
