"""What does the service cost: to start, to idle, and around the work of a job?"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from statistics import median

import psutil

from server.cli.client import Client, await_ready
from server.cli.demo import RIFF
from server.engines.arranger import assets

TITLE = "The service"
HEAD = ("What", "Value")

RUNS = 5
STRENGTH_WITHOUT_WORK = 0


def rows() -> Iterator[tuple[str, ...]]:
    """Start `serve`, look at its processes, and send it jobs that need no work."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        command = [sys.executable, "-m", "server", "serve", "--port", "0", "--data-dir", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield from _measured(process, Path(folder), began)
            finally:
                process.terminate()


def _measured(
    process: subprocess.Popen[str], folder: Path, began: float
) -> Iterator[tuple[str, ...]]:
    if process.stdout is not None:
        process.stdout.readline()
    yield "`serve` answers after", f"{time.perf_counter() - began:.1f} s"
    client = Client(json.loads((folder / "server.json").read_text("utf-8"))["url"])
    await_ready(client, seconds=60, is_alive=lambda: process.poll() is None)
    yield "`serve` takes jobs after", f"{time.perf_counter() - began:.1f} s"
    for child in psutil.Process(process.pid).children():
        name = next((word for word in child.cmdline() if word in ("web", "worker")), "valkey")
        yield f"memory of {name}, idle", f"{child.memory_info().rss / 2**20:.0f} MiB"
    _job(client)
    jobs = [_job(client) for _ in range(RUNS)]
    yield "unchanged riff, submit to result", f"{median(each[0] for each in jobs):.2f} s"
    yield "of that, waiting for a worker", f"{1000 * median(each[1] for each in jobs):.0f} ms"
    bank = assets.find_sound_bank(Path("data"), None)
    yield "sound bank", "FluidR3Mono" if bank.is_available else "synthesized voices"


def _job(client: Client) -> tuple[float, float]:
    """Return how long a job took that changes nothing, and how long it waited."""
    began = time.perf_counter()
    receipt = client.submit(RIFF, variation="music_box", strength=STRENGTH_WITHOUT_WORK)
    facts = client.job(receipt["id"], wait_seconds=30)
    took = time.perf_counter() - began
    queued, started = (datetime.fromisoformat(facts[at]) for at in ("created_at", "started_at"))
    return took, (started - queued).total_seconds()
