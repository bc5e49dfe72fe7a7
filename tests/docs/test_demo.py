"""`demo`: the whole product once, as a newcomer runs it."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil

from server.cli import demo
from server.media import codec

ROOT = Path(__file__).parents[2]
SECONDS = 100


def command(folder: Path, *arguments: str) -> list[str]:
    """Return the command line of a demo that writes into a folder."""
    output = ["--output-dir", str(folder / "demo"), "--variation", "music_box"]
    return [sys.executable, "-m", "server", "demo", *output, *arguments]


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """Return an environment with its own data directory and a broker that is not there."""
    own = {"MELODYFLOW_DATA_DIR": str(folder / "data"), "REDIS_URL": "redis://127.0.0.1:1/0"}
    return {**os.environ, **own, **settings}


def test_the_demo_plays_draws_reports_and_leaves_nothing_running(tmp_path: Path) -> None:
    """Without a sound bank, with the usual port taken and whatever broker the environment names."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            command(tmp_path),
            env=environment(tmp_path, MELODYFLOW_PORT=port),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    assert (0, []) == (done.returncode, processes_under(tmp_path))
    assert f"Port {port} is taken" in done.stdout
    assert all(word in done.stdout for word in ("108.0 BPM", "A minor", "rotation", "licence"))
    assert "100 %" in done.stderr
    result = codec.decode(tmp_path / "demo" / "riff-music_box.wav")
    assert codec.decode(demo.RIFF).length == result.length
    assert b"\x89PNG" == (tmp_path / "demo" / "riff-music_box.png").read_bytes()[:4]


def test_the_advertisement_goes_where_it_fits_and_is_drawn(tmp_path: Path) -> None:
    """It says why there, and the song stays as long as it was."""
    folder = tmp_path / "demo"
    done = subprocess.run(
        [sys.executable, "-m", "server", "demo-ad", "--output-dir", str(folder)],
        env=environment(tmp_path, MELODYFLOW_PORT="0"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert (0, []) == (done.returncode, processes_under(tmp_path)), done.stderr
    assert all(word in done.stdout for word in ("It goes from", "downbeat", "Look:"))
    song, result = (codec.decode(folder / name) for name in ("ad-source.wav", "ad-coffee-shop.mp3"))
    assert (song.length, song.sample_rate) == (result.length, result.sample_rate)
    assert b"\x89PNG" == (folder / "ad-coffee-shop.png").read_bytes()[:4]


def test_an_interrupted_demo_stops_what_it_started(tmp_path: Path) -> None:
    """Ctrl-C ends it with 130 and no trace."""
    with subprocess.Popen(
        command(tmp_path),
        env=environment(tmp_path, MELODYFLOW_PORT="0"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=SECONDS)

    assert 130 == process.returncode
    assert "Traceback" not in complaint
    assert started
    assert [] == psutil.wait_procs(started, timeout=20)[1]


def test_a_misspelt_preset_ends_the_demo_with_a_sentence(tmp_path: Path) -> None:
    """The server's own sentence, and nothing left running."""
    done = subprocess.run(
        command(tmp_path, "--variation", "xyzzy"),
        env=environment(tmp_path, MELODYFLOW_PORT="0"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert 2 == done.returncode
    assert "xyzzy" in done.stderr
    assert "Traceback" not in done.stderr


def processes_under(folder: Path) -> list[int]:
    """Return processes that write into a folder."""
    running = psutil.process_iter(["pid", "cmdline"])
    return [each.pid for each in running if str(folder) in " ".join(each.info["cmdline"] or ())]


def test_the_riff_is_what_its_script_writes() -> None:
    """Up to the last bit of a sample: libraries may round differently."""
    spec = importlib.util.spec_from_file_location("riff", ROOT / "examples" / "riff.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    sys.modules["riff"] = script
    spec.loader.exec_module(script)

    written = script.riff().T / np.float32(32768)
    stored = codec.decode(demo.RIFF)
    assert stored.samples.shape == written.shape
    assert np.abs(stored.samples - written).max() < 2.5 / 32768
    assert demo.RIFF.stat().st_size < 1_500_000
