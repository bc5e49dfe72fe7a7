"""Answers questions and writes docs/benchmarks.md, each with the day and the class of machine.

`python -m bench` answers all of them, `python -m bench soak inpaint` those alone; the answers to
the others stay as they are.
"""

import argparse
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import psutil

QUESTIONS = (
    "presets",
    "lengths",
    "inpaint",
    "service",
    "load",
    "melodyflow",
    "musicgen",
    "parallel",
    "faults",
    "soak",
)
TARGET = Path(__file__).parents[1] / "docs" / "benchmarks.md"
HEADING = "## "


def main() -> None:
    """Print each table as soon as it is known, and write it in its place."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("questions", nargs="*", choices=[[], *QUESTIONS], metavar="question")
    for name in parser.parse_args().questions or QUESTIONS:
        question = import_module(f"bench.{name}")
        machine = _machine()
        ruled = [question.HEAD, tuple("---" for _ in question.HEAD), *question.rows()]
        table = "\n".join("| " + " | ".join(row) + " |" for row in ruled)
        answer = f"{machine}\n\n{table}"
        print(f"{HEADING}{question.TITLE}\n\n{answer}", flush=True)
        _write({**_answers(), question.TITLE: answer})


def _answers() -> dict[str, str]:
    """Return what is written already, by title."""
    text = TARGET.read_text(encoding="utf-8") if TARGET.exists() else ""
    _, *sections = f"\n{text}".split(f"\n{HEADING}")
    titled = (section.partition("\n") for section in sections)
    return {title: body.strip() for title, _, body in titled}


def _write(answers: Mapping[str, str]) -> None:
    titles = [str(import_module(f"bench.{name}").TITLE) for name in QUESTIONS]
    known = [f"{HEADING}{title}\n\n{answers[title]}" for title in titles if title in answers]
    TARGET.write_text("\n\n".join(["# Benchmarks", *known]) + "\n", encoding="utf-8")


def _machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    load = os.getloadavg()[0]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores "
        f"({platform.machine()}), {memory:.0f} GiB, {_card()}, {platform.system()}, CPython "
        f"{platform.python_version()}. The load average was {load:.1f} when it began: "
        "other work on the same cores makes every time an upper bound."
    )


def _card() -> str:
    import torch  # noqa: PLC0415 - slow to import

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU used"


if __name__ == "__main__":
    main()
