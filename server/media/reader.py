"""The process that reads strangers' files: it may hang or crash, and takes nobody with it.

`python -m server.media.reader [MODULE]` answers one request after the other on its standard input
until that ends, nothing comes for a while, or a file uses more than it may. `bounded` starts it and
talks to it. MODULE opens the files, `server.media.codec` unless a test brings a worse one.

Before the first file it gives up what reading does not need: opening files or sockets, starting
processes, writing. Time and memory are limited anew for each file, by the kernel, so that the
limits hold inside a library as well. Where the platform has no such limits, the parent's clock is
what is left.
"""

import importlib
import importlib.util
import json
import signal
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from server import errors
from server.media import codec
from server.media.sources import Source

IDLE_SECONDS = 60.0
"""How long it waits for another file before it ends."""

HEAD = struct.Struct("<BQ")
"""What precedes each part of an answer: what it is, and how many bytes follow."""

REQUEST = struct.Struct("<I")
"""What precedes a request: the bytes of its JSON."""

REFUSALS = (errors.UnsupportedMedia, errors.UnreadableAudio, errors.TooLong)
"""What may be wrong with a file."""

_LIBRARIES = ("server.media.sndfile", "server.media.containers")
"""Imported ahead where they are installed: later no file can be opened."""


class Part(IntEnum):
    """Parts of an answer."""

    READY = 0
    FACTS = 1
    SAMPLES = 2
    END = 3
    REFUSAL = 4


class Opens(Protocol):
    """A module that opens files, such as `codec`."""

    opened: Any


def main(arguments: list[str]) -> int:
    """Give up what is not needed and serve."""
    opens = importlib.import_module(arguments[0] if arguments else codec.__name__)
    for name in _LIBRARIES:
        with suppress(ModuleNotFoundError):
            importlib.import_module(name)
    least_bytes = _address_space()
    _give_up()
    return serve(sys.stdin.buffer, sys.stdout.buffer, opens, least_bytes=least_bytes)


def serve(
    requests: IO[bytes], answers: IO[bytes], opens: Opens, *, least_bytes: int | None = None
) -> int:
    """Answer requests until they end; `least_bytes` is the address space without a file."""
    _send(answers, Part.READY)
    while True:
        _limit_time(cpu_seconds=0, wall_seconds=IDLE_SECONDS)
        head = requests.read(REQUEST.size)
        if len(head) < REQUEST.size:
            return 0
        asked = json.loads(requests.read(REQUEST.unpack(head)[0]))
        _limit_time(cpu_seconds=asked["cpu_seconds"], wall_seconds=asked["wall_seconds"])
        if least_bytes is not None:
            _limit_memory(least_bytes + asked["size_bytes"] + asked["memory_bytes"])
        _answer(requests.read(asked["size_bytes"]), asked, answers, opens)


def _answer(data: bytes, asked: dict[str, Any], answers: IO[bytes], opens: Opens) -> None:
    try:
        with opens.opened(data) as (format_, source):
            facts = {
                "format": format_.name,
                "channels": source.channels,
                "sample_rate": source.sample_rate,
                "length": source.length,
                "is_exact": source.is_exact,
            }
            _send(answers, Part.FACTS, json.dumps(facts).encode())
            if asked["is_check"]:
                end = {"length": checked_length(source, asked)}
            else:
                end = {}
                for block in _blocks(source, asked):
                    _send(answers, Part.SAMPLES, np.ascontiguousarray(block.T).tobytes())
    except REFUSALS as refusal:
        told = {"name": type(refusal).__name__, "message": refusal.message}
        _send(answers, Part.REFUSAL, json.dumps(told).encode())
    except MemoryError:
        told = {"name": errors.UnreadableAudio.__name__, "message": TOO_MUCH}
        _send(answers, Part.REFUSAL, json.dumps(told).encode())
    else:
        _send(answers, Part.END, json.dumps(end).encode())


TOO_MUCH = "This audio file takes more memory or time to read than any sound needs."
"""The message where a limit was met."""


def checked_length(source: Source, asked: dict[str, Any]) -> int:
    """Return how many samples a channel come out of the decoder.

    A header that admits to be too long is believed. One that does not is compared with what comes
    out; only for a long file that is slow to decode, and no longer yet than its header says, the
    rest is left to whoever decodes all of it.
    """
    most = codec.most_samples(
        source, max_seconds=asked["max_seconds"], max_samples=asked["max_samples"]
    )
    if source.length is not None and source.length > most:
        raise codec.too_long(most / source.sample_rate)
    give_up_at, total = time.process_time() + asked["patience_seconds"], 0
    for block in _blocks(source, asked):
        total += block.shape[0]
        is_believed = source.length is not None and total <= source.length
        if is_believed and time.process_time() > give_up_at:
            return int(source.length or total)
    return codec.true_length(total, source)


def _blocks(source: Source, asked: dict[str, Any]) -> Iterator[Any]:
    return codec.sound_blocks(
        source, max_seconds=asked["max_seconds"], max_samples=asked["max_samples"]
    )


def _send(answers: IO[bytes], part: Part, body: bytes = b"") -> None:
    answers.write(HEAD.pack(part, len(body)) + body)
    answers.flush()


# Limits


def _give_up() -> None:
    """Have the kernel refuse what reading a file never needs. More than any file needs is left."""
    if importlib.util.find_spec("resource") is None:
        return
    import resource  # noqa: PLC0415 - not on every platform

    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 3),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CPU, 3600),
    ):
        with suppress(ValueError, OSError):  # the platform, or whoever started us, has it lower
            resource.setrlimit(limit, (value, value))


def _address_space() -> int | None:
    """Return how many bytes of address space this process has, None where nobody tells."""
    file = Path("/proc/self/statm")
    if not file.exists():
        return None
    import resource  # noqa: PLC0415 - there is one where there is a /proc

    return int(file.read_text(encoding="ascii").split()[0]) * resource.getpagesize()


def _limit_memory(size_bytes: int) -> None:
    import resource  # noqa: PLC0415 - there is one where the address space is known

    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if most != resource.RLIM_INFINITY:
        size_bytes = min(size_bytes, most)
    resource.setrlimit(resource.RLIMIT_AS, (size_bytes, most))


def _limit_time(*, cpu_seconds: float, wall_seconds: float) -> None:
    """Have the kernel end this process after that much time; 0 is no limit."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        signal.setitimer(signal.ITIMER_REAL, wall_seconds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
