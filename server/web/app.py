"""The web process: its parts, in the order in which they are put together.

Nothing here computes audio. Routes live in one module a noun, JSON is shaped in `views` alone.
"""

from importlib import metadata
from typing import Any

from flask import Flask
from flask_cors import CORS
from flask_socketio import SocketIO

from server.config import Settings
from server.web import (
    admin,
    artifacts,
    catalog,
    documentation,
    errors,
    extensions,
    happenings,
    health,
    inpaint,
    jobs,
    juce,
    keys,
    legacy,
    metrics,
    models,
    pictures,
    pulse,
    sockets,
    studio,
    traffic,
    views,
)
from server.web.hearing import Hearing
from server.web.services import Services

LARGEST_SOCKET_MESSAGE = 100_000_000
"""Bytes of one Socket.IO message: three minutes of 16-bit stereo as base64, and to spare."""

NOUNS = (
    jobs,
    happenings,
    pictures,
    inpaint,
    extensions,
    artifacts,
    catalog,
    health,
    metrics,
    admin,
    legacy,
    juce,
    models,
    studio,
)

EXPOSED_HEADERS = (
    "Content-Disposition",
    "Content-Range",
    "ETag",
    "Location",
    "Retry-After",
    "X-Melodyflow-Seed",
)


def create_app(services: Services) -> Flask:
    """Return the web application over these services; `app.extensions["socketio"]` is its SocketIO.

    Connects to nothing by itself, so any number of them may exist in a process.
    """
    app = documentation.application("server.web", version=metadata.version("melodyflow"))
    _configure(app, services.settings)
    services.attach(app)
    pulse.Pulse(services).attach(app)
    traffic.Traffic().attach(app)
    keys.attach(app, services)
    CORS(
        app,
        origins=_origins(services.settings),
        send_wildcard=True,
        expose_headers=list(EXPOSED_HEADERS),
    )
    errors.attach(app, views.refusal)
    for noun in NOUNS:
        app.register_api(noun.api)
    documentation.publish(app)
    sockets.register(_socketio(app, services), services)
    app.wsgi_app = keys.KeyOutOfUrl(app.wsgi_app)  # type: ignore[method-assign]
    return app


def _configure(app: Flask, settings: Settings) -> None:
    largest = settings.max_body_megabytes * 2**20
    app.config.update(MAX_CONTENT_LENGTH=largest, MAX_FORM_MEMORY_SIZE=largest)


def _origins(settings: Settings) -> str | list[str]:
    return "*" if "*" in settings.cors_origins else list(settings.cors_origins)


def _socketio(app: Flask, services: Services) -> SocketIO:
    settings: dict[str, Any] = {
        "async_mode": services.settings.async_mode,
        "cors_allowed_origins": _origins(services.settings),
        "max_http_buffer_size": LARGEST_SOCKET_MESSAGE,
        "manage_session": False,
        # one after the other for each connection: pieces of an upload stay in order
        "async_handlers": False,
    }
    if services.message_queue is not None:
        settings["client_manager"] = Hearing(services.message_queue)
    return SocketIO(app, **settings)
