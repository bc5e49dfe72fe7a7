"""`transform IN -o OUT`: one file, here and now, without a server."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import variations
from server import bootstrap, errors, kinds
from server.cli import companions, console, options, report
from server.config import Settings
from server.jobs.events import Event
from server.jobs.record import Job, Status
from server.kinds import choices, transform
from server.media import formats
from server.media.bounded import READERS

NAME = "transform"
HELP = "play one file with something else, without a server"

DEFAULT_VARIATION = "strings_quartet"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes; unset options are left to the preset."""
    parser.add_argument("source", metavar="IN", type=Path, help="audio file: wav, flac, mp3, ogg …")
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, help="file to write; its ending is its format"
    )
    parser.add_argument(
        "--variation",
        help=f"a preset (default: {DEFAULT_VARIATION}), or several with commas: one file each",
    )
    parser.add_argument("--prompt", help="free words, such as 'warm cello, slow attack'")
    parser.add_argument("--flowstep", type=float, help="in (0, 1]; higher stays closer to IN")
    parser.add_argument("--strength", type=float, help="in [0, 1]; how much changes")
    parser.add_argument("--seed", type=int, help="same seed, same result")
    parser.add_argument("--engine", help="auto, or a name of `engines`")
    parser.add_argument("--bpm", type=float, help="the tempo, if you know it")
    parser.add_argument("--start-seconds", type=float, help="change only what follows it")
    parser.add_argument("--end-seconds", type=float, help="change only what precedes it")
    companions.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Transform the file and print what was kept."""
    try:
        settings = options.with_own_presets(args)
        output = _output(args)
        companions.check_paths(args, output)
        job, files = _transform(args, output, settings)
    except errors.MelodyflowError as error:
        return console.complain(error.message)
    if job.status is not Status.FINISHED:
        return console.complain(job.error.message if job.error else f"The job was {job.status}.")
    for path, data in files.items():
        try:
            companions.write(path, data)
        except OSError as error:
            return console.complain(f"{path} cannot be written: {error.strerror}.")
    console.say(report.describe({"engine": job.engine, "seed": job.seed, "report": job.report}))
    console.say("\n" + "\n".join(str(path) for path in files))
    return 0


def _transform(
    args: argparse.Namespace, output: Path, settings: Settings
) -> tuple[Job, dict[Path, bytes]]:
    if not args.source.is_file():
        raise errors.InvalidInput(f"There is no file {args.source}.", field="source")
    checked = READERS.check(args.source, max_seconds=settings.max_source_seconds)
    parameters = {**_parameters(args), "format": output.suffix[1:].lower()}
    bar = console.Bar()
    try:
        with bootstrap.local(settings, events=_Watched(bar)) as here:
            artifacts = here.record.artifacts
            source = artifacts.save(
                args.source.read_bytes(), name=args.source.name, media_type="audio/*"
            )
            spec = kinds.parse(transform, {"source": source.id, **parameters})
            spec.check_source(checked.seconds or 0.0)
            job = here.run(transform, spec)
            paths = {file: companions.path_of(file, args, output) for file in job.outputs}
            return job, {
                path: artifacts.read(file.artifact_id) for file, path in paths.items() if path
            }
    finally:
        bar.close()


@dataclass(frozen=True, slots=True)
class _Watched:
    """Shows changes of the record on a bar."""

    bar: console.Bar

    def publish(self, event: Event) -> None:
        """Show one."""
        self.bar.show(event.job.progress, event.job.stage)


def _output(args: argparse.Namespace) -> Path:
    """Return where the result goes: the named file, or one beside the source.

    Raises:
        errors.InvalidInput: it has an ending we do not write, or its folder does not exist.
    """
    played = _names(args)
    beside = args.source.stem if len(played) > 1 else f"{args.source.stem}-{played[0]}"
    output: Path = args.output or args.source.with_name(f"{beside}.wav")
    writable = [each.extension for each in formats.FORMATS.values() if each.writable]
    if output.suffix.lower() not in writable:
        raise errors.InvalidInput(
            f"{output.name} has no ending we write; choose one of {', '.join(writable)}."
        )
    if not output.parent.is_dir():
        raise errors.InvalidInput(f"There is no folder {output.parent}.")
    return output


def _parameters(args: argparse.Namespace) -> dict[str, Any]:
    names = ("flowstep", "strength", "seed", "engine", "bpm", "start_seconds", "end_seconds")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    given |= companions.parameters(args)
    played = _names(args)
    for name in played:
        if name not in (choices.CUSTOM, *variations.load()):
            raise errors.NoSuchVariation(choices.no_such_preset(name))
    if len(played) == 1:
        return {"variation": played[0], "custom_prompt": args.prompt, **given}
    return {"variations": played, "custom_prompt": args.prompt, **given}


def _names(args: argparse.Namespace) -> list[str]:
    """Return the variations that are asked for."""
    asked = args.variation or (choices.CUSTOM if args.prompt else DEFAULT_VARIATION)
    return [name.strip() for name in asked.split(",")]
