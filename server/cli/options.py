"""What subcommands have in common: settings out of arguments and environment."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.config import Settings

_SETTINGS = ("host", "port", "data_dir")


def add_data_dir(parser: ArgumentParser) -> None:
    """Add `--data-dir`."""
    parser.add_argument("--data-dir", type=Path, help="where everything is kept (default: data)")


def add_address(parser: ArgumentParser) -> None:
    """Add `--host` and `--port`."""
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port, 0 for a free one (default: 8002)")


def settings_of(args: Namespace) -> "Settings":
    """Return the settings: arguments win over the environment.

    Raises:
        SystemExit: one of them cannot be used; says which.
    """
    from server.config import InvalidSetting, Settings  # noqa: PLC0415 - help needs none

    given = {name: getattr(args, name, None) for name in _SETTINGS}
    try:
        return Settings.from_environment(**given)
    except InvalidSetting as error:
        raise SystemExit(str(error)) from error


def with_own_presets(args: Namespace) -> "Settings":
    """Return the settings, and from now on take presets from the folder they name.

    Raises:
        SystemExit: as `settings_of`.
    """
    import variations  # noqa: PLC0415 - help needs none

    settings = settings_of(args)
    variations.use_folder(settings.own_presets_dir)
    return settings


def broker_of(settings: "Settings") -> str:
    """Return the broker's URL.

    Raises:
        SystemExit: there is none.
    """
    if settings.redis_url is None:
        raise SystemExit(
            "REDIS_URL is not set: web and worker processes meet at a Redis or Valkey server.\n"
            "`python -m server serve` brings its own."
        )
    return settings.redis_url
