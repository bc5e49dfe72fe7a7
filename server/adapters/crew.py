"""Child processes that are started, looked after and ended together."""

import logging
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from server.adapters import children

log = logging.getLogger(__name__)

END_SECONDS = 7.0
"""How long they may take to end; more than a worker's grace."""

FIRST_DELAY_SECONDS = 0.5

LONGEST_DELAY_SECONDS = 15.0

FRESH_START = 75
"""Exit code of a process that did nothing wrong and needs to be another one (EX_TEMPFAIL)."""

HEALTHY_SECONDS = 30.0
"""Who lived this long starts afresh: its next restart is as quick as its first."""


@dataclass(kw_only=True)
class Member:
    """One child: how it is started, and how it has been."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    pass_fds: Sequence[int] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _started_at: float = field(default=0.0, init=False)
    _delay: float = field(default=0.0, init=False)
    _last_code: int | None = field(default=None, init=False)

    def look_after(self) -> None:
        """Start it if it does not run and its time has come."""
        if self.process is not None and self.process.poll() is not None:
            self._bury(self.process.returncode)
        if self.process is None and time.monotonic() >= self._started_at + self._delay:
            self.process = children.start(
                self.command, environment=self.environment, pass_fds=self.pass_fds
            )
            self._started_at = time.monotonic()

    def _bury(self, code: int) -> None:
        lived = time.monotonic() - self._started_at
        twice = min(max(FIRST_DELAY_SECONDS, self._delay * 2), LONGEST_DELAY_SECONDS)
        self._delay = FIRST_DELAY_SECONDS if lived > HEALTHY_SECONDS else twice
        if code == FRESH_START and self._last_code != FRESH_START:
            self._delay = 0.0
        self._last_code = code
        log.warning("%s ended with code %s and is started again", self.name, code)
        self.process, self._started_at = None, time.monotonic()


class Crew:
    """Some children, ended in the order in which they were given."""

    def __init__(self, members: Sequence[Member]) -> None:
        """Take the members; none runs yet."""
        self._members = members

    def look_after(self) -> None:
        """Start who does not run."""
        for member in self._members:
            member.look_after()

    def end(self) -> None:
        """End everyone: ask all, then wait for all."""
        running = [member.process for member in self._members if member.process is not None]
        for process in running:
            if process.poll() is None:
                process.terminate()
        give_up_at = time.monotonic() + END_SECONDS
        for process in running:
            children.wait(process, seconds=max(give_up_at - time.monotonic(), 0.1))
