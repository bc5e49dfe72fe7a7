"""The command line finds its subcommands, quickly, and says what is wrong in one sentence."""

import subprocess
import sys
from importlib import import_module

import pytest

from server import __main__, errors
from server.cli import COMMANDS, options, web

HEAVY = ("flask", "numpy", "sqlalchemy", "pydantic")

_HELP = """
import contextlib, sys
from server import __main__
with contextlib.suppress(SystemExit):
    __main__.main(["--help"])
print(*[name for name in sys.argv[1:] if name in sys.modules])
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_subcommand_is_what_the_table_says(name: str) -> None:
    command = import_module(f"server.cli.{name.replace('-', '_')}")

    assert (name, COMMANDS[name]) == (command.NAME, command.HELP)


@pytest.mark.parametrize("arguments", [["--help"], []])
def test_help_lists_every_subcommand_to_whoever_names_none(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        __main__.main(arguments)
    text = " ".join(capsys.readouterr().out.split())

    assert all(f"{name} {summary}" in text for name, summary in COMMANDS.items())


def test_help_loads_nothing_that_is_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _HELP, *HEAVY],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert "" == done.stdout.splitlines()[-1]


def test_a_subcommand_has_help_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        __main__.main(["worker", "--help"])

    assert "--queues" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["dance"], ["web", "--port", "many"]])
def test_what_makes_no_sense_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        __main__.main(arguments)


def test_a_setting_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELODYFLOW_LEASE_SECONDS", "never")
    with pytest.raises(SystemExit, match="MELODYFLOW_LEASE_SECONDS"):
        __main__.main(["web"])


@pytest.mark.parametrize(
    ("raised", "code", "told"),
    [(errors.WireDown("Set REDIS_URL."), 1, "Set REDIS_URL.\n"), (KeyboardInterrupt(), 130, "")],
)
def test_troubles_become_exit_codes(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raised: BaseException,
    code: int,
    told: str,
) -> None:
    def run(_args: object) -> int:
        raise raised

    monkeypatch.setattr(web, "run", run)

    assert code == __main__.main(["web"])
    assert told == capsys.readouterr().err


def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELODYFLOW_PORT", "1000")
    args = __main__._parser(["web"]).parse_args(["web", "--port", "2000"])

    assert 2000 == options.settings_of(args).port


def test_children_read_the_settings_of_their_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    args = __main__._parser(["web"]).parse_args(["web", "--port", "0", "--host", "::1"])
    settings = options.settings_of(args).model_copy(
        update={"redis_url": "redis://:secret@127.0.0.1:1/0", "cors_origins": ("a", "b")}
    )
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)

    assert settings == options.settings_of(__main__._parser(["web"]).parse_args(["web"]))
