"""Failures that are not about one route: unknown paths, wrong methods, the unexpected, CORS."""

import logging
from typing import Any

import pytest
from flask.testing import FlaskClient

from server.web import errors as failures
from server.web.app import LARGEST_SOCKET_MESSAGE
from tests.http import sounds
from tests.http.conftest import MakeWorld
from tests.http.world import World


@pytest.mark.parametrize("path", ["/nope", "/jobs/", "/static/nope.js", "/../etc/passwd"])
def test_unknown_paths_are_404_as_json(here: World, path: str) -> None:
    """The native shape."""
    body = here.json(here.client.get(path), status=404)

    assert body["error"]["code"] == "not_found"


@pytest.mark.parametrize("path", ["/jobs", "/transform", "/cleanup"])
def test_wrong_methods_are_405_and_say_which_are_right(here: World, path: str) -> None:
    """With Allow."""
    response = here.client.put(path)

    assert here.json(response, status=405)["error"]["code"] == "method_not_allowed"
    assert "POST" in response.headers["Allow"]


class BrokenStore:
    """A store whose every use is a surprise."""

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError(f"a secret detail of {name}")


@pytest.mark.parametrize("route", ["/jobs", "/transform"])
def test_the_unexpected_is_500_without_its_text(
    here: World, caplog: pytest.LogCaptureFixture, route: str
) -> None:
    """The log has it, the client does not."""
    object.__setattr__(here.services, "artifacts", BrokenStore())
    order = {"audio": sounds.base64_wav(), "variation": "celtic"}
    with caplog.at_level(logging.ERROR):
        response = here.client.post(route, json=order)

    assert response.status_code == 500
    assert "secret" not in response.get_data(as_text=True)
    assert "secret" in caplog.text


def test_unknown_endings_are_the_servers_fault() -> None:
    """A code that no failure has is 500."""
    assert failures.failure_of_ending("worker_lost", "It died.").status == 500


def allowed_origin(client: FlaskClient, origin: str) -> str | None:
    """Return which origin an answer to this one allows."""
    answer = client.get("/health", headers={"Origin": origin})
    return answer.headers.get("Access-Control-Allow-Origin")


def test_any_origin_may_call_by_default(here: World) -> None:
    """Local clients open pages from files."""
    assert allowed_origin(here.client, "https://a.example") == "*"


def test_origins_can_be_listed(make_world: MakeWorld) -> None:
    """Then others get no permission."""
    client = make_world(cors_origins=("https://a.example",)).client

    assert allowed_origin(client, "https://a.example") == "https://a.example"
    assert allowed_origin(client, "https://b.example") is None


def test_sockets_take_long_sounds(here: World) -> None:
    """Three minutes as base64; the library's default of a megabyte would drop them silently."""
    socketio = here.client.application.extensions["socketio"]

    assert socketio.server.eio.max_http_buffer_size == LARGEST_SOCKET_MESSAGE > 80e6
    assert socketio.async_mode == "threading"
