"""`web`: the web process alone."""

import os
import sys
from argparse import SUPPRESS, ArgumentParser, Namespace
from importlib import import_module
from typing import TYPE_CHECKING

from server.cli import options

if TYPE_CHECKING:
    from server.config import Settings

NAME = "web"
HELP = "run the web process alone (needs REDIS_URL)"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments."""
    options.add_address(parser)
    options.add_data_dir(parser)
    # sockets from `serve`
    parser.add_argument("--descriptor", type=int, action="append", default=[], help=SUPPRESS)
    parser.add_argument("--quiet", action="store_true", help=SUPPRESS)
    parser.add_argument("--patched", action="store_true", help=SUPPRESS)


def run(args: Namespace) -> int:
    """Serve until told to end."""
    if args.patched:
        import_module("eventlet").monkey_patch()
    settings = options.settings_of(args)
    redis_url = options.broker_of(settings)
    if settings.async_mode == "eventlet" and not args.patched:
        # eventlet wants to be first in its process, and the settings have just been read
        os.execv(sys.executable, [sys.executable, "-m", "server", *sys.argv[1:], "--patched"])  # noqa: S606
    from server import bootstrap  # noqa: PLC0415 - help needs none of it
    from server.adapters import http_server, logs  # noqa: PLC0415

    logs.configure(settings, NAME, on_terminal="WARNING" if args.quiet else "INFO")
    http_server.run(
        lambda: bootstrap.web(settings, redis_url),
        settings,
        descriptors=args.descriptor or _listening(settings),
    )
    return 0


def _listening(settings: "Settings") -> list[int]:
    """Return the listening sockets that the settings ask for.

    Raises:
        SystemExit: the first port cannot be used.
    """
    from server.adapters import http_server  # noqa: PLC0415 - help needs none of it

    try:
        first = http_server.listen(settings.host, settings.port)
    except OSError as error:
        raise SystemExit(
            f"Port {settings.port} of {settings.host} cannot be used ({error.strerror})."
        ) from error
    second = http_server.listen_second(settings)
    return [each.detach() for each in (first, second) if each is not None]
