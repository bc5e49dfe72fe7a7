"""`assets`: fetch the sound bank, say what is missing. Never an error: everything works without."""

import argparse

from server.cli import console, options
from server.engines.arranger import assets

NAME = "assets"
HELP = "fetch the sound bank, and say what the arranger would play better with"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take nothing."""


def run(args: argparse.Namespace) -> int:
    """Fetch the sound bank where there is none and print both assets."""
    settings = options.settings_of(args)
    model = assets.find_transcription_model(settings.transcription_model)
    bank = assets.find_sound_bank(settings.data_dir, settings.sound_bank)
    missing = ""
    if not bank.is_available and settings.sound_bank is None:
        missing = assets.fetch_sound_bank(settings.data_dir).reason
        bank = assets.find_sound_bank(settings.data_dir, None)
    console.say(console.table([_row(model), _row(bank, missing)]))
    return 0


def _row(asset: assets.Asset, reason: str = "") -> tuple[str, str]:
    if asset.is_available:
        return asset.name, f"here ({asset.licence})" if asset.licence else "here"
    return asset.name, f"missing. {reason or asset.advice}"
