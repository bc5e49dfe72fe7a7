"""What the README shows works, and what it lists is what there is."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from server.media import codec
from tests.docs import tables
from tests.docs.writing import renewed

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RIFF = ROOT / "server" / "cli" / "riff.flac"
BLOCKS = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("name", tables.TABLES)
def test_every_table_says_what_the_code_says(name: str) -> None:
    """Run `python -m tests.docs.tables` where this fails."""
    begin, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"

    assert tables.TABLES[name]() == README.partition(begin)[2].partition(end)[0]


def test_a_table_that_is_out_of_date_is_seen() -> None:
    """The comparison above can fail."""
    stale = README.replace("`accordion_folk`, ", "")

    assert stale != renewed(stale, tables.TABLES)
    assert renewed(README, tables.TABLES) == README


def test_there_are_examples_to_run() -> None:
    """An empty list of examples would pass everything below."""
    assert len(BLOCKS) == README.count("```sh") >= 3


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_every_shell_example_runs(block: str, ready_url: str, tmp_path: Path) -> None:
    """The examples are run as they are printed, against a server of this test."""
    shutil.copy(RIFF, tmp_path / "riff.flac")
    (tmp_path / "python3").symlink_to(sys.executable)
    script = block.replace("http://localhost:8002", ready_url).replace("curl -s", "curl -sSf")

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"PATH={tmp_path}:$PATH\n{script}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert "" == done.stderr
    assert 0 == done.returncode
    for sound in (*tmp_path.glob("*.wav"), *tmp_path.glob("*.mp3")):
        assert codec.decode(sound).seconds == pytest.approx(codec.decode(RIFF).seconds, abs=0.1)


def test_the_example_client_fetches_a_result(ready_url: str, tmp_path: Path) -> None:
    """It shows progress, and writes a file as long as the one it sent."""
    output = tmp_path / "box.wav"
    command = [sys.executable, "examples/client.py", str(RIFF), str(output)]

    done = subprocess.run(
        [*command, "--variation", "music_box", "--server", ready_url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert "" == done.stderr
    assert "transforming" in done.stdout
    assert codec.decode(output).length == codec.decode(RIFF).length
