"""Serves the web application: gunicorn with threads, or what else the platform and settings allow.

Each open websocket holds a thread: `web_threads` bounds how many there can be.
"""

import importlib.util
import logging
import signal
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from server.adapters import children
from server.config import Settings

if TYPE_CHECKING:
    from flask import Flask

GRACE_SECONDS = 2
"""How long requests in progress may take after the server was told to end."""

KEEP_ALIVE_SECONDS = 15


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket that children may inherit.

    Raises:
        OSError: the port is taken, or the address is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    listener.listen(1024)
    listener.set_inheritable(True)
    return listener


def run(make_app: "Callable[[], Flask]", settings: Settings, *, descriptor: int | None) -> None:
    """Serve until told to end, on an inherited socket or on the address of the settings."""
    if settings.async_mode == "eventlet":
        _run_eventlet(make_app, settings, descriptor)
    elif importlib.util.find_spec("gunicorn") is not None:
        _run_gunicorn(make_app, settings, descriptor)
    else:
        _run_werkzeug(make_app, settings, descriptor)


def _run_gunicorn(
    make_app: "Callable[[], Flask]", settings: Settings, descriptor: int | None
) -> None:
    from gunicorn.app.base import BaseApplication  # noqa: PLC0415 - not on every platform
    from gunicorn.glogging import Logger  # noqa: PLC0415

    class Logs(Logger):  # type: ignore[misc]
        """Leaves everything to the logging of this program."""

        def setup(self, cfg: Any) -> None:
            del cfg
            self.error_log.propagate = True
            self.error_log.setLevel(logging.WARNING)

    class Application(BaseApplication):  # type: ignore[misc]
        """The application as gunicorn wants it."""

        def load_config(self) -> None:
            for name, value in _gunicorn_settings(settings, descriptor).items():
                self.cfg.set(name, value)
            self.cfg.set("logger_class", Logs)

        def load(self) -> Any:
            return make_app()

    Application().run()


def _gunicorn_settings(settings: Settings, descriptor: int | None) -> Mapping[str, Any]:
    return {
        "bind": [_address(settings) if descriptor is None else f"fd://{descriptor}"],
        "worker_class": "gthread",
        "workers": 1,  # the sockets of a room are all in one process
        "threads": settings.web_threads,
        "worker_connections": settings.web_threads * 2,
        "graceful_timeout": GRACE_SECONDS,
        "keepalive": KEEP_ALIVE_SECONDS,
        "control_socket_disable": True,
        "post_fork": lambda _server, _worker: children.die_with_parent(signal.SIGKILL),
    }


def _address(settings: Settings) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{host}:{settings.port}"


def _run_eventlet(
    make_app: "Callable[[], Flask]", settings: Settings, descriptor: int | None
) -> None:
    import eventlet.wsgi  # noqa: PLC0415 - an extra

    listener = _inherited(descriptor) or listen(settings.host, settings.port)
    eventlet.wsgi.server(
        eventlet.greenio.GreenSocket(listener), make_app(), log_output=False, debug=False
    )


def _run_werkzeug(
    make_app: "Callable[[], Flask]", settings: Settings, descriptor: int | None
) -> None:
    from werkzeug.serving import make_server  # noqa: PLC0415 - the last resort

    make_server(
        settings.host, settings.port, make_app(), threaded=True, fd=descriptor
    ).serve_forever()


def _inherited(descriptor: int | None) -> socket.socket | None:
    return None if descriptor is None else socket.socket(fileno=descriptor)
