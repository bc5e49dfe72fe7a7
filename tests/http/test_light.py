"""The web process stays light: it computes nothing, so it loads nothing that computes."""

import subprocess
import sys

HEAVY = (
    *("torch", "scipy", "onnxruntime", "librosa", "matplotlib", "av", "soundfile", "soxr"),
    *("sqlalchemy", "rq"),
)


def loaded_by(module: str) -> set[str]:
    """Return which heavy packages a fresh process has after importing a module."""
    program = f"import sys, {module}; print(*[each for each in {HEAVY!r} if each in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_the_web_loads_nothing_that_computes() -> None:
    """Neither a model library, nor the arranger's, nor an adapter's."""
    assert loaded_by("server.web.app") == set()


def test_the_negative_control_is_seen() -> None:
    """What does compute is caught."""
    assert "scipy" in loaded_by("server.media.analysis")
