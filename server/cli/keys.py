"""`keys`: who may call, and how much."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from datetime import datetime

from server.cli import console, options
from server.jobs import keys
from server.jobs.keys import Key, Keys
from server.jobs.record import now

NAME = "keys"
HELP = "make, list and revoke the keys that callers need"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments."""
    what = parser.add_subparsers(dest="what", required=True, metavar="add | list | revoke")
    add = what.add_parser("add", help="make a key and show it, this once")
    add.add_argument("name", help="whose it is, for people")
    add.add_argument("--admin", action="store_true", help="sees what others own, and /admin")
    add.add_argument("--requests-per-minute", type=_count, metavar="N", help="at most")
    add.add_argument("--jobs-at-once", type=_count, metavar="N", help="at most")
    revoke = what.add_parser("revoke", help="refuse a key from now on")
    revoke.add_argument("id", help="the id that `keys list` shows")
    for each in (add, revoke, what.add_parser("list", help="show every key, never its secret")):
        options.add_data_dir(each)


def run(args: Namespace) -> int:
    """Do it in the record that the settings name."""
    from server import bootstrap  # noqa: PLC0415 - help needs none of it

    with bootstrap.open_keys(options.settings_of(args)) as store:
        return {"add": _add, "list": _list, "revoke": _revoke}[args.what](store, args)


def _add(store: Keys, args: Namespace) -> int:
    key, text = keys.made(
        args.name,
        is_admin=args.admin,
        requests_per_minute=args.requests_per_minute,
        jobs_at_once=args.jobs_at_once,
    )
    store.add(key)
    console.say(text)
    return 0


def _list(store: Keys, _args: Namespace) -> int:
    rows = [_row(key) for key in store.all()]
    console.say(console.table([("id", "name", "may", "made", "used", "revoked"), *rows]))
    return 0


def _revoke(store: Keys, args: Namespace) -> int:
    if not store.revoke(args.id, now()):
        return console.complain(f"There is no good key {args.id}; `keys list` shows them.")
    console.say(f"{args.id} is refused from now on.")
    return 0


def _row(key: Key) -> tuple[str, ...]:
    days = (_day(key.created_at), _day(key.used_at), _day(key.revoked_at))
    return (key.id, key.name, _may(key), *days)


def _may(key: Key) -> str:
    limits = {"requests a minute": key.requests_per_minute, "jobs at once": key.jobs_at_once}
    told = [f"{count} {what}" for what, count in limits.items() if count is not None]
    return ", ".join(["admin"] * key.is_admin + told) or "-"


def _day(at: datetime | None) -> str:
    return at.date().isoformat() if at else "-"


def _count(given: str) -> int:
    if not given.isdecimal() or int(given) < 1:
        raise ArgumentTypeError("a number of at least 1")
    return int(given)
