"""`engines`: what can do the work on this machine, best first."""

import argparse

from server.cli import console, options
from server.engines.catalog import ENGINES
from server.engines.residency import Residency

NAME = "engines"
HELP = "list the engines and whether they work here"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--cards", action="store_true", help="list the cards engines see, no more")


def run(args: argparse.Namespace) -> int:
    """Print each engine, what it says of this machine, and the cards they see."""
    residency = Residency(options.settings_of(args))
    if not args.cards:
        _say_engines(residency)
    for device in residency.devices():
        free = device.total_mb - device.used_mb
        console.say(f"{device.name}, {free:.0f} of {device.total_mb:.0f} MB free ({device.id})")
    return 0


def _say_engines(residency: Residency) -> None:
    for name, offer in residency.offers().items():
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
