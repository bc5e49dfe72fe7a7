"""docs/protocol.md says what the code does: every table, and the numbers in its prose."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from server.web import app, emissions, legacy_views, model_views
from server.web.plugin import delivery, requests, views, vocabulary
from tests.docs import contract, tables
from tests.docs.writing import renewed

FILE = tables.ROOT / "docs" / "protocol.md"
TEXT = FILE.read_text(encoding="utf-8")
TABLES = tables.DOCUMENTS[FILE]
WRITTEN = [name for name in TABLES if f"<!-- {name} -->" in TEXT]
MODULES = (requests, vocabulary, views, legacy_views, model_views)


def _part(name: str, text: str = TEXT) -> str:
    return text.partition(f"<!-- {name} -->\n")[2].partition(f"\n<!-- /{name} -->")[0]


@pytest.mark.parametrize("name", WRITTEN)
def test_every_table_says_what_the_code_says(name: str) -> None:
    """Run `python -m tests.docs.tables` where this fails."""
    assert TABLES[name]() == _part(name)


def test_no_table_of_the_contract_is_left_out() -> None:
    """Routes, fields, answers, events, failures, keys, settings and presets."""
    assert set(contract.TABLES) | {"routes", "settings"} <= set(WRITTEN)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_row_that_is_missing_is_seen(name: str) -> None:
    """In each of the tables, whichever row it is."""
    rows = _part(name).splitlines()
    for gone in {2, len(rows) // 2, len(rows) - 1}:
        stale = TEXT.replace(_part(name), "\n".join(rows[:gone] + rows[gone + 1 :]))

        assert TABLES[name]() != _part(name, stale)
        assert renewed(stale, TABLES) == TEXT


def _models() -> list[type[BaseModel]]:
    return [
        each
        for module in MODULES
        for each in vars(module).values()
        if isinstance(each, type)
        and issubclass(each, BaseModel)
        and each.__module__ == module.__name__
    ]


@pytest.mark.parametrize("model", _models(), ids=lambda model: model.__name__)
def test_every_field_of_the_older_contract_has_a_meaning(model: type[BaseModel]) -> None:
    """A name alone tells a reader nothing."""
    assert [] == [name for name, field in model.model_fields.items() if not field.description]


@pytest.mark.parametrize(
    "number",
    [
        f"{app.LARGEST_SOCKET_MESSAGE:,} bytes",
        f"{emissions.LARGEST_MESSAGE:,} characters",
        *(f"`{header}`" for header in app.EXPOSED_HEADERS),
    ],
)
def test_the_numbers_in_the_prose_are_those_of_the_code(number: str) -> None:
    """They cannot drift either."""
    assert number in TEXT


def test_silence_is_found_out_before_it_is_taken_for_presence() -> None:
    """What the text says of half-open connections agrees with what delivery reckons with."""
    assert "after 45 s" in TEXT
    assert delivery.HALF_OPEN_SECONDS > 45


def test_the_documents_are_where_the_tables_say() -> None:
    """And nothing else is written."""
    assert {"README.md", "protocol.md"} == {Path(each).name for each in tables.DOCUMENTS}
