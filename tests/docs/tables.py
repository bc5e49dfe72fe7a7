"""The tables of the README, written from the code. `python -m tests.docs.tables` renews them."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import variations
from server import bootstrap, errors
from server.config import Settings
from server.engines.catalog import ENGINES

README = Path(__file__).parents[2] / "README.md"


def settings() -> str:
    """Return every setting, its default and its meaning."""
    rows = [
        (f"`{_variable(name)}`", _default(field.default), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    return _table(("Variable", "Default", "Meaning"), rows)


def routes() -> str:
    """Return every route and what it does."""
    rows = [
        (f"`{method.upper()} {path}`", str(operation["summary"]))
        for path, operations in openapi()["paths"].items()
        for method, operation in operations.items()
    ]
    return _table(("Route", "What it does"), rows)


def failures() -> str:
    """Return every code a program may switch on, with its status and its sentence."""
    rows = [
        (f"`{kind.code}`", str(kind.status), (kind.__doc__ or "").splitlines()[0])
        for kind in _tree(errors.MelodyflowError)
    ]
    return _table(("Code", "Status", "Sentence"), rows)


def presets() -> str:
    """Return the names in the order clients number them in."""
    return ", ".join(f"`{name}`" for name in variations.load())


def licences() -> str:
    """Return what each engine stands under."""
    rows = [(f"`{name}`", card.licence) for name, card in ENGINES.items()]
    return _table(("Engine", "Licence"), rows)


TABLES = {
    "settings": settings,
    "routes": routes,
    "failures": failures,
    "presets": presets,
    "licences": licences,
}


def renewed(text: str) -> str:
    """Return a document with what stands between `<!-- name -->` and its end written anew."""
    for name, write in TABLES.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if begin in text and end in text:
            before, _, rest = text.partition(begin)
            _, _, after = rest.partition(end)
            text = before + begin + write() + "\n" + end + after
    return text


def openapi() -> dict[str, Any]:
    """Return the description of the routes; no broker is asked for it."""
    with tempfile.TemporaryDirectory() as folder:
        app = bootstrap.web(Settings(data_dir=Path(folder)), "redis://127.0.0.1:1/0")
        described: dict[str, Any] = app.test_client().get("/openapi.json").get_json()
    return described


def _variable(name: str) -> str:
    shared = {"redis_url": "REDIS_URL", "database_url": "DATABASE_URL"}
    return shared.get(name, f"MELODYFLOW_{name.upper()}")


def _default(value: object) -> str:
    if value is None:
        return "unset"
    if isinstance(value, tuple):
        return f"`{','.join(map(str, value))}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _tree(kind: type[errors.MelodyflowError]) -> Iterator[type[errors.MelodyflowError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _tree(child)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    ruled = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in ruled)


if __name__ == "__main__":
    README.write_text(renewed(README.read_text(encoding="utf-8")), encoding="utf-8")
