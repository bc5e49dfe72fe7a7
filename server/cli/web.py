"""`web`: the web process alone."""

from argparse import SUPPRESS, ArgumentParser, Namespace

from server.cli import options

NAME = "web"
HELP = "run the web process alone (needs REDIS_URL)"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments."""
    options.add_address(parser)
    options.add_data_dir(parser)
    parser.add_argument("--descriptor", type=int, help=SUPPRESS)  # a socket from `serve`
    parser.add_argument("--quiet", action="store_true", help=SUPPRESS)


def run(args: Namespace) -> int:
    """Serve until told to end."""
    settings = options.settings_of(args)
    redis_url = options.broker_of(settings)
    if settings.async_mode == "eventlet":
        import eventlet  # noqa: PLC0415 - has to come before what it changes

        eventlet.monkey_patch()
    from server import bootstrap  # noqa: PLC0415 - help needs none of it
    from server.adapters import http_server, logs  # noqa: PLC0415

    logs.configure(settings, NAME, on_terminal="WARNING" if args.quiet else "INFO")
    http_server.run(
        lambda: bootstrap.web(settings, redis_url), settings, descriptor=args.descriptor
    )
    return 0
