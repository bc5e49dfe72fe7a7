"""`engines`: what can do the work on this machine, best first."""

import argparse

from server.cli import console, options
from server.engines.catalog import ENGINES
from server.engines.residency import Residency

NAME = "engines"
HELP = "list the engines and whether they work here"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take nothing."""


def run(args: argparse.Namespace) -> int:
    """Print each engine's card and what it says of this machine."""
    for name, offer in Residency(options.settings_of(args)).offers().items():
        card = ENGINES[name]
        console.say(f"{name}: {'available' if offer.available else 'not available'}")
        console.say(f"  {card.summary}")
        rows = [
            ("offers", ", ".join(sorted(card.offers))),
            ("licence", card.licence),
            ("because", offer.reason),
            ("helps", offer.advice),
        ]
        console.say(console.table([row for row in rows if row[1]]))
    return 0
