"""What a decoder does when its luck runs out; given to a reader process in place of `codec`.

The first word of a file says what happens. Any other file is read as ever.
"""

import ctypes
import itertools
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from server.media import codec
from server.media.formats import FORMATS, Format
from server.media.sources import Block, Source


def _loop() -> None:
    for _ in itertools.count():
        pass


def _loop_in_c() -> None:
    sum(itertools.repeat(0))


def _sleep() -> None:
    threading.Event().wait()


def _segfault() -> None:
    ctypes.string_at(0)


def _abort() -> None:
    os.abort()


def _leave() -> None:
    sys.exit(0)


def _eat() -> None:
    kept = [bytearray(2**24) for _ in itertools.count()]
    kept.clear()


def _eat_in_c() -> None:
    """Do as a C library does: it gets nothing and writes to it all the same."""
    malloc = ctypes.CDLL(None).malloc
    malloc.restype = ctypes.c_void_p
    while place := malloc(ctypes.c_size_t(2**24)):
        ctypes.memset(place, 1, 2**24)
    ctypes.memset(0, 1, 2**24)


def _open_a_file() -> None:
    with open(__file__, "rb"):  # noqa: PTH123 - what a library does
        _answer_in_order()


def _connect() -> None:
    with socket.socket():
        _answer_in_order()


def _talk_nonsense() -> None:
    sys.stdout.buffer.write(b"\xff" * 4096)
    sys.stdout.buffer.flush()
    _sleep()


def _claim_much() -> None:
    """Announce a part of the answer that nobody could hold."""
    sys.stdout.buffer.write(bytes([1]) + b"\xff" * 8)
    sys.stdout.buffer.flush()
    _sleep()


def _kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _answer_in_order() -> None:
    """Return: the file is then read like any other, so the test fails."""


HAPPENINGS: dict[bytes, Callable[[], None]] = {
    b"loop": _loop,
    b"loop-in-c": _loop_in_c,
    b"sleep": _sleep,
    b"segfault": _segfault,
    b"abort": _abort,
    b"leave": _leave,
    b"eat": _eat,
    b"eat-in-c": _eat_in_c,
    b"open-a-file": _open_a_file,
    b"connect": _connect,
    b"nonsense": _talk_nonsense,
    b"claim": _claim_much,
    b"kill": _kill_itself,
}


@contextmanager
def opened(data: bytes) -> Iterator[tuple[Format, Source]]:
    """Let happen what the file says; with `later` before it, after the first block of samples."""
    words = data[:64].split(b" ")
    if words[0] == b"later":
        yield FORMATS["wav"], Source(1, 8000, None, False, _blocks(HAPPENINGS[words[1]]))
        return
    if words[0] in HAPPENINGS:
        HAPPENINGS[words[0]]()
        data = data.partition(b" ")[2]
    with codec.opened(data) as found:
        yield found


def _blocks(
    happening: Callable[[], None],
) -> Iterator[Block]:
    yield np.zeros((100, 1), np.float32)
    happening()
