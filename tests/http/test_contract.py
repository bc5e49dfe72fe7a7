"""Document and server agree, whatever is sent: it is taken or refused, and nothing stumbles."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig
from werkzeug.test import TestResponse

from tests.http.legacy import malformed
from tests.http.world import World

load_all_checks()

CHECKED: list[Any] = [
    CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    )
]

FEW = settings(
    max_examples=7,
    deadline=None,
    # what fails is small already, and shrinking a request takes minutes
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
PATH_PARTS = st.sampled_from(["0" * 32, "nobody", "%00", "..", "a%0Ab", "é"]) | st.text(max_size=9)


@pytest.fixture(name="schema")
def _schema(here: World) -> Any:
    """Read the document from the server."""
    return schemathesis.openapi.from_wsgi(
        "/openapi.json", here.client.application, config=SchemathesisConfig()
    )


def _operations(schema: Any) -> Iterator[Any]:
    for found in schema.get_all_operations():
        yield found.ok()


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_operation_does_what_the_document_says(
    schema: Any, mode: GenerationMode, subtests: pytest.Subtests
) -> None:
    """With what the document allows and with what it does not: the answers are as described."""
    for operation in _operations(schema):
        # where there is nothing to get wrong there are no wrong requests
        with subtests.test(operation=operation.label), suppress(Unsatisfiable):
            _ask(operation, mode)


def _ask(operation: Any, mode: GenerationMode) -> None:
    @FEW
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case[Any]) -> None:
        case.validate_response(case.call(), checks=CHECKED)

    ask()


def test_an_answer_that_is_not_described_would_be_seen(
    here: World, schema: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checks can fail: on a status nobody promised, and on a body of another shape."""
    (health,) = (each for each in _operations(schema) if each.label == "GET /health/live")
    views = here.client.application.view_functions
    for spoiled in (("teapot", 418), ({"status": 5}, 200), ({}, 500)):
        monkeypatch.setitem(views, "health.live", partial(_answer, spoiled))
        with pytest.raises(schemathesis.core.failures.FailureGroup):
            _ask(health, GenerationMode.POSITIVE)


def _answer(spoiled: Any, **_: object) -> Any:
    return spoiled


def _paths(here: World) -> list[str]:
    rules = here.client.application.url_map.iter_rules()
    return sorted({rule.rule for rule in rules if not rule.rule.startswith(("/docs", "/static"))})


def _filled(path: str, part: str) -> str:
    before, _, rest = path.partition("<")
    return before + part + rest.partition(">")[2] if rest else path


def _send(here: World, method: str, path: str, body: Any) -> TestResponse:
    return here.client.open(path, method=method, json=body)


def test_no_json_at_any_route_makes_the_server_stumble(
    here: World, subtests: pytest.Subtests
) -> None:
    """2xx or 4xx, always; and what is refused is not repeated, the audio least of all."""
    for path in _paths(here):
        with subtests.test(path=path):
            _throw(here, path)


def _throw(here: World, path: str) -> None:
    @FEW
    @given(method=st.sampled_from(METHODS), part=PATH_PARTS, body=malformed.PLAUSIBLE)
    def throw(method: str, part: str, body: Any) -> None:
        response = _send(here, method, _filled(path, part), body)
        text = response.get_data(as_text=True)

        assert response.status_code < 500, text
        assert response.status_code < 400 or malformed.SOUND[:40] not in text

    throw()


def test_a_stumble_would_be_seen(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The property above can fail."""
    views = here.client.application.view_functions
    monkeypatch.setitem(views, "health.live", partial(_answer, ("sorry", 500)))
    with pytest.raises(AssertionError, match="sorry"):
        _throw(here, "/health/live")
