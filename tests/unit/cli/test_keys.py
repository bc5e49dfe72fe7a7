"""`keys`: made once, shown once, revoked for good."""

from pathlib import Path

import pytest

from server.__main__ import main
from server.config import Settings


def _run(folder: Path, *arguments: str) -> int:
    return main(["keys", *arguments, "--data-dir", str(folder)])


def test_a_key_is_shown_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The list has its id, its name and what it may; the secret is nowhere any more."""
    assert _run(tmp_path, "add", "Ann", "--admin", "--jobs-at-once", "2") == 0
    text = capsys.readouterr().out.strip()
    assert _run(tmp_path, "list") == 0
    listed = capsys.readouterr().out

    assert text.split("_")[1] in listed
    assert "Ann" in listed
    assert "admin, 2 jobs at once" in listed
    assert text.split("_")[2] not in listed


def test_a_key_is_revoked_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second time, and for keys that never were, the command says that there is none."""
    _run(tmp_path, "add", "Ann")
    key_id = capsys.readouterr().out.split("_")[1]

    assert _run(tmp_path, "revoke", key_id) == 0
    assert _run(tmp_path, "revoke", key_id) == 2
    assert "no good key" in capsys.readouterr().err


def test_limits_are_numbers(tmp_path: Path) -> None:
    """Anything else is refused by name."""
    with pytest.raises(SystemExit):
        _run(tmp_path, "add", "Ann", "--jobs-at-once", "0")


@pytest.mark.parametrize(
    ("keys", "host", "asks"),
    [
        ("auto", "127.0.0.1", False),
        ("auto", "::1", False),
        ("auto", "localhost", False),
        ("auto", "0.0.0.0", True),  # noqa: S104 - asked about only
        ("auto", "::", True),
        ("auto", "192.168.1.5", True),
        ("auto", "studio.local", True),
        ("on", "127.0.0.1", True),
        ("off", "0.0.0.0", False),  # noqa: S104 - asked about only
    ],
)
def test_keys_are_asked_for_beyond_this_machine(keys: str, host: str, *, asks: bool) -> None:
    """Unless the settings say otherwise."""
    settings = Settings.from_environment(keys=keys, host=host)
    assert settings.asks_for_keys is asks
