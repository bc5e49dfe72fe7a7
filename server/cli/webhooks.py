"""`webhooks`: what receivers need to know."""

from argparse import ArgumentParser, Namespace
from contextlib import closing

from server.cli import console, options

NAME = "webhooks"
HELP = "show the secret that webhooks are signed with"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments."""
    options.add_data_dir(parser)
    parser.add_argument("what", choices=["secret"], help="print the secret for a receiver")
    parser.add_argument("--owner", help="id of the key whose jobs are told of (default: no key)")


def run(args: Namespace) -> int:
    """Print the secret, in the form that libraries of Standard Webhooks take."""
    from server import bootstrap  # noqa: PLC0415 - help needs none of it
    from server.adapters import webhook_signature  # noqa: PLC0415
    from server.adapters.secret_store import SqlSecrets  # noqa: PLC0415

    with closing(bootstrap.open_record(options.settings_of(args)).database) as database:
        master = SqlSecrets(database).get(webhook_signature.SECRET_NAME)
    console.say(webhook_signature.shown(webhook_signature.secret_of(args.owner, master=master)))
    return 0
