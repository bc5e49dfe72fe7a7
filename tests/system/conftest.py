"""Processes as they run in the field, each ended with its test."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.system.processes import Yard


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    """Open a place for processes; none of them outlives the test."""
    with ExitStack() as ended:
        yield Yard(tmp_path, ended)
