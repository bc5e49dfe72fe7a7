"""Requests as they are seen from outside: a line in the log, and numbers for `/metrics`.

A line says which route, never the query, a header or a body: those may carry keys.
"""

import logging
import time

from flask import Flask, Response, current_app, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram

log = logging.getLogger(__name__)

UNMATCHED = "unmatched"
"""The route of a request that none was found for: a label must not be what somebody makes up."""

QUIET = ("/health", "/health/live", "/health/ready", "/metrics")
"""What is asked every few seconds is logged for debugging alone."""

BOUNDS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

_EXTENSION = "melodyflow.traffic"


class Traffic:
    """Counts and logs the requests of one app."""

    def __init__(self) -> None:
        """Count from nothing."""
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "melodyflow_http_requests",
            "Requests that this process answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "melodyflow_http_request_seconds",
            "How long this process took to answer.",
            ("method", "route"),
            buckets=BOUNDS_SECONDS,
            registry=self.registry,
        )

    def attach(self, app: Flask) -> None:
        """Watch the requests of an app."""
        app.extensions[_EXTENSION] = self
        app.before_request(_begin)
        app.after_request(self._end)

    def _end(self, response: Response) -> Response:
        seconds = time.monotonic() - g.get("begun_at", time.monotonic())
        route = request.url_rule.rule if request.url_rule else UNMATCHED
        self._requests.labels(request.method, route, str(response.status_code)).inc()
        self._seconds.labels(request.method, route).observe(seconds)
        _tell(route, response, seconds)
        return response


def current() -> Traffic:
    """Return the traffic of the app that handles the present request."""
    traffic: Traffic = current_app.extensions[_EXTENSION]
    return traffic


def _begin() -> None:
    g.begun_at = time.monotonic()


def _tell(route: str, response: Response, seconds: float) -> None:
    facts = {
        "method": request.method,
        "route": route,
        "status": response.status_code,
        "ms": round(1000 * seconds, 1),
    }
    log.log(
        logging.DEBUG if route in QUIET else logging.INFO,
        "%(method)s %(route)s %(status)s %(ms)s ms",
        facts,
        extra={"facts": facts, "job": _job_of(route, response)},
    )


def _job_of(route: str, response: Response) -> str | None:
    """Return the job that a request is about, as far as its address or its answer's says."""
    place = "/jobs/"
    if route.startswith((place, "/transform/status/")):
        given = request.view_args or {}
        return str(given.get("id") or given.get("job_id") or "") or None
    made = response.headers.get("Location", "")
    return made.removeprefix(place) if made.startswith(place) else None
