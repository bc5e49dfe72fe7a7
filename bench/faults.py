"""How long does it take until what was killed is made good?

The figures are those of the tests that kill things, in the order of their stories.

    python -m bench.faults
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

TITLE = "What was killed, and how soon it is made good"
HEAD = ("Fault", "Seconds")

STORIES = ("test_faults", "test_stuck", "test_survival")
ROOT = Path(__file__).parents[1]


def rows() -> Iterator[Sequence[str]]:
    """Yield what each story measured; databases in brackets where it was told over two."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        files = [f"tests/system/{name}.py" for name in STORIES]
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", *files, f"--junitxml={report}"]
        subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)
        # a report of our own making
        tree = ET.parse(report)  # noqa: S314
    for case in tree.iter("testcase"):
        database = case.get("name", "").partition("[")[2].rstrip("]")
        told = f" ({database})" if database in ("sqlite", "postgresql") else ""
        for figure in case.iter("property"):
            yield f"{figure.get('name')}{told}", f"{float(figure.get('value', 0)):.2f}"


if __name__ == "__main__":
    for fault, seconds in rows():
        print(f"{seconds:>8} s  {fault}")
