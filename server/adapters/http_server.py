"""Serves the web application: gunicorn with threads, or what else the platform and settings allow.

Each open websocket holds a thread: `web_threads` bounds how many there can be.
"""

import importlib.util
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from server.adapters import children
from server.config import Settings

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.serving import BaseWSGIServer

log = logging.getLogger(__name__)

GRACE_SECONDS = 2
"""How long requests in progress may take after the server was told to end."""

KEEP_ALIVE_SECONDS = 15

SWITCH_SECONDS = 0.0005
"""How long a thread may compute while others want to: an answer about health needs several turns,
and with sixteen uploads under way each of them came after sixteen times the usual 5 ms."""


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


def listen_second(settings: Settings) -> socket.socket | None:
    """Return a listening socket on the second port, None where there is none or it is taken.

    Nobody goes without the first port because something else has the second.
    """
    if settings.second_port is None:
        return None
    try:
        return listen(settings.host, settings.second_port)
    except OSError as error:
        log.warning(
            "Port %s of %s cannot be used (%s); the server answers at its first port alone.",
            settings.second_port,
            settings.host,
            error.strerror,
        )
        return None


def run(make_app: "Callable[[], Flask]", settings: Settings, *, descriptors: Sequence[int]) -> None:
    """Serve until told to end, on listening sockets that are ours from now on."""
    if settings.async_mode == "eventlet":
        _run_eventlet(make_app, descriptors)
    elif importlib.util.find_spec("gunicorn") is not None:
        _run_gunicorn(make_app, settings, descriptors)
    else:
        _run_werkzeug(make_app, descriptors)


def _run_gunicorn(
    make_app: "Callable[[], Flask]", settings: Settings, descriptors: Sequence[int]
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
            for name, value in _gunicorn_settings(settings, descriptors).items():
                self.cfg.set(name, value)
            self.cfg.set("logger_class", Logs)

        def load(self) -> Any:
            sys.setswitchinterval(SWITCH_SECONDS)
            return make_app()

    Application().run()


def _gunicorn_settings(settings: Settings, descriptors: Sequence[int]) -> Mapping[str, Any]:
    return {
        "bind": [f"fd://{descriptor}" for descriptor in descriptors],
        "worker_class": "gthread",
        "workers": 1,  # the sockets of a room are all in one process
        "threads": settings.web_threads,
        "worker_connections": settings.web_threads * 2,
        "graceful_timeout": GRACE_SECONDS,
        "keepalive": KEEP_ALIVE_SECONDS,
        "control_socket_disable": True,
        "post_fork": lambda _server, _worker: children.die_with_parent(signal.SIGKILL),
    }


def _run_eventlet(make_app: "Callable[[], Flask]", descriptors: Sequence[int]) -> None:
    import eventlet.wsgi  # noqa: PLC0415 - an extra

    app = make_app()
    serving = [
        eventlet.spawn(
            eventlet.wsgi.server,
            eventlet.greenio.GreenSocket(socket.socket(fileno=descriptor)),
            app,
            log_output=False,
            debug=False,
        )
        for descriptor in descriptors
    ]
    for each in serving:
        each.wait()


def _run_werkzeug(make_app: "Callable[[], Flask]", descriptors: Sequence[int]) -> None:
    app = make_app()
    servers = [_werkzeug_server(app, each) for each in descriptors]
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, name="second-port", daemon=True).start()
    servers[0].serve_forever()


def _werkzeug_server(app: "Flask", descriptor: int) -> "BaseWSGIServer":
    from werkzeug.serving import make_server  # noqa: PLC0415 - the last resort

    with socket.socket(fileno=os.dup(descriptor)) as listener:
        host, port = listener.getsockname()[:2]
    return make_server(host, port, app, threaded=True, fd=descriptor)
