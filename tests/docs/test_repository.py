"""Documents point at things that exist, and nothing points at the machine it was written on."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from server.cli import COMMANDS

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
FOLDERS = ("server", "variations", "tests", "bench", "examples", "docs")
SOURCES = sorted(
    path
    for folder in FOLDERS
    for ending in ("py", "toml", "md", "js", "html", "css")
    for path in (ROOT / folder).rglob(f"*.{ending}")
)
HOME = re.compile(r"/(?:home|Users)/\w+/|(?<![\w.])/(?:root|work)/")
LINK = re.compile(r"\[[^\]]+\]\(([^)\s#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_resolve(document: Path) -> None:
    """A link to a file of the repository leads to a file."""
    links = [link for link in LINK.findall(document.read_text("utf-8")) if "://" not in link]

    assert [] == [link for link in links if not (document.parent / link).exists()]


def test_nothing_names_a_folder_of_one_machine() -> None:
    """The repository works wherever it is cloned."""
    named = [path for path in (*SOURCES, *DOCUMENTS) if HOME.search(path.read_text("utf-8"))]

    assert [] == [str(path.relative_to(ROOT)) for path in named if path != Path(__file__)]


@pytest.mark.parametrize("text", ["/home/ann/riff.wav", "cd /root/x", '"/work/x"'])
def test_a_folder_of_one_machine_would_be_seen(text: str) -> None:
    """The search above can find something."""
    assert HOME.search(text)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented_and_explains_itself(command: str) -> None:
    """The README names it, and `--help` works."""
    readme = (ROOT / "README.md").read_text("utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "server", command, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert 0 == done.returncode
    assert f"`{command}`" in readme
    assert COMMANDS[command] in " ".join(done.stdout.split())


def test_the_ci_runs_what_the_readme_says() -> None:
    """Nothing is needed to pass that a newcomer is not told."""
    script = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()

    assert "make test" == script[-1]
    assert 4 == len(script)
    assert "make test" in (ROOT / "README.md").read_text("utf-8")
