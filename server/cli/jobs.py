"""`jobs`: what became of jobs that were given up, and another chance for them.

Works on the record alone, with or without a server: workers find what waits there within seconds.
"""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from server import errors
from server.cli import console, options

if TYPE_CHECKING:
    from server.jobs.record import Job

NAME = "jobs"
HELP = "list the jobs that were given up, or give one another chance"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments."""
    what = parser.add_subparsers(dest="what", required=True, metavar="dead|replay")
    dead = what.add_parser("dead", help="list the jobs that lost one worker after another")
    replay = what.add_parser("replay", help="submit one of them again")
    replay.add_argument("id", help="the job's id")
    for each in (dead, replay):
        options.add_data_dir(each)


def run(args: Namespace) -> int:
    """List them, or submit one again."""
    from server import bootstrap  # noqa: PLC0415 - help needs none of it

    try:
        with bootstrap.desk(options.settings_of(args)) as service:
            if args.what == "replay":
                console.say(service.revive(args.id).id)
                return 0
            from server.jobs.ports import Wanted  # noqa: PLC0415

            dead = service.listed(Wanted(is_dead=True))
    except errors.MelodyflowError as error:
        return console.complain(error.message)
    console.say(console.table([_row(job) for job in dead]) or "No job was given up.")
    return 0


def _row(job: "Job") -> tuple[str, ...]:
    ended = f"{job.ended_at:%Y-%m-%d %H:%M}"
    return job.id, ended, f"{job.attempt} starts", job.owner or "", job.kind
