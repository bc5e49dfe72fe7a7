"""A workshop for every test."""

import pytest

from server.adapters.database import Database
from tests.unit.jobs.workshop import Workshop


@pytest.fixture
def workshop(database: Database) -> Workshop:
    """Open a workshop."""
    return Workshop(database)
