"""Where logs go: JSON lines in a file that is turned over, sentences or JSON on the terminal.

A process works at one job at a time, so what its threads log is of that job: also those that
libraries start. Threads that work beside the jobs say so.
"""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler

from server.config import Settings

FILE_BYTES = 5_000_000

FILES_KEPT = 3

_is_beside: ContextVar[bool] = ContextVar("is_beside", default=False)

_job_of_process: list[str] = []
"""The job at hand, if there is one: what a thread works at that says nothing else."""


@contextmanager
def working_at(job_id: str) -> Iterator[None]:
    """Have lines of this process name a job, while this lasts."""
    _job_of_process.append(job_id)
    try:
        yield
    finally:
        _job_of_process.remove(job_id)


def beside_the_jobs() -> None:
    """Have lines of this thread name no job, unless they do so themselves."""
    _is_beside.set(True)


def current_job() -> str | None:
    """Return the job that this thread works at."""
    return _job_of_process[-1] if _job_of_process and not _is_beside.get() else None


class JsonLines(logging.Formatter):
    """One JSON object a line: when, where, how bad and what; job, facts and trace if there are."""

    def __init__(self, process: str) -> None:
        """Take what the process is called."""
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        facts = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "process": self._process,
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "job": getattr(record, "job", None) or current_job(),
            **getattr(record, "facts", {}),
            "trace": self.formatException(record.exc_info) if record.exc_info else None,
        }
        return json.dumps({name: fact for name, fact in facts.items() if fact is not None})


def configure(settings: Settings, process: str, *, on_terminal: str = "INFO") -> None:
    """Log to `logs/<process>.jsonl` under the data directory, and from a level on to stderr."""
    directory = settings.data_dir / "logs"
    directory.mkdir(parents=True, exist_ok=True)
    file = RotatingFileHandler(
        directory / f"{process}.jsonl",
        maxBytes=FILE_BYTES,
        backupCount=FILES_KEPT,
        encoding="utf-8",
        delay=True,
    )
    file.setFormatter(JsonLines(process))
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setFormatter(
        JsonLines(process)
        if settings.log_format == "json"
        else logging.Formatter(f"{process}: %(levelname)s %(message)s")
    )
    terminal.setLevel(on_terminal)
    logging.basicConfig(level=settings.log_level, handlers=[file, terminal], force=True)
    for chatty in ("rq.worker", "werkzeug", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
