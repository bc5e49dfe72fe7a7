"""Answers every question and writes docs/benchmarks.md, with the day and the class of machine."""

import os
import platform
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import psutil

QUESTIONS = ("presets", "service", "load", "melodyflow")
TARGET = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def main() -> None:
    """Print each table as soon as it is known, then write all."""
    parts = ["# Benchmarks", _machine()]
    for name in QUESTIONS:
        question = import_module(f"bench.{name}")
        ruled = [question.HEAD, tuple("---" for _ in question.HEAD), *question.rows()]
        table = "\n".join("| " + " | ".join(row) + " |" for row in ruled)
        parts.append(f"## {question.TITLE}\n\n{table}")
        print(parts[-1], flush=True)
    TARGET.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    load = os.getloadavg()[0]
    return (
        f"Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores "
        f"({platform.machine()}), {memory:.0f} GiB, {_card()}, {platform.system()}, CPython "
        f"{platform.python_version()}. The load average was {load:.1f} when it began: "
        "other work on the same cores makes every time an upper bound."
    )


def _card() -> str:
    import torch  # noqa: PLC0415 - slow to import

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU used"


if __name__ == "__main__":
    main()
