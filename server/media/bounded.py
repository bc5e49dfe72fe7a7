"""Files of strangers, read in a process of their own: what they do there is done to it alone.

`check` and `decode` are to uploads what `codec.probe` and `codec.decode` are to files of ours. A
file on which the decoder crashes, hangs or asks for too much is unreadable, and the next one is
read as if nothing had happened. Readers are started when they are needed, kept for the next file,
and end by themselves when none comes.
"""

import atexit
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from server import config, errors
from server.media import codec, reader
from server.media.clip import Clip
from server.media.codec import Probe
from server.media.formats import FORMATS
from server.media.reader import HEAD, IDLE_SECONDS, REFUSALS, REQUEST, Part
from server.media.sources import Block, Source

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Files that are read at the same time; others wait."""

FILES_EACH = 100
"""After so many files a reader is replaced: libraries leak."""

START_SECONDS = 30.0
"""How long a reader may take to start."""

DAMAGED = "The audio file is damaged or incomplete."

_USED_WITHIN_SECONDS = IDLE_SECONDS - 15.0
"""Who was idle for longer may be about to end."""

_LATE_SECONDS = 2.0
"""How long after its own clock should have ended it a reader is killed."""

_LARGEST_PART = 1 << 24
_SLACK_SAMPLES = 1 << 20
_GENTLY_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What reading one file may take.

    Attributes:
        cpu_seconds: of computing, whatever the file.
        cpu_share: so many more for each second of sound that is allowed.
        wall_seconds: in all; many files may be read at once on few cores.
        patience_seconds: of computing after which a check believes the header about the rest.
        memory_bytes: beside the file itself and the libraries.
    """

    cpu_seconds: float = 2.0
    cpu_share: float = 0.03
    wall_seconds: float = 20.0
    patience_seconds: float = 1.2
    memory_bytes: int = 256 * 2**20

    def of(self, max_seconds: float | None) -> Mapping[str, float]:
        """Return what one request may take."""
        allowed = codec.MOST_SAMPLES / 96_000 if max_seconds is None else max_seconds
        more = self.cpu_share * allowed
        return {
            "cpu_seconds": self.cpu_seconds + more,
            "wall_seconds": self.wall_seconds + 4 * more,
            "patience_seconds": self.patience_seconds,
            "memory_bytes": self.memory_bytes,
        }


class Readers:
    """Reader processes, as many as files are read at once."""

    def __init__(self, *, module: str = codec.__name__, limits: Limits | None = None) -> None:
        """Take what opens the files, and what a file may take; nothing is started yet."""
        self._module = module
        self._limits = limits or Limits()
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._idle: list[_Reader] = []

    def check(self, data: bytes | Path, *, max_seconds: float) -> Probe:
        """Return what a file says of itself, with the length that really comes out of it.

        Raises:
            errors.TooLong: it is longer, or says so, or takes more memory than any clip may.
            errors.UnsupportedMedia: it is certainly no audio. errors.UnreadableAudio: it is nothing
            known, damaged, empty, or cannot be read within the limits.
            errors.Unavailable: no reader can be started.
        """
        with self._asked(data, max_seconds=max_seconds, is_check=True) as (one, facts):
            end = one.told(Part.END)
            format_, channels = FORMATS[facts["format"]], int(facts["channels"])
            return Probe(
                format_, channels, int(facts["sample_rate"]), int(end["length"]), facts["is_exact"]
            )

    def decode(self, data: bytes | Path, *, max_seconds: float | None = None) -> Clip:
        """Decode a whole file as `codec.decode` does.

        Raises:
            errors.TooLong: there is more than `max_seconds`, or more than any clip may hold.
            errors.UnsupportedMedia: it is certainly no audio. errors.UnreadableAudio: it is nothing
            known, damaged, empty, or cannot be read within the limits.
            errors.Unavailable: no reader can be started.
        """
        with self._asked(data, max_seconds=max_seconds, is_check=False) as (one, facts):
            channels, length = int(facts["channels"]), facts["length"]
            blocks = one.blocks(channels)
            source = Source(channels, int(facts["sample_rate"]), length, length is not None, blocks)
            return codec.clip_of(blocks, source)

    def close(self) -> None:
        """End those that wait for a file; the next file starts another one."""
        while self._idle:
            self._idle.pop().end()

    @contextmanager
    def _asked(
        self, data: bytes | Path, *, max_seconds: float | None, is_check: bool
    ) -> Iterator[tuple["_Reader", dict[str, Any]]]:
        """Yield a reader at work on a file, and the facts that it told first."""
        data = _bytes(data)
        limits = self._limits.of(max_seconds)
        asked = {
            "is_check": is_check,
            "size_bytes": len(data),
            "max_seconds": max_seconds,
            "max_samples": codec.MOST_SAMPLES,
            **limits,
        }
        with self._reader() as one, one.ended_after(limits["wall_seconds"] + _LATE_SECONDS):
            try:
                one.ask(asked, data)
                yield one, one.told(Part.FACTS)
            except (OSError, EOFError, ValueError, KeyError, TypeError) as trouble:
                log.warning("a file of %s bytes was not read: %s", len(data), one.ending())
                is_gone = isinstance(trouble, OSError | EOFError)
                message = reader.TOO_MUCH if is_gone and one.was_stopped() else DAMAGED
                raise errors.UnreadableAudio(message) from trouble

    @contextmanager
    def _reader(self) -> Iterator["_Reader"]:
        """Lend a reader; one that did not answer in order ends."""
        with self._turns:
            one = self._kept() or _Reader(self._module)
            try:
                yield one
            finally:
                if one.is_well and one.files < FILES_EACH:
                    self._idle.append(one)
                else:
                    one.end()

    def _kept(self) -> "_Reader | None":
        """Return the reader that was used last, if it still waits."""
        while self._idle:
            with suppress(IndexError):  # another thread was quicker
                one = self._idle.pop()
                if one.is_waiting():
                    return one
                one.end()
        return None


class _Reader:
    """One process, and the conversation with it.

    Attributes:
        files: how many it was given.
        is_well: whether it answered the last one in order.
    """

    def __init__(self, module: str) -> None:
        """Start it and wait until it is ready.

        Raises:
            errors.Unavailable: it does not start.
        """
        self.files = 0
        self.is_well = False
        self._used_at = time.monotonic()
        try:
            self._process = _started(module)
        except OSError as trouble:
            raise _unavailable(str(trouble)) from trouble
        try:
            with self.ended_after(START_SECONDS):
                self._part()
        except (EOFError, ValueError) as trouble:
            self.end()
            raise _unavailable(self.ending()) from trouble

    def is_waiting(self) -> bool:
        """Whether it can be given a file."""
        is_fresh = time.monotonic() - self._used_at < _USED_WITHIN_SECONDS
        return is_fresh and self._process.poll() is None

    def ask(self, asked: Mapping[str, Any], data: bytes) -> None:
        """Send a request and its file. Raises `OSError` when it is gone."""
        self.is_well = False
        self.files += 1
        request = json.dumps(asked).encode()
        pipe = _pipe(self._process.stdin)
        pipe.write(REQUEST.pack(len(request)) + request)
        pipe.write(data)
        pipe.flush()

    def told(self, expected: Part) -> dict[str, Any]:
        """Return the next part of the answer, which is told in words.

        Raises:
            errors.MelodyflowError: the file is refused.
            EOFError: the reader is gone. ValueError: it talks nonsense.
        """
        part, body = self._part()
        said: dict[str, Any] = json.loads(body)
        if part is Part.REFUSAL:
            self._rest()
            raise _refusal(said)
        if part is not expected:
            raise ValueError("a part of the answer is missing")
        if part is Part.END:
            self._rest()
        return said

    def blocks(self, channels: int) -> Iterator[Block]:
        """Yield samples `[n, C]` up to the end of the answer. Raises as `told`."""
        left = codec.MOST_SAMPLES + _SLACK_SAMPLES
        while (part_and_body := self._part())[0] is Part.SAMPLES:
            samples = np.frombuffer(part_and_body[1], np.float32).reshape(channels, -1)
            left -= samples.size
            if left < 0:
                raise ValueError("more samples than were asked for")
            yield samples.T
        part, body = part_and_body
        self._rest()
        if part is Part.REFUSAL:
            raise _refusal(json.loads(body))

    @contextmanager
    def ended_after(self, seconds: float) -> Iterator[None]:
        """Kill it if this lasts longer: its own clock may have stopped with it."""
        clock = threading.Timer(seconds, self._kill)
        clock.daemon = True
        clock.start()
        try:
            yield
        finally:
            clock.cancel()

    def was_stopped(self) -> bool:
        """Whether a clock ended it."""
        clocks = {"SIGPROF", "SIGALRM", "SIGXCPU", "SIGKILL"}
        return self.ending() in clocks

    def ending(self) -> str:
        """Return the name of the signal that ended it, or another word."""
        try:
            code = self._process.wait(_GENTLY_SECONDS)
        except subprocess.TimeoutExpired:
            return "it talks nonsense"
        return signal.Signals(-code).name if code < 0 else f"code {code}"

    def end(self) -> None:
        """End it, whatever it is at."""
        self._kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what it was not sent any more
                _pipe(pipe).close()

    def _rest(self) -> None:
        self.is_well = True
        self._used_at = time.monotonic()

    def _part(self) -> tuple[Part, bytes]:
        pipe = _pipe(self._process.stdout)
        part, size = HEAD.unpack(_exactly(pipe, HEAD.size))
        if size > _LARGEST_PART:
            raise ValueError("a part of the answer is too large")
        return Part(part), _exactly(pipe, size)

    def _kill(self) -> None:
        if self._process.poll() is not None:
            return
        if sys.platform == "win32":
            self._process.kill()
            return
        with suppress(ProcessLookupError):  # it ended meanwhile
            os.killpg(self._process.pid, signal.SIGKILL)


def _started(module: str) -> subprocess.Popen[bytes]:
    """Start a reader that knows no setting of ours, in a session of its own."""
    path = os.pathsep.join(os.path.abspath(each) for each in sys.path)  # noqa: PTH100 - "" is here
    environment = config.bare_environment(PYTHONPATH=path, OPENBLAS_NUM_THREADS="1")
    return subprocess.Popen(  # noqa: S603 - this interpreter and a module of ours
        [sys.executable, "-P", "-m", reader.__name__, module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise OSError("there is no pipe")
    return pipe


def _exactly(pipe: IO[bytes], size: int) -> bytes:
    """Read so many bytes; the pipes of eventlet give fewer, and wait when they are asked for none.

    Raises:
        EOFError: they end before.
    """
    read: list[bytes] = []
    while size:
        read.append(pipe.read(size))
        if not read[-1]:
            raise EOFError("the reader is gone")
        size -= len(read[-1])
    return read[0] if len(read) == 1 else b"".join(read)


def _unavailable(reason: str) -> errors.Unavailable:
    log.error("no reader of audio files can be started: %s", reason)
    return errors.Unavailable("Audio files cannot be read right now. Please try again.")


def _refusal(said: Mapping[str, Any]) -> errors.MelodyflowError:
    kind = next(each for each in REFUSALS if each.__name__ == said["name"])
    return kind(str(said["message"]))


def _bytes(data: bytes | Path) -> bytes:
    if isinstance(data, bytes):
        return data
    try:
        return data.read_bytes()
    except OSError as missing:
        raise errors.UnreadableAudio from missing


READERS = Readers()
"""The readers of this process."""

atexit.register(READERS.close)
