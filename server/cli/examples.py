"""`examples`: the bundled riff as every preset plays it, to be heard before choosing one."""

import argparse
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import variations
from server import bootstrap, errors, kinds
from server.cli import console, options
from server.cli.demo import RIFF
from server.config import Settings
from server.engines.arranger import assets
from server.engines.catalog import ENGINES
from server.jobs.record import Status
from server.kinds import choices, transform
from server.media import codec, tags
from variations import Variation

NAME = "examples"
HELP = "render the bundled riff with every preset, to be heard before choosing"

ENGINE = "arranger"
SEED = 7
MOST_BYTES = 200_000
_COMPRESSIONS = (0.6, 0.75, 0.9)
_KEY_CHARACTERS = 24
_HEAD_BYTES = 8192
"""Within these an Ogg file says its comments, as plain text."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("names", nargs="*", metavar="PRESET", help="only these")
    parser.add_argument("--all", action="store_true", help="your own presets too")
    options.add_data_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Render what is not there yet, or not any more as it was; say what could not be."""
    settings = options.with_own_presets(args)
    unknown = [name for name in args.names if name not in variations.load()]
    if unknown:
        return console.complain(choices.no_such_preset(unknown[0]))
    offered = variations.load() if args.all else variations.built_in()
    wanted = {name: variations.load()[name] for name in args.names or offered}
    stale = _stale(wanted, settings)
    console.say(f"{len(wanted) - len(stale)} of {len(wanted)} examples are up to date.")
    failed = _render(stale, settings) if stale else []
    if failed:
        return console.complain(f"Not rendered: {', '.join(failed)}.")
    console.say(f"They are in {settings.examples_dir}.")
    return 0


def _stale(wanted: dict[str, Variation], settings: Settings) -> dict[str, str]:
    """Return the presets whose example is missing or was made of something else, and its key."""
    common = _sound_of_the_engine(settings)
    keys = {name: _key(preset, common) for name, preset in wanted.items()}
    return {name: key for name, key in keys.items() if not _is_made_of(_path(settings, name), key)}


def _path(settings: Settings, name: str) -> Path:
    return settings.examples_dir / f"{name}.ogg"


def _is_made_of(path: Path, key: str) -> bool:
    try:
        with path.open("rb") as file:
            return key.encode() in file.read(_HEAD_BYTES)
    except FileNotFoundError:
        return False


def _sound_of_the_engine(settings: Settings) -> bytes:
    """Return a digest of everything beside a preset that an example depends on."""
    digest = hashlib.sha256(RIFF.read_bytes())
    folder = Path(assets.__file__).parent
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".py", ".npz"}:
            digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    bank = assets.find_sound_bank(settings.data_dir, settings.sound_bank)
    network = assets.find_transcription_model(settings.transcription_model)
    digest.update(f"{assets.bank_title(bank.path)} {network.is_available} {SEED}".encode())
    return digest.digest()


def _key(preset: Variation, common: bytes) -> str:
    table = preset.model_dump_json().encode()
    return hashlib.sha256(common + table).hexdigest()[:_KEY_CHARACTERS]


def _render(stale: dict[str, str], settings: Settings) -> list[str]:
    """Render presets, tell of each, and return the names of those that could not be."""
    settings.examples_dir.mkdir(parents=True, exist_ok=True)
    failed = []
    for number, (name, said, is_there) in enumerate(_rendered(stale, settings), start=1):
        console.say(f"{number:3d}/{len(stale)}  {name:<22}  {said}")
        failed += [] if is_there else [name]
    return failed


def _rendered(stale: dict[str, str], settings: Settings) -> Iterator[tuple[str, str, bool]]:
    """Yield each preset's name, what became of its example, and whether that is there."""
    with bootstrap.local(settings) as here:
        artifacts = here.record.artifacts
        source = artifacts.save(RIFF.read_bytes(), name=RIFF.name, media_type="audio/flac")
        for name, key in stale.items():
            order = {"source": source.id, "variation": name, "seed": SEED, "engine": ENGINE}
            try:
                job = here.run(transform, kinds.parse(transform, order))
            except errors.NoSuchVariation as gone:  # its file went meanwhile
                yield name, gone.message, False
                continue
            if job.status is not Status.FINISHED:
                yield name, job.error.message if job.error else str(job.status), False
                continue
            data = _encoded(artifacts.read(job.results[0].artifact_id), name, key)
            _replace(_path(settings, name), data)
            yield name, f"{len(data) / 1000:.0f} kB", True


def _encoded(wav: bytes, name: str, key: str) -> bytes:
    """Return a result as the best Ogg file that is small enough, with its key in the comment."""
    clip = codec.decode(wav)
    said = dict(
        tags.of(
            title=f"{name.replace('_', ' ')}, an example",
            engine=ENGINE,
            licence=ENGINES[ENGINE].licence,
            seed=SEED,
        )
    )
    said["comment"] = f"{said['comment']}; made of {key}"
    for compression in _COMPRESSIONS:
        data = codec.encode(clip, "ogg", tags=said, compression=compression)
        if len(data) <= MOST_BYTES:
            break
    return data


def _replace(path: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all."""
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    unfinished.write_bytes(data)
    unfinished.replace(path)
