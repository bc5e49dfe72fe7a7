"""Logs are one JSON object a line, know their job, and do not fill the disk."""

import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from server.adapters import logs
from server.config import Settings

log = logging.getLogger("server.tests")


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    for handler in before:  # `configure` closes what it replaces, and these are pytest's
        root.removeHandler(handler)
    yield
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    for handler in before:
        root.addHandler(handler)
    root.setLevel(level)


def _configured(directory: Path, **settings: Any) -> Path:
    logs.configure(Settings.from_environment(data_dir=directory, **settings), "worker")
    return directory / "logs" / "worker.jsonl"


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _of_the_job() -> None:
    log.info("a library's thread")


def _beside_the_jobs() -> None:
    logs.beside_the_jobs()
    log.info("a thread of ours")


def test_a_line_is_an_object(tmp_path: Path) -> None:
    file = _configured(tmp_path)
    log.info("two\nlines and %s", "é")
    line = _lines(file)[0]

    assert {"time", "process", "level", "logger", "message"} == set(line)
    assert ("INFO", "server.tests", "two\nlines and é") == (
        line["level"],
        line["logger"],
        line["message"],
    )


def test_lines_know_their_job(tmp_path: Path) -> None:
    """Told by who logs, or by what the process is doing."""
    file = _configured(tmp_path)
    with logs.working_at("present"):
        log.info("of the present job")
        log.info("of another", extra={"job": "named"})
    log.info("of none")

    assert ["present", "named", None] == [line.get("job") for line in _lines(file)]


def test_threads_that_a_job_starts_know_it(tmp_path: Path) -> None:
    """Also those of a pool that an earlier job left behind; those beside the jobs name none."""
    file = _configured(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        with logs.working_at("first"):
            pool.submit(log.info, "in a pool").result()
        with logs.working_at("second"):
            pool.submit(log.info, "in the same pool").result()
            for target in (_of_the_job, _beside_the_jobs):
                thread = threading.Thread(target=target)
                thread.start()
                thread.join()

    assert ["first", "second", "second", None] == [line.get("job") for line in _lines(file)]


def test_facts_are_members_of_their_line(tmp_path: Path) -> None:
    file = _configured(tmp_path)
    log.info("a request", extra={"facts": {"status": 200, "route": "/jobs"}})

    assert (200, "/jobs") == (_lines(file)[0]["status"], _lines(file)[0]["route"])


def test_a_container_gets_the_lines_themselves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the setting asks for JSON."""
    file = _configured(tmp_path, log_format="json")
    log.info("hello")
    said = capsys.readouterr().err

    assert file.read_text(encoding="utf-8") == said
    assert "worker" == json.loads(said)["process"]


def test_a_trace_stays_in_its_line(tmp_path: Path) -> None:
    file = _configured(tmp_path)
    try:
        _ = dict[str, str]()["secret"]
    except KeyError:
        log.exception("it failed")

    assert "KeyError: 'secret'" in _lines(file)[0]["trace"]


def test_only_what_the_setting_asks_for_is_logged(tmp_path: Path) -> None:
    file = _configured(tmp_path, log_level="WARNING")
    log.info("chatter")
    log.warning("news")

    assert ["news"] == [line["message"] for line in _lines(file)]


def test_the_terminal_gets_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _configured(tmp_path)
    log.info("hello")

    assert "worker: INFO hello\n" == capsys.readouterr().err


def test_files_are_turned_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "FILE_BYTES", 500)
    file = _configured(tmp_path)
    for number in range(40):
        log.info("line %s", number)

    assert 1 + logs.FILES_KEPT == len(list(file.parent.iterdir()))
    assert all(each.stat().st_size <= 500 for each in file.parent.iterdir())
