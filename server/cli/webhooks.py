"""`webhooks`: what receivers need to know."""

from argparse import ArgumentParser, Namespace

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

    console.say(bootstrap.webhook_secret(options.settings_of(args), owner=args.owner))
    return 0
