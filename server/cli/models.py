"""`models`: the weights that networks play with: fetch, convert, check, list."""

import argparse
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from server import errors
from server.cli import console, options
from server.config import Settings
from server.engines.checkpoints import cards, store
from server.engines.checkpoints.cards import Card, Family
from server.engines.checkpoints.manifest import Manifest
from server.engines.checkpoints.ondisk import LIBRARIES
from server.engines.checkpoints.store import Missing

NAME = "models"
HELP = "fetch, convert, check and list the weights that the networks play with"

DAMAGED = 1
"""Exit code of `verify` where a file is not what it was."""

_LIBRARIES = LIBRARIES
_HUB = "https://huggingface.co"
_NAMES = f"one of `models list`, or a finetune of MusicGen, owner/name (default: {cards.DEFAULT})"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the four things to do."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, (summary, _) in _ACTIONS.items():
        action = actions.add_parser(name, help=summary, description=summary)
        options.add_data_dir(action)
        if name == "pull":
            _add_pull(action)
        elif name == "convert":
            _add_convert(action)
        elif name == "verify":
            action.add_argument("name", metavar="NAME", nargs="?", help="default: all there are")


def _add_pull(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", default=cards.DEFAULT, help=_NAMES)
    parser.add_argument("--revision", help="commit or branch; default: the one pulled first")
    parser.add_argument("--yes", action="store_true", help="accept the licence without asking")
    parser.add_argument(
        "--keep-original", action="store_true", help="keep the official files beside the converted"
    )


def _add_convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", metavar="SOURCE", type=Path, help="directory with official files, or one file"
    )
    parser.add_argument("--name", default=cards.DEFAULT, help="what the weights are called here")
    parser.add_argument(
        "--precision",
        choices=("float32", "float16", "bfloat16"),
        help="of the model's matrices on the disk (default: as they are, which loses nothing)",
    )


def run(args: argparse.Namespace) -> int:
    """Do one of the four."""
    return _ACTIONS[args.action][1](options.settings_of(args), args)


def _list(settings: Settings, _args: argparse.Namespace) -> int:
    """Print known and stored weights, and whether they can be played with."""
    for name in dict.fromkeys([*cards.CARDS, *_stored(settings)]):
        card, manifest = cards.CARDS.get(name), Manifest.read(store.folder_of(settings, name))
        chosen = " (chosen)" if name in _chosen(settings).values() else ""
        console.say(f"{name}{chosen}")
        rows = [("state", _state(settings, name))]
        if card:
            rows += [("is", card.summary), ("licence", f"{card.licence}. {card.meaning}")]
            rows += [("reads with", _text_encoder(card))]
        if manifest:
            origin = manifest.origins.get("model")
            rows += [] if card else [("licence", manifest.licence)]
            rows += [("commit", origin.revision)] if origin else []
            rows += [("precision", manifest.precision)]
        console.say(console.table(rows))
    return 0


def _chosen(settings: Settings) -> Mapping[Family, str]:
    return {Family.FLOW: settings.melodyflow_model, Family.LANGUAGE: settings.musicgen_model}


def _state(settings: Settings, name: str) -> str:
    found = store.find(settings, name, _family(settings, name))
    if isinstance(found, Missing):
        return f"{found.reason} {found.advice}"
    codec = found.codec.iterdir() if found.codec.is_dir() else [found.codec]
    files = [found.model, *codec, *found.text_encoder.iterdir()]
    return f"here, {_size(sum(path.stat().st_size for path in files))}"


def _family(settings: Settings, name: str) -> Family:
    """Return what weights are: by their card, or else by what is in their folder."""
    if (card := cards.CARDS.get(name)) is not None:
        return card.family
    manifest = Manifest.read(store.folder_of(settings, name))
    has_language = manifest is not None and Family.LANGUAGE.file in manifest.files
    return Family.LANGUAGE if has_language else Family.FLOW


def _stored(settings: Settings) -> list[str]:
    folders = settings.weights_dir.iterdir() if settings.weights_dir.is_dir() else ()
    manifests = [Manifest.read(folder) for folder in sorted(folders)]
    return [manifest.name for manifest in manifests if manifest]


def _pull(settings: Settings, args: argparse.Namespace) -> int:
    """Fetch weights after showing what they stand under."""
    card = cards.card_of(args.name)
    if card is None:
        return console.complain(
            f"{args.name!r} cannot be the name of weights; `python -m server models list` names"
            " those that are known. Files at hand are taken by `python -m server models convert`."
        )
    if (refusal := _without_libraries()) is not None:
        return console.complain(refusal)
    _show_terms(card)
    if not args.yes and not _agrees():
        return console.complain(
            "Nothing was fetched."
            if sys.stdin.isatty()
            else "Nothing was fetched: there is no terminal to ask at, so --yes has to say that"
            " you accept the licence."
        )
    try:
        return _fetch(settings, card, args)
    except errors.Unavailable as error:
        return console.complain(f"{error.message}\n\n{by_hand(card)}")


def _fetch(settings: Settings, card: Card, args: argparse.Namespace) -> int:
    from server.engines.checkpoints import pull  # noqa: PLC0415 - the libraries may be missing

    planned = pull.plan(settings, card, revision=args.revision)
    if not planned.size:
        console.say(f"{card.name} is here and intact, at commit {planned.revision}.")
        return 0
    planned.refuse_without_room()
    bar = console.Bar()
    show = bar.show if sys.stderr.isatty() else _ignore
    try:
        manifest = pull.carry_out(planned, keep_original=args.keep_original, on_progress=show)
    finally:
        bar.close()
    console.say(f"{card.name} is here, at commit {planned.revision}:")
    console.say(_files(manifest))
    return 0


def _ignore(_share: float, _stage: str) -> None:
    """Draw no bar into a log."""


def _show_terms(card: Card) -> None:
    console.say(f"{card.name}: {card.summary}")
    rows = [
        ("licence", f"{card.licence}. {card.meaning}"),
        ("to fetch", f"{_amount(card)}, less what is here already"),
        ("with it", _text_encoder(card)),
    ]
    console.say(console.table(rows))


def _amount(card: Card) -> str:
    is_known = all(card.sizes.values())
    return f"about {_size(card.size)}" if is_known else f"its model and about {_size(card.size)}"


def _text_encoder(card: Card) -> str:
    return f"text encoder {card.text_encoder.repository} ({card.text_encoder.licence})"


def _agrees() -> bool:
    """Ask at the terminal; silence and anything but yes is no."""
    if not sys.stdin.isatty():
        return False
    sys.stdout.write("Fetch them under this licence? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def by_hand(card: Card) -> str:
    """Return what to do on a machine that has no way to the hub."""
    encoder = card.text_encoder
    named = "" if card.name == cards.DEFAULT else f" --name {card.name}"
    tree = [*card.sizes, *(f"{cards.TEXT_ENCODER}/{name}" for name in encoder.files)]
    return "\n".join(
        [
            "Without a network: fetch these files on another machine, from",
            f"  {_HUB}/{card.name} ({card.licence}) and",
            f"  {_HUB}/{encoder.repository} ({encoder.licence}), into one folder:",
            *(f"    {name}" for name in tree),
            f"if {cards.OFFICIAL_CODEC} has but a few bytes, the repository that it names has the",
            f"codec: put its config.json and model.safetensors into {cards.POINTED_CODEC}/;",
            f"bring the folder here, and run `python -m server models convert FOLDER{named}`.",
        ]
    )


def _convert(settings: Settings, args: argparse.Namespace) -> int:
    """Turn official files at hand into weights of the store."""
    if not cards.is_name(args.name):
        return console.complain(f"{args.name!r} cannot be a name: letters, digits, one slash.")
    if not args.source.exists():
        return console.complain(f"There is no {args.source}.")
    if (refusal := _without_libraries()) is not None:
        return console.complain(refusal)
    from server.engines.checkpoints import convert  # noqa: PLC0415 - the libraries may be missing

    made = convert.Made(name=args.name, precision=args.precision)
    manifest = convert.convert(args.source, store.folder_of(settings, args.name), made)
    console.say(f"{args.name} holds:")
    console.say(_files(manifest))
    family = _family(settings, args.name)
    found = store.find_in(store.folder_of(settings, args.name), args.name, family)
    if isinstance(found, Missing):
        console.say(f"{found.reason} {found.advice}")
    elif args.name != _chosen(settings)[family]:
        console.say(f"To play with them, set {store.VARIABLES[family]}={args.name}")
    return 0


def _verify(settings: Settings, args: argparse.Namespace) -> int:
    """Read every byte of stored weights and compare the checksums."""
    names = [args.name] if args.name else _stored(settings)
    manifests = {name: Manifest.read(store.folder_of(settings, name)) for name in names}
    if not manifests or None in manifests.values():
        return console.complain(
            f"The weights {args.name or cards.DEFAULT} are not in the store:"
            f" there is nothing to check. `{cards.PULL}` fetches them."
        )
    verdicts = [
        _verified(store.folder_of(settings, name), manifest)
        for name, manifest in manifests.items()
        if manifest
    ]
    return 0 if all(verdicts) else DAMAGED


def _verified(folder: Path, manifest: Manifest) -> bool:
    damaged = manifest.damaged(folder)
    console.say(manifest.name)
    rows = [
        (name, "DAMAGED: it is not what it was" if name in damaged else "intact")
        for name in manifest.files
    ]
    console.say(console.table(rows))
    if damaged:
        helps = f"`{cards.PULL} {manifest.name}` fetches what is damaged again."
        console.complain(helps if manifest.name in cards.CARDS else "Convert them again.")
    return not damaged


def _files(manifest: Manifest) -> str:
    return console.table([(name, _size(each.size)) for name, each in manifest.files.items()])


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _without_libraries() -> str | None:
    lacking = [name for name in _LIBRARIES if find_spec(name) is None]
    if not lacking:
        return None
    return f"This needs {', '.join(lacking)}: run `pip install 'melodyflow[models]'` first."


_ACTIONS: Mapping[str, tuple[str, Callable[[Settings, argparse.Namespace], int]]] = {
    "list": ("list known and stored weights with their licences", _list),
    "pull": ("show the licence, fetch weights, check and convert them", _pull),
    "convert": ("turn official files at hand into weights of the store", _convert),
    "verify": ("read every byte of stored weights and compare the checksums", _verify),
}
