"""What the tests of the command `transform` share: a source, and what a refusal says."""

from pathlib import Path

import pytest

from server.__main__ import main
from server.media import codec
from tests import music


def riff_file(folder: Path, monkeypatch: pytest.MonkeyPatch, *, seconds: float) -> Path:
    """Return a short riff in a folder of its own, with nothing else set."""
    monkeypatch.setenv("MELODYFLOW_DATA_DIR", str(folder / "data"))
    path = folder / "riff.wav"
    path.write_bytes(codec.encode(music.riff(seconds=seconds).clip, "wav"))
    return path


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one sentence a refused command writes."""
    assert 2 == main(["transform", *arguments])
    said = capsys.readouterr()
    assert "" == said.out
    assert 1 == said.err.count("\n")
    return said.err
