"""`presets`: the voices there are, and the words each stands for."""

import argparse
import textwrap

import variations
from server.cli import console, options

NAME = "presets"
HELP = "list the presets and their prompts"

_WIDTH = 72


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--names", action="store_true", help="only the names, one a line")


def run(args: argparse.Namespace) -> int:
    """Print them in the order clients number them in, and what is wrong with one's own."""
    options.with_own_presets(args)
    presets = variations.load()
    for problem in variations.problems():
        console.complain(problem.sentence)
    if args.names:
        console.say("\n".join(presets))
        return 0
    rows = [
        (name if number == 0 else "", line)
        for name, preset in presets.items()
        for number, line in enumerate(textwrap.wrap(preset.prompt, _WIDTH, break_on_hyphens=False))
    ]
    console.say(console.table(rows))
    return 0
