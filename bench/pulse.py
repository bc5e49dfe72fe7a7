"""How long does `/health` take meanwhile? Asked by a process of its own."""

import http.client
import json
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit


@contextmanager
def taken(url: str, *, every: float) -> Iterator[list[float]]:
    """Ask again and again while this lasts; the list has the seconds of each answer afterwards."""
    command = [sys.executable, "-m", "bench.pulse", url, str(every)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        seconds: list[float] = []
        try:
            yield seconds
        finally:
            told, _ = process.communicate()
            seconds += json.loads(told)


def _asked(url: str) -> float:
    # a connection of its own each time, as plugins do
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    began = time.perf_counter()
    try:
        connection.request("GET", "/health")
        connection.getresponse().read()
    finally:
        connection.close()
    return time.perf_counter() - began


def main(url: str, every: float) -> None:
    """Ask until the standard input ends, then print the seconds of each answer."""
    seconds = []
    while not select.select([sys.stdin], [], [], every)[0]:
        seconds.append(_asked(url))
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
