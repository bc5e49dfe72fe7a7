"""The tables of docs/protocol.md: what clients send and are sent, over HTTP and Socket.IO."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import variations
from server import errors
from server.adapters import legacy_keys
from server.web import errors as failures
from server.web import legacy
from server.web.plugin import refusals as plugin_refusals
from server.web.plugin import vocabulary
from tests.docs.writing import Tables, error_tree, fields_of, openapi, operations, table

Retell = Callable[[failures.Failure, Exception], failures.Failure]

NATIVE, FIRST, PLUGIN = "native", "first", "plugin"
_REFUSALS = {"Refusal": NATIVE, "PlainRefusal": FIRST, "PluginRefusal": PLUGIN}


def requests() -> str:
    """Return every field of every request."""
    return table(("Route", "Field", "Type", "Meaning"), _grouped(_requests()))


def replies() -> str:
    """Return which statuses each route answers with, and with what."""
    rows = [
        (f"`{route}`", *_successes(operation), ", ".join(_failures(operation)))
        for route, operation in operations()
    ]
    return table(("Route", "Succeeds with", "Its failures", "Fails with"), rows)


def bodies() -> str:
    """Return every field of every answer."""
    schemas = openapi()["components"]["schemas"]
    rows = ((name, row) for name in sorted(schemas) for row in fields_of(schemas[name]))
    return table(("Answer", "Field", "Type", "Meaning"), _grouped(rows))


def asked() -> str:
    """Return every event that clients send, and what answers it."""
    rows = [
        (f"`{name}`", phrase.meaning, ", ".join(f"`{each}`" for each in phrase.answers))
        for name, phrase in vocabulary.ASKED.items()
    ]
    return table(("Event", "What it asks", "Answered by"), rows)


def asked_fields() -> str:
    """Return every field of those."""
    return table(("Event", "Field", "Type", "Meaning"), _grouped(_spoken(vocabulary.ASKED)))


def told() -> str:
    """Return every event that the server sends."""
    rows = [(f"`{name}`", phrase.meaning) for name, phrase in vocabulary.TOLD.items()]
    return table(("Event", "What it says"), rows)


def told_fields() -> str:
    """Return every field of those; a followed job's are among the answers."""
    phrases = {name: each for name, each in vocabulary.TOLD.items() if name != "job"}
    return table(("Event", "Field", "Type", "Meaning"), _grouped(_spoken(phrases)))


def refusals() -> str:
    """Return every code with the statuses it has in each family of routes."""
    rows = [
        (
            f"`{kind.code}`",
            *(str(_status(kind, retell)) for retell in _RETELL.values()),
            _told(kind, _RETELL[PLUGIN]),
        )
        for kind in error_tree()
    ]
    head = ("Code", "Native", "`/transform`, `/cleanup`", "Plugin routes", "What plugins read")
    return table(head, rows)


def keys() -> str:
    """Return the keys that older services read."""
    rows = [(f"`{key}`", meaning) for key, meaning in legacy_keys.KEYS.items()]
    return table(("Key", "Value"), rows)


def numbered_presets() -> str:
    """Return the presets with the numbers that clients give them, and their defaults."""
    rows = [
        (str(number), f"`{name}`", f"{preset.flowstep:g}", str(preset.steps), preset.prompt)
        for number, (name, preset) in enumerate(variations.load().items())
    ]
    return table(("Number", "Preset", "`flowstep`", "Steps", "Prompt"), rows)


TABLES: Tables = {
    "requests": requests,
    "replies": replies,
    "bodies": bodies,
    "asked": asked,
    "asked fields": asked_fields,
    "told": told,
    "told fields": told_fields,
    "refusals": refusals,
    "keys": keys,
    "numbered presets": numbered_presets,
}

_RETELL: Mapping[str, Retell] = {
    NATIVE: lambda failure, _: failure,
    FIRST: legacy._as_older_clients_know,
    PLUGIN: plugin_refusals.as_plugins_know,
}


def _grouped(rows: Iterator[tuple[str, Sequence[str]]]) -> Iterator[Sequence[str]]:
    """Yield rows with what they belong to; a second of the same leaves that out."""
    before = ""
    for name, row in rows:
        yield ("" if name == before else f"`{name}`", *row)
        before = name


def _requests() -> Iterator[tuple[str, Sequence[str]]]:
    for route, operation in operations():
        for parameter in operation.get("parameters") or ():
            schema = {**parameter["schema"], "description": parameter.get("description", "")}
            names = [parameter["name"]] if parameter["required"] else []
            described = {"properties": {parameter["name"]: schema}, "required": names}
            for name, kind, meaning in fields_of(described):
                yield route, (name, kind, f"In the {parameter['in']}. {meaning}")
        content = operation.get("requestBody", {}).get("content", {})
        schema = next((each["schema"] for each in content.values()), {})
        for each in schema.get("oneOf", [schema]):
            kind = each.get("properties", {}).get("kind", {}).get("const")
            for row in fields_of(each):
                yield f"{route}, {kind}" if kind else route, row


def _successes(operation: Mapping[str, Any]) -> tuple[str, str]:
    answers = operation["responses"].items()
    named = [(status, _body(answer)) for status, answer in answers]
    fine = [f"{status} {body}".strip() for status, body in named if body not in _REFUSALS]
    family = next((_REFUSALS[body] for _, body in named if body in _REFUSALS), "")
    return ", ".join(fine), family


def _failures(operation: Mapping[str, Any]) -> Iterator[str]:
    for status, answer in operation["responses"].items():
        if _body(answer) in _REFUSALS:
            yield status


def _body(answer: Mapping[str, Any]) -> str:
    content = answer.get("content") or {}
    for media_type, described in content.items():
        reference = str(described["schema"].get("$ref", ""))
        return reference.rpartition("/")[2] or str(media_type).partition("/")[0]
    return ""


def _spoken(phrases: Mapping[str, vocabulary.Phrase]) -> Iterator[tuple[str, Sequence[str]]]:
    for name, phrase in phrases.items():
        for row in fields_of(phrase.fields.model_json_schema()):
            yield name, row


def _status(kind: type[errors.MelodyflowError], retell: Retell) -> int:
    error = kind()
    return retell(failures.failure_of(error), error).status


def _told(kind: type[errors.MelodyflowError], retell: Retell) -> str:
    error = kind()
    return retell(failures.failure_of(error), error).message
