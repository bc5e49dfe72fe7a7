"""The entry: what it says to somebody who does not know it yet."""

import pytest

from server.__main__ import main
from server.cli import COMMANDS


def test_without_arguments_every_command_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([])

    assert 0 == left.value.code
    shown = capsys.readouterr().out
    assert [] == [name for name in COMMANDS if name not in shown]


def test_a_mistyped_command_is_answered_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["transfrom"])

    assert 2 == left.value.code
    assert "'transform'" in capsys.readouterr().err
