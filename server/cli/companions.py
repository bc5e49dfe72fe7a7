"""Arguments of `transform` for parts, layers and files beside the result, and where those go."""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath
from typing import Any

from server import errors
from server.jobs.record import Output, Role

_BEFORE_LABEL = {
    Role.RESULT: "transformed",
    Role.MIDI: "transformed",
    Role.COMPARISON: "comparison",
}
"""How names of a job's files begin; what follows tells several variations apart."""

_MIDI_ENDINGS = (".mid", ".midi")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare them; unset ones are left to the preset."""
    parser.add_argument("--key", help="the key, if you know it: 'A minor', Am, F#m, Bb")
    parser.add_argument(
        "--keep-drums",
        action=argparse.BooleanOptionalAction,
        help="leave the drums of IN in place, or replace them",
    )
    for option, value, summary in (
        ("--layer", "NAME=STRENGTH", "strength of pitched, drums or vocals alone; 0 keeps them"),
        ("--mute", "PART", "leave a part out, such as 'violin 1' or drums"),
        ("--reroll", "PART=SEED", "another chance for one part; no other part changes"),
        ("--gain", "PART=DB", "one part louder or softer"),
    ):
        again = f"{summary}; again for more"
        parser.add_argument(option, metavar=value, action="append", default=[], help=again)
    parser.add_argument("--stems", metavar="DIR", type=Path, help="write each part there as well")
    parser.add_argument("--midi", metavar="FILE", type=Path, help="write what was played as notes")
    parser.add_argument(
        "--compare", metavar="FILE", type=Path, help="write IN as loud as the result, to compare"
    )


def parameters(args: argparse.Namespace) -> dict[str, Any]:
    """Return what they mean for an order.

    Raises:
        errors.InvalidInput: one of them has no value, or no number.
    """
    given: dict[str, Any] = {
        "stems": args.stems is not None,
        "midi": args.midi is not None,
        "compare": args.compare is not None,
    }
    given |= {
        name: getattr(args, name)
        for name in ("key", "keep_drums")
        if getattr(args, name) is not None
    }
    if args.layer:
        given["layers"] = dict(_pairs(args.layer, "--layer", "pitched=0.5", float))
    if parts := _parts(args):
        given["parts"] = parts
    return given


def _parts(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    parts: dict[str, dict[str, Any]] = {name: {"mute": True} for name in args.mute}
    for name, seed in _pairs(args.reroll, "--reroll", "'violin 1=5'", int):
        parts.setdefault(name, {})["seed"] = seed
    for name, gain_db in _pairs(args.gain, "--gain", "'violin 1=-3'", float):
        parts.setdefault(name, {})["gain_db"] = gain_db
    return parts


def _pairs(
    texts: Iterable[str], option: str, example: str, number: Callable[[str], float]
) -> Iterable[tuple[str, float]]:
    for text in texts:
        name, _, value = text.rpartition("=")
        try:
            yield name.strip(), number(value)
        except ValueError as error:
            message = f"{option} takes a name and a number, such as {example}."
            raise errors.InvalidInput(message, field=option) from error


def check_paths(args: argparse.Namespace, output: Path) -> None:
    """Refuse files that cannot be written, before anything is computed.

    Raises:
        errors.InvalidInput: an ending is another one than the file's, or a folder is missing.
    """
    if args.midi is not None and args.midi.suffix.lower() not in _MIDI_ENDINGS:
        raise errors.InvalidInput(f"{args.midi.name} has to end in .mid.", field="midi")
    if args.compare is not None and args.compare.suffix.lower() != output.suffix.lower():
        said = f"{args.compare.name} has to end in {output.suffix}, as {output.name} does."
        raise errors.InvalidInput(said, field="compare")
    for path in (args.midi, args.compare, args.stems):
        if path is not None and not path.parent.is_dir():
            raise errors.InvalidInput(f"There is no folder {path.parent}.")


def path_of(file: Output, args: argparse.Namespace, output: Path) -> Path | None:
    """Return where a file of the job goes, None where nobody asked for it.

    Of several variations the names tell them apart.
    """
    if file.role is Role.STEM:
        folder: Path | None = args.stems
        return folder / file.name if folder else None
    named = {Role.RESULT: output, Role.MIDI: args.midi, Role.COMPARISON: args.compare}
    path: Path | None = named.get(file.role)
    if path is None:
        return None
    label = PurePath(file.name).stem.removeprefix(_BEFORE_LABEL[file.role])
    return path.with_stem(path.stem + label)


def write(path: Path, data: bytes) -> None:
    """Write a file; the folder of stems is made.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
