"""Pieces of work side by side on two threads, in order; the caller's thread tells of progress.

Most of the work on sound is done by libraries that let other threads run meanwhile. What is told
may stop the work, and may be told from the caller's thread alone: a job's record is not for others.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

Piece = TypeVar("Piece")

AT_ONCE = 2
"""More would only hold more memory: the pieces are as long as the whole sound."""

_TOLD_EVERY_SECONDS = 0.05


class Abandoned(Exception):
    """Raised in a piece of work that should end, by whoever it asks."""


def in_order(
    pieces: Iterable[Callable[[], Piece]],
    *,
    tell: Callable[[], None],
    abandon: Callable[[], None],
) -> Iterator[Piece]:
    """Yield what each piece of work returns, in order.

    Never more than `AT_ONCE` are begun and not yet yielded. `tell` is called every few hundredths
    of a second; when it raises, or a piece does, `abandon` is called, which should let running
    pieces end early, and they are waited for.
    """
    rest = iter(pieces)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running: deque[Future[Piece]] = deque(pool.submit(p) for p in islice(rest, AT_ONCE))
        try:
            while running:
                while wait([running[0]], timeout=_TOLD_EVERY_SECONDS).not_done:
                    tell()
                tell()
                yield running.popleft().result()
                running.extend(pool.submit(piece) for piece in islice(rest, 1))
        except BaseException:
            abandon()
            pool.shutdown(cancel_futures=True)
            raise
