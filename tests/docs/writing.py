"""Markdown out of code: tables, the names of JSON types, and the places in documents they go to."""

import functools
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from server import bootstrap, errors
from server.config import Settings

Tables = Mapping[str, Callable[[], str]]

Schema = Mapping[str, Any]


def table(head: tuple[str, ...], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    ruled = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in row) + " |" for row in ruled)


def renewed(text: str, tables: Tables) -> str:
    """Return a document with what stands between `<!-- name -->` and its end written anew."""
    for name, write in tables.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if begin in text and end in text:
            before, _, rest = text.partition(begin)
            _, _, after = rest.partition(end)
            text = before + begin + write() + "\n" + end + after
    return text


@functools.cache
def openapi() -> dict[str, Any]:
    """Return the description of the routes; no broker is asked for it."""
    with tempfile.TemporaryDirectory() as folder:
        app = bootstrap.web(Settings(data_dir=Path(folder)), "redis://127.0.0.1:1/0")
        described: dict[str, Any] = app.test_client().get("/openapi.json").get_json()
    return described


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every route, as `METHOD /path`, with its description."""
    for path, methods in openapi()["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def type_of(schema: Schema) -> str:
    """Return a JSON type in words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(type_of(each) for each in schema["anyOf"]))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    if schema.get("type") == "array":
        return f"array of {type_of(schema['items'])}" if schema.get("items") else "array"
    return "file" if schema.get("format") == "binary" else str(schema.get("type", "anything"))


def fields_of(schema: Schema) -> Iterator[tuple[str, str, str]]:
    """Yield name, type and meaning of each field; a required one's name is bold."""
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        shown = f"**`{name}`**" if name in required else f"`{name}`"
        yield shown, type_of(field), _meaning(field)


def error_tree(
    kind: type[errors.MelodyflowError] = errors.MelodyflowError,
) -> Iterator[type[errors.MelodyflowError]]:
    """Yield every error of the server, parents first."""
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from error_tree(child)


def _meaning(field: Schema) -> str:
    said = str(field.get("description", ""))
    default = field.get("default")
    if default in (None, "", []):
        return said
    return f"{said} Default: `{str(default).lower() if isinstance(default, bool) else default}`."


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()
