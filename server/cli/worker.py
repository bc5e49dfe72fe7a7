"""`worker`: one worker process."""

import logging
import os
from argparse import SUPPRESS, ArgumentParser, Namespace

from server.cli import options

NAME = "worker"
HELP = "run one worker (needs REDIS_URL)"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments."""
    options.add_data_dir(parser)
    parser.add_argument(
        "--queues", default="audio", help="names, most important first, separated by commas"
    )
    parser.add_argument("--quiet", action="store_true", help=SUPPRESS)
    parser.add_argument("--log-name", default=NAME, help=SUPPRESS)


def run(args: Namespace) -> int:
    """Work until told to end."""
    settings = options.settings_of(args)
    redis_url = options.broker_of(settings)
    from server import bootstrap  # noqa: PLC0415 - help needs none of it
    from server.adapters import logs  # noqa: PLC0415

    logs.configure(settings, args.log_name, on_terminal="WARNING" if args.quiet else "INFO")
    queues = [name.strip() for name in args.queues.split(",") if name.strip()]
    code = bootstrap.worker(settings, redis_url, queues=queues).serve()
    if code:
        # a lost card is as good as certain to hang or crash the orderly end of the libraries
        logging.shutdown()
        os._exit(code)
    return code
