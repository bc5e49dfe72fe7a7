"""Where logs go: JSON lines in a file that is turned over, sentences on the terminal."""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler

from server.config import Settings

FILE_BYTES = 5_000_000

FILES_KEPT = 3

current_job: ContextVar[str | None] = ContextVar("current_job", default=None)
"""The job that this thread works at; lines say so."""


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and job and trace where there are."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        facts = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "job": getattr(record, "job", None) or current_job.get(),
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
    file.setFormatter(JsonLines())
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setFormatter(logging.Formatter(f"{process}: %(levelname)s %(message)s"))
    terminal.setLevel(on_terminal)
    logging.basicConfig(level=settings.log_level, handlers=[file, terminal], force=True)
    for chatty in ("rq.worker", "werkzeug", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
