"""The parts, put together: in one process, and as a web process that computes nothing."""

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

import variations
from server import bootstrap
from server.config import Settings
from server.jobs.context import Context
from server.jobs.record import Status, now
from tests.unit.jobs.workshop import WORDS, Heard, ScriptedKind, Words

NOBODY = "redis://127.0.0.1:1/0"

HEAVY = ("torch", "scipy", "onnxruntime", "librosa", "matplotlib", "av")

KAZOOS = """
[kazoo_choir]
prompt = "A small choir of kazoos hums along in a kitchen."

[kazoo_choir.arrangement]
voices = [{ name = "kazoo", role = "riff", program = 22, range = [48, 84] }]
"""

_MAKE_WEB = """
import sys
from pathlib import Path
from server import bootstrap
from server.config import Settings
bootstrap.web(Settings.from_environment(data_dir=Path(sys.argv[1])), sys.argv[2])
print(*[name for name in sys.argv[3:] if name in sys.modules])
"""


@pytest.fixture(name="settings")
def _settings(tmp_path: Path) -> Settings:
    return Settings.from_environment(data_dir=tmp_path)


def _sing(ctx: Context) -> None:
    ctx.report(0.5, stage="singing")
    ctx.save(b"la", name="song.txt", media_type=WORDS)


def test_a_job_runs_here_and_now(settings: Settings) -> None:
    heard, kind = Heard(), ScriptedKind(_sing)
    with bootstrap.local(settings, events=heard, kinds={kind.NAME: kind}) as here:
        done = here.run(kind, Words())
        result = here.record.artifacts.read(done.outputs[0].artifact_id)

    assert (Status.FINISHED, b"la") == (done.status, result)
    assert ["started", "progress", "finished"] == heard.names


def test_nothing_is_left_of_it(settings: Settings) -> None:
    kind = ScriptedKind(_sing)
    with bootstrap.local(settings, kinds={kind.NAME: kind}) as here:
        here.run(kind, Words())

    assert [] == list(settings.data_dir.iterdir())


def _web(settings: Settings) -> None:
    bootstrap.web(settings, NOBODY)


def _worker(settings: Settings) -> None:
    bootstrap.worker(settings, NOBODY, queues=["audio"])


def _here(settings: Settings) -> None:
    with bootstrap.local(settings):
        pass


@pytest.mark.parametrize("start", [_web, _worker, _here])
@pytest.mark.parametrize("named", [True, False])
def test_every_process_takes_presets_from_the_folder_of_its_settings(
    tmp_path: Path, start: Callable[[Settings], None], *, named: bool
) -> None:
    """The one that is named, or `presets` in the data directory."""
    folder = tmp_path / "mine" if named else tmp_path / "presets"
    folder.mkdir()
    (folder / "kitchen.toml").write_text(KAZOOS)
    try:
        start(Settings(data_dir=tmp_path, presets_dir=folder if named else None))

        assert "kazoo_choir" in variations.load()
    finally:
        variations.use_folder(None)


def test_results_outlive_their_job(settings: Settings) -> None:
    """A sound is stored before its job ends; it must not expire before it does."""
    kind = ScriptedKind(_sing)
    with bootstrap.local(settings, kinds={kind.NAME: kind}) as here:
        done = here.run(kind, Words())
        artifact = here.record.artifacts.get(done.outputs[0].artifact_id)

    assert done.expires_at is not None
    assert artifact.expires_at is not None
    assert now() + timedelta(hours=23) < done.expires_at < artifact.expires_at


def test_a_web_process_loads_nothing_that_computes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _MAKE_WEB, str(tmp_path), NOBODY, *HEAVY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)

    assert "\n" == done.stdout


def test_a_package_that_is_loaded_would_be_seen(tmp_path: Path) -> None:
    """The test above can fail."""
    command = [sys.executable, "-c", _MAKE_WEB, str(tmp_path), NOBODY, "flask"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)

    assert "flask\n" == done.stdout
