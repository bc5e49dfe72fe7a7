"""`webhooks secret`: what a receiver checks signatures with."""

import base64
from pathlib import Path

import pytest

from server.__main__ import main


def test_the_secret_is_the_same_every_time_and_one_for_each_owner(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the form that libraries of Standard Webhooks take: 32 bytes."""
    arguments = ["webhooks", "secret", "--data-dir", str(tmp_path)]
    for more in ([], [], ["--owner", "k1"]):
        assert 0 == main([*arguments, *more])
    first, again, of_owner = capsys.readouterr().out.split()

    assert first == again
    assert of_owner != first
    assert 32 == len(base64.b64decode(of_owner.removeprefix("whsec_"), validate=True))
