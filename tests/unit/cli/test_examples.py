"""`examples`: every preset can be heard before it is chosen, and only what changed is made anew."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import variations
from server.__main__ import main
from server.cli import examples
from server.engines.catalog import ENGINES
from server.media import codec
from tests.music import riff

PRESET = """
[kazoo_choir]
prompt = "A small choir of kazoos hums along in a kitchen."

[kazoo_choir.arrangement]
voices = [{ name = "kazoo", role = "riff", program = 22, range = [48, 84] }]
"""


@pytest.fixture(name="data", autouse=True)
def _data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data directory with a preset of one's own, and a riff of a second."""
    short = tmp_path / "riff.flac"
    short.write_bytes(codec.encode(riff(seconds=1.0).clip, "flac"))
    monkeypatch.setattr(examples, "RIFF", short)
    monkeypatch.setenv("MELODYFLOW_DATA_DIR", str(tmp_path))
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "kitchen.toml").write_text(PRESET)
    yield tmp_path
    variations.use_folder(None)


def example(data: Path, name: str) -> Path:
    """Return where an example belongs."""
    return data / "examples" / f"{name}.ogg"


def rendered(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """Run the command and return which presets it told of."""
    assert 0 == main(["examples", *arguments])
    return re.findall(r"^ *\d+/\d+  (\S+) .* kB$", capsys.readouterr().out, re.MULTILINE)


def test_an_example_is_a_small_file_that_says_who_made_it(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Title, engine, licence, and that a machine did."""
    assert ["chiptune"] == rendered(capsys, "chiptune")
    file = example(data, "chiptune")
    head = file.read_bytes()[:8192].decode("latin-1")

    assert abs(codec.decode(file).seconds - 1.0) < 1e-3
    assert file.stat().st_size <= examples.MOST_BYTES
    assert "TITLE=chiptune, an example" in head
    assert "engine: arranger" in head
    assert ENGINES["arranger"].licence in head
    assert "Made with AI" in head
    assert [file.name] == [each.name for each in file.parent.iterdir()]


def test_only_what_changed_is_rendered_again(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another table or another riff is a change; asking again is none."""
    assert ["kazoo_choir"] == rendered(capsys, "kazoo_choir")
    assert [] == rendered(capsys, "kazoo_choir")

    own = data / "presets" / "kitchen.toml"
    own.write_text(PRESET.replace("program = 22", "program = 21"))
    os.utime(own, ns=(0, 1))
    variations.use_folder(None)
    assert ["kazoo_choir"] == rendered(capsys, "kazoo_choir")

    other = data / "other.flac"
    other.write_bytes(codec.encode(riff(seconds=1.0, transpose=2).clip, "flac"))
    monkeypatch.setattr(examples, "RIFF", other)
    assert ["kazoo_choir"] == rendered(capsys, "kazoo_choir")


def test_a_preset_that_cannot_be_rendered_does_not_stop_the_others(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All are tried; what failed is named, and the exit code says so."""
    (data / "riff.flac").write_text("this is no sound at all, but words")

    assert 2 == main(["examples", "chiptune", "kazoo_choir"])
    told = capsys.readouterr()
    assert "Not rendered: chiptune, kazoo_choir." in told.err
    assert "2/2  kazoo_choir" in told.out
    assert [] == list((data / "examples").iterdir())


def test_a_misspelt_preset_is_not_looked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main(["examples", "chiptunes"])
    assert "did you mean chiptune?" in capsys.readouterr().err


def test_all_presets_are_ours_and_with_a_word_ones_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examples, "_render", lambda stale, _settings: list(stale))

    assert 2 == main(["examples"])
    assert f"Not rendered: {', '.join(variations.built_in())}." in capsys.readouterr().err
    assert 2 == main(["examples", "--all"])
    assert "house_piano, kazoo_choir." in capsys.readouterr().err
