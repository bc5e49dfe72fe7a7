"""The OpenAPI document says what the routes do."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from tests.http.world import World

UNDESCRIBED = re.compile(r"/(docs|openapi\.json|static/)")
"""The document itself, its page and the page's files."""


def routes(app: Flask) -> Iterator[tuple[str, str]]:
    """Yield path and method of every route a client may call."""
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            if not UNDESCRIBED.match(rule.rule):
                yield re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower()


@pytest.fixture
def document(here: World) -> dict[str, Any]:
    """Return the document."""
    return here.json(here.client.get("/openapi.json"))


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every operation with its name."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def test_it_is_openapi_3_1(document: dict[str, Any]) -> None:
    """The version clients' generators know."""
    assert document["openapi"].startswith("3.1")


def test_every_route_is_described(here: World, document: dict[str, Any]) -> None:
    """And nothing is described that is not there."""
    described = {
        (path, method) for path, methods in document["paths"].items() for method in methods
    }

    assert described == set(routes(here.client.application))


def test_every_operation_says_what_it_does(document: dict[str, Any]) -> None:
    """A summary, a success, and an unexpected failure."""
    for name, operation in operations(document):
        codes = set(operation["responses"])

        assert operation.get("summary"), name
        assert any(code < "400" for code in codes), name
        assert "500" in codes, name


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    """Generators name functions after them."""
    ids = [operation["operationId"] for _, operation in operations(document)]

    assert len(ids) == len(set(ids))


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """No `$ref` dangles."""
    for reference in set(re.findall(r"'\$ref': '([^']+)'", str(document))):
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]

        assert found, reference


def test_a_job_is_described_with_its_parameters(document: dict[str, Any]) -> None:
    """As JSON and as a form; neither sound nor source is required by itself."""
    content = document["paths"]["/jobs"]["post"]["requestBody"]["content"]
    schemas = content["application/json"]["schema"]["oneOf"]
    schema = next(each for each in schemas if each["properties"]["kind"]["const"] == "transform")

    assert {"application/json", "multipart/form-data"} == set(content)
    assert {"kind", "audio", "source", "session_id", "flowstep", "seed"} <= set(
        schema["properties"]
    )
    assert "source" not in schema.get("required", [])


@pytest.mark.parametrize(
    ("path", "method", "codes"),
    [
        ("/jobs", "post", {"202", "400", "409", "413", "415", "422", "503"}),
        ("/jobs/{id}", "delete", {"200", "202", "404", "409"}),
        ("/artifacts/{id}", "get", {"200", "206", "304", "404", "410", "416"}),
        ("/transform", "post", {"200", "202", "400", "409", "503"}),
        ("/health/ready", "get", {"200", "503"}),
    ],
)
def test_failures_are_described(
    document: dict[str, Any], path: str, method: str, codes: set[str]
) -> None:
    """Each with what it means."""
    assert codes <= set(document["paths"][path][method]["responses"])
