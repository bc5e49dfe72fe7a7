"""`python -m server …`: finds the subcommand and runs it."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from importlib import import_module

from server import errors
from server.cli import COMMANDS

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the subcommand that the arguments name and return the exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    args = _parser(arguments).parse_args(arguments or ["--help"])
    try:
        return int(args.run(args))
    except errors.MelodyflowError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser(arguments: Sequence[str]) -> ArgumentParser:
    """Return a parser that knows every subcommand's name, and the arguments of the chosen one."""
    parser = ArgumentParser(
        prog="python -m server",
        description="Audio in, a preset or a sentence in, the same music out in another voice.",
    )
    subcommands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        subparser = subcommands.add_parser(name, help=summary, description=summary)
        if name in arguments[:1]:
            command = import_module(f"server.cli.{name.replace('-', '_')}")
            command.add_arguments(subparser)
            subparser.set_defaults(run=command.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
