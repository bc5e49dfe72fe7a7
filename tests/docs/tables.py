"""The tables of the documents, written from the code. `python -m tests.docs.tables` renews them."""

from pathlib import Path

import variations
from server.config import Settings
from server.engines.catalog import ENGINES
from tests.docs import contract
from tests.docs.writing import Tables, error_tree, operations, renewed, table

ROOT = Path(__file__).parents[2]


def settings() -> str:
    """Return every setting, its default and its meaning."""
    rows = [
        (f"`{_variable(name)}`", _default(field.default), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    return table(("Variable", "Default", "Meaning"), rows)


def routes() -> str:
    """Return every route and what it does."""
    rows = [(f"`{route}`", str(operation["summary"])) for route, operation in operations()]
    return table(("Route", "What it does"), rows)


def failures() -> str:
    """Return every code a program may switch on, with its status and its sentence."""
    rows = [
        (f"`{kind.code}`", str(kind.status), (kind.__doc__ or "").splitlines()[0])
        for kind in error_tree()
    ]
    return table(("Code", "Status", "Sentence"), rows)


def presets() -> str:
    """Return the names in the order clients number them in."""
    return ", ".join(f"`{name}`" for name in variations.built_in())


def licences() -> str:
    """Return what each engine stands under."""
    rows = [(f"`{name}`", card.licence) for name, card in ENGINES.items()]
    return table(("Engine", "Licence"), rows)


TABLES: Tables = {
    "settings": settings,
    "routes": routes,
    "failures": failures,
    "presets": presets,
    "licences": licences,
}

DOCUMENTS: dict[Path, Tables] = {
    ROOT / "README.md": TABLES,
    ROOT / "docs" / "protocol.md": {**TABLES, **contract.TABLES},
}
"""Which document has which tables; one that it does not name is left out."""


def _variable(name: str) -> str:
    shared = {"redis_url": "REDIS_URL", "database_url": "DATABASE_URL"}
    return shared.get(name, f"MELODYFLOW_{name.upper()}")


def _default(value: object) -> str:
    if value is None or value == ():
        return "unset"
    if isinstance(value, tuple):
        return f"`{','.join(map(str, value))}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


if __name__ == "__main__":
    for document, its_tables in DOCUMENTS.items():
        document.write_text(
            renewed(document.read_text(encoding="utf-8"), its_tables), encoding="utf-8"
        )
