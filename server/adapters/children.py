"""Child processes that end with their parent, however it ends."""

import ctypes
import logging
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1


def start(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own: Ctrl-C reaches the parent, which ends it in order.

    On Linux the kernel sends it SIGTERM when the parent dies without doing so.
    """
    return subprocess.Popen(  # noqa: S603 - commands of ours
        command,
        env=environment,
        pass_fds=tuple(pass_fds),
        start_new_session=True,
        preexec_fn=_prepared(signal.SIGTERM),  # noqa: PLW1509 - starts children before it starts threads
    )


def end(child: subprocess.Popen[bytes], *, seconds: float) -> None:
    """Ask a child to end, and make it after `seconds`."""
    if child.poll() is None:
        child.terminate()
    wait(child, seconds=seconds)


def wait(child: subprocess.Popen[bytes], *, seconds: float) -> None:
    """Wait for a child that was asked to end, and kill it after `seconds`."""
    try:
        child.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        log.warning("process %s did not end in %s s and is killed", child.pid, seconds)
        child.kill()
        child.wait()


def die_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel send this process a signal when its parent is gone; on Linux only."""
    prepare = _prepared(number)
    if prepare is not None:
        prepare()


def _prepared(number: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork: little may be done after it

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, int(number))

    return prepare
