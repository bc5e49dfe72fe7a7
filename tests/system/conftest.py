"""Processes as they run in the field, each ended with its test."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.system import works
from tests.system.processes import Yard
from tests.system.works import Figure, Works


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    """Open a place for processes; none of them outlives the test."""
    with ExitStack() as ended:
        yield Yard(tmp_path, ended)


@pytest.fixture(name="works")
def _works(yard: Yard, valkey_url: str) -> Iterator[Works]:
    """Open works on a record in a file."""
    with works.opened(yard, valkey_url) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
def record_url(request: pytest.FixtureRequest) -> str | None:
    """Return the URL of an empty record: None is a file, then a PostgreSQL."""
    if request.param == "sqlite":
        return None
    return works.emptied(request.getfixturevalue("postgres_url"))


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """Note measured seconds in the test's report: `python -m bench.faults` shows them."""

    def note(name: str, seconds: float) -> None:
        request.node.user_properties.append((name, round(seconds, 2)))

    return note
