"""Worlds that ask for keys, and people who have some."""

from dataclasses import dataclass
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from server.jobs import keys
from tests.http import sounds
from tests.http.world import World


@dataclass(frozen=True)
class Person:
    """Somebody with a key."""

    id: str
    text: str
    client: FlaskClient

    @property
    def headers(self) -> dict[str, str]:
        """Return what each request has."""
        return {"Authorization": f"Bearer {self.text}"}

    def ask(self, method: str, path: str, **how: Any) -> TestResponse:
        """Send a request with the key."""
        return self.client.open(path, method=method, headers=self.headers, **how)

    def submit(self, **fields: Any) -> dict[str, Any]:
        """Submit a transform of a short sound and return the receipt."""
        order = {"audio": sounds.base64_wav(), "variation": "strings_quartet", **fields}
        answer = self.ask("POST", "/jobs", json=order)
        assert answer.status_code == 202, answer.get_data(as_text=True)
        receipt: dict[str, Any] = answer.get_json()
        return receipt

    def finished(self, job_id: str) -> dict[str, Any]:
        """Return a job once it has ended."""
        view: dict[str, Any] = self.ask("GET", f"/jobs/{job_id}?wait=20").get_json()
        assert view["status"] == "finished"
        return view


def person(here: World, name: str = "somebody", **facts: Any) -> Person:
    """Make a key and return who has it."""
    key, text = keys.made(name, **facts)
    here.services.keys.add(key)
    return Person(key.id, text, here.client)
