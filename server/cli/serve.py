"""`serve`: everything on one machine, as children of one process."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from server.adapters import embedded, http_server, logs
from server.adapters.crew import Crew, Member
from server.cli import options
from server.config import Settings

NAME = "serve"
HELP = "run everything on this machine: web, workers, queue, database"

STEP_SECONDS = 0.1

ADDRESS_FILE = "server.json"
"""Where scripts find the server, under the data directory: url, host, port, pid."""

AUTO = "auto"

_DRIVERS = tuple(map(Path, ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")))
"""Without one of these there is no card to count, and no torch to import for it."""

_ANY_CARD = ("auto", "cuda")
"""Settings that let workers have a card each; any other one names a single place."""

COUNTING_SECONDS = 60.0

log = logging.getLogger(__name__)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments."""
    options.add_address(parser)
    options.add_data_dir(parser)
    parser.add_argument(
        "--workers",
        type=_workers,
        default=AUTO,
        metavar="N",
        help="worker processes (default: auto, one a card and one where there is none)",
    )


def run(args: Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM, then end every child in order."""
    settings = options.settings_of(args)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    logs.configure(settings, NAME, on_terminal="WARNING")
    stopping = _Stopping()
    workers = count_cards(settings) or 1 if args.workers == AUTO else args.workers
    with ExitStack() as parts:
        redis_url = settings.redis_url or parts.enter_context(
            embedded.valkey(settings.data_dir / "valkey")
        )
        listeners = [parts.enter_context(_listen(settings.host, settings.port))]
        if (second := http_server.listen_second(settings)) is not None:
            listeners.append(parts.enter_context(second))
        crew = _crew(settings, redis_url, listeners, workers=workers)
        parts.callback(crew.end)
        _serve(crew, settings, listeners, stopping)
    return 0


def _workers(given: str) -> str | int:
    if given == AUTO:
        return AUTO
    if not given.isdecimal() or int(given) < 1:
        raise ArgumentTypeError("auto, or a number of at least 1")
    return int(given)


def count_cards(settings: Settings) -> int:
    """Return how many cards workers would see.

    A process of its own asks: what counts them takes hundreds of megabytes and a grip on a card.
    """
    if settings.device not in _ANY_CARD or not any(driver.exists() for driver in _DRIVERS):
        return 0
    command = [sys.executable, "-m", "server", "engines", "--cards"]
    try:
        asked = subprocess.run(  # noqa: S603 - this interpreter
            command,
            env=settings.as_environment(),
            stdout=subprocess.PIPE,
            timeout=COUNTING_SECONDS,
            check=True,
        )
    except subprocess.SubprocessError as error:
        log.warning("cards could not be counted: %s", error)
        return 0
    return len(asked.stdout.splitlines())


class _Stopping:
    """Whether a signal said to end."""

    def __init__(self) -> None:
        self.is_asked = False
        for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self.is_asked = True


def _serve(
    crew: Crew, settings: Settings, listeners: Sequence[socket.socket], stopping: _Stopping
) -> None:
    url, *others = [_url(settings.host, listener) for listener in listeners]
    file = settings.data_dir / ADDRESS_FILE
    is_announced = False
    try:
        while not stopping.is_asked:
            crew.look_after()
            if not is_announced and _answers(url):
                _announce(url, file, others=others)
                is_announced = True
            time.sleep(STEP_SECONDS)
    finally:
        file.unlink(missing_ok=True)


@contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    try:
        listener = http_server.listen(host, port)
    except OSError as error:
        sys.stderr.write(f"Port {port} of {host} cannot be used ({error.strerror}); ")
        listener = http_server.listen(host, 0)
        sys.stderr.write(f"using {listener.getsockname()[1]}.\n")
    with listener:
        yield listener


def _crew(
    settings: Settings, redis_url: str, listeners: Sequence[socket.socket], *, workers: int
) -> Crew:
    port = listeners[0].getsockname()[1]
    of_child = settings.model_copy(update={"redis_url": redis_url, "port": port})
    environment = of_child.as_environment()
    command = [sys.executable, "-m", "server"]
    descriptors = [listener.fileno() for listener in listeners]
    web = Member(
        name="web",
        command=[*command, "web", "--quiet", *(f"--descriptor={each}" for each in descriptors)],
        environment=environment,
        pass_fds=descriptors,
    )
    others = [
        Member(
            name=f"worker-{number}",
            command=[*command, "worker", "--quiet", "--log-name", f"worker-{number}"],
            environment=environment,
        )
        for number in range(1, workers + 1)
    ]
    return Crew([web, *others])


def _url(host: str, listener: socket.socket) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - compared only
    return f"http://{shown}:{listener.getsockname()[1]}"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health/live", timeout=1) as reply:  # noqa: S310 - ours
            return bool(reply.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def _announce(url: str, file: Path, *, others: Sequence[str]) -> None:
    facts = {"url": url, "pid": os.getpid()}
    aside = file.with_suffix(".new")
    aside.write_text(json.dumps(facts), encoding="utf-8")
    aside.replace(file)
    sys.stdout.write(f"MelodyFlow is at {' and '.join((url, *others))}\n")
    sys.stdout.flush()
