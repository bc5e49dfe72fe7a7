"""`demo`: the whole product once. Starts a server, plays it a riff, shows the result, stops it."""

import argparse
import importlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from server.cli import client, console, options, report
from server.config import Settings
from server.engines.arranger import assets

NAME = "demo"
HELP = "start everything, play the bundled riff as a string quartet, stop everything"

RIFF = Path(__file__).with_name("riff.flac")
_SEED = 7
_READY_SECONDS = 60
_STOP_SECONDS = 15


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--variation", default="strings_quartet", help="a preset")
    parser.add_argument("--output-dir", type=Path, default=Path("demo"), help="where results go")


def run(args: argparse.Namespace) -> int:
    """Play the riff through a real server and write the result, a picture and the report."""
    settings = options.settings_of(args)
    began = time.monotonic()
    args.output_dir.mkdir(parents=True, exist_ok=True)
    log = args.output_dir / "server.log"
    stem = args.output_dir / f"riff-{args.variation}"
    try:
        with running(settings, log) as (server, end):
            console.say(f"The server listens on {server.url}.")
            facts, data = _played(server, args.variation)
            end()  # it stops while the picture is drawn
            _write(stem, data, facts)
    except client.ServerSaidNo as error:
        return console.complain(f"{error} What it wrote is in {log}.")
    console.say("\n" + report.describe(facts) + "\n")
    console.say(f"Listen:  {stem}.wav\nLook:    {stem}.png\nSource:  {RIFF.name}, our own")
    console.say(f"Done in {time.monotonic() - began:.1f} s; everything started is stopped.")
    return 0


def _played(server: client.Client, variation: str) -> tuple[client.Facts, bytes]:
    receipt = server.submit(RIFF, kind="transform", variation=variation, seed=_SEED)
    bar = console.Bar()
    try:
        with _drawing_tools_at_hand():
            facts = server.follow(
                receipt["id"], on_news=lambda news: bar.show(news["progress"], news["stage"])
            )
    finally:
        bar.close()
    if facts["status"] != "finished":
        raise client.ServerSaidNo((facts["error"] or {}).get("message", "It did not finish."))
    return facts, server.download(facts["artifacts"][0]["url"])


def _write(stem: Path, data: bytes, facts: client.Facts) -> None:
    from server.media import codec, picture  # noqa: PLC0415 - see _drawing_tools_at_hand

    source, result = codec.decode(RIFF), codec.decode(data)
    stem.with_suffix(".wav").write_bytes(data)
    drawn = picture.comparison_picture(
        source,
        result,
        titles=("The riff", facts["recipe"]["parameters"]["variation"]),
        kept=facts["report"]["kept"],
    )
    stem.with_suffix(".png").write_bytes(drawn)


@contextmanager
def _drawing_tools_at_hand() -> Iterator[None]:
    """Import what draws, seconds of work, in a thread while this process only waits for news."""
    names = ("server.media.codec", "server.media.picture", "matplotlib.backends.backend_agg")
    thread = threading.Thread(target=lambda: [importlib.import_module(name) for name in names])
    thread.start()
    yield
    thread.join()


@contextmanager
def running(settings: Settings, log: Path) -> Iterator[tuple[client.Client, Callable[[], None]]]:
    """Run `serve` as a process of its own on data of its own, until the block ends.

    Yields a client of it and what asks it to end; the end of the block waits until it has.
    """
    port = _free_port(settings)
    with tempfile.TemporaryDirectory(prefix="melodyflow-demo-") as data, log.open("w") as written:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [*_command(settings), "--port", str(port), "--data-dir", data],
            stdout=written,
            stderr=subprocess.STDOUT,
        )
        try:
            server = client.Client(f"http://127.0.0.1:{port}", api_key=settings.api_key)
            is_ready = client.await_ready(
                server, seconds=_READY_SECONDS, is_alive=lambda: process.poll() is None
            )
            if not is_ready:
                raise client.ServerSaidNo("The server did not start.")
            yield server, process.terminate
        finally:
            _stop(process)


def _command(settings: Settings) -> list[str]:
    """Return the command line of a server that finds the assets of this one's data directory."""
    bank = assets.find_sound_bank(settings.data_dir, settings.sound_bank).path
    setting = [f"MELODYFLOW_SOUND_BANK={bank.resolve()}"] if bank is not None else []
    # its own broker and database, whatever the environment names
    unset = ["-u", "REDIS_URL", "-u", "MELODYFLOW_REDIS_URL", "-u", "DATABASE_URL"]
    unset += ["-u", "MELODYFLOW_DATABASE_URL", "-u", "MELODYFLOW_ARTIFACTS_URL"]
    serve = [sys.executable, "-m", "server", "serve", "--host", "127.0.0.1"]
    return ["env", *unset, *setting, *serve]


def _free_port(settings: Settings) -> int:
    """Return the usual port, or a free one with a word about it."""
    for port in (settings.port, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                console.say(f"Port {port} is taken; a free one is used.")
                continue
            return int(probe.getsockname()[1])
    raise client.ServerSaidNo("There is no free port.")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
